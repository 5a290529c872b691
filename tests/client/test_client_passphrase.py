from __future__ import annotations

import getpass
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from udprelay.client.options import UsageError
from udprelay.client.passphrase import MOST_BYTES, Passphrase, access_key, find
from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.keys import derive

SECRET = "correct horse battery staple"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


def never(prompt: str) -> str:
    raise AssertionError(prompt)


def test_there_may_be_none() -> None:
    assert find(None, {}) is None


def test_it_comes_from_a_file_without_the_line_break(file: Path) -> None:
    assert find(str(file), {}) == Passphrase(SECRET)


def test_it_comes_from_the_environment() -> None:
    assert find(None, {"UDPRELAY_PASSPHRASE": SECRET}) == Passphrase(SECRET)


def test_the_file_wins_over_the_environment(file: Path) -> None:
    assert find(str(file), {"UDPRELAY_PASSPHRASE": "other"}) == Passphrase(SECRET)


@pytest.mark.parametrize(("mode", "exposed"), [(0o640, True), (0o604, True), (0o700, False)])
def test_a_file_that_others_may_read_is_used_with_a_warning(
    file: Path, mode: int, exposed: bool
) -> None:
    file.chmod(mode)
    found = find(str(file), {})
    assert found is not None
    assert found.text == SECRET
    assert (found.warning is not None) is exposed
    if found.warning is not None:
        assert found.warning.text == (
            f"others may read the passphrase in {file}: chmod go= {file}"
        )


def test_a_pipe_may_be_read_by_nobody_else(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, SECRET.encode())
    os.close(writing)
    assert find(f"/dev/fd/{reading}", {}) == Passphrase(SECRET)
    os.close(reading)


def test_it_is_not_shown_by_accident(file: Path) -> None:
    assert SECRET not in repr(find(str(file), {}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "'{path}': the passphrase is empty"),
        (b"\n", "'{path}': the passphrase is empty"),
        (b"two\nlines", "'{path}': the passphrase may not have its character 4"),
        (b"\xff", "--passphrase-file: '{path}' is not UTF-8"),
        (b"x" * (MOST_BYTES + 1), "--passphrase-file: '{path}' has more than 4096 bytes"),
    ],
)
def test_what_can_be_none_is_refused_without_being_quoted(
    file: Path, content: bytes, message: str
) -> None:
    file.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        find(str(file), {})
    assert str(raised.value) == message.format(path=file)
    error = raised.value
    assert error.__context__ is None or error.__suppress_context__


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file or directory"):
        find(str(tmp_path / "none"), {})


def test_an_empty_variable_is_a_mistake_not_a_wish() -> None:
    with pytest.raises(UsageError, match="UDPRELAY_PASSPHRASE: the passphrase is empty"):
        find(None, {"UDPRELAY_PASSPHRASE": ""})


def test_the_access_key_is_what_members_prove_to_know(file: Path) -> None:
    lines = {access_key(str(file), {}, never) for _ in range(2)}
    # Each has a salt of its own.
    assert len(lines) == 2
    for line in lines:
        found = re.fullmatch("access_key = (.+)", line)
        assert found is not None
        made = AccessKey.parse(found[1])
        assert derive(SECRET, made.salt).access == made.key


def test_without_a_passphrase_it_asks_twice() -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return SECRET

    assert access_key(None, {}, ask).startswith("access_key = ")
    assert asked == ["Passphrase of the room: ", "The same again: "]


def test_two_different_answers_are_a_mistake() -> None:
    answers = iter(["one", "other"])
    with pytest.raises(UsageError, match="the two passphrases differ"):
        access_key(None, {}, lambda _: next(answers))


def no_more(prompt: str) -> str:
    raise EOFError


def echoed(prompt: str) -> str:
    warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
    raise AssertionError("it would have been shown")


@pytest.mark.parametrize("ask", [no_more, echoed])
def test_without_a_terminal_there_is_nobody_to_ask(ask: Callable[[str], str]) -> None:
    with pytest.raises(UsageError, match="no passphrase: give --passphrase-file or UDPRELAY_"):
        access_key(None, {}, ask)
