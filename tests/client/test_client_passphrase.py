from __future__ import annotations

import getpass
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from udprelay.client.options import UsageError
from udprelay.client.passphrase import MAX_FILE_BYTES, Passphrase, access_key, find
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


def test_there_may_be_no_passphrase() -> None:
    assert find(None, {}) is None


def test_a_file_is_read_without_its_last_line_break(file: Path) -> None:
    assert find(str(file), {}) == Passphrase(SECRET)


def test_the_environment_is_read() -> None:
    assert find(None, {"UDPRELAY_PASSPHRASE": SECRET}) == Passphrase(SECRET)


def test_a_file_takes_precedence_over_the_environment(file: Path) -> None:
    assert find(str(file), {"UDPRELAY_PASSPHRASE": "other"}) == Passphrase(SECRET)


@pytest.mark.parametrize(("mode", "exposed"), [(0o640, True), (0o604, True), (0o700, False)])
def test_a_file_that_others_can_read_gives_a_warning(file: Path, mode: int, exposed: bool) -> None:
    file.chmod(mode)
    found = find(str(file), {})
    assert found is not None
    assert found.text == SECRET
    assert (found.warning is not None) is exposed
    if found.warning is not None:
        assert found.warning.text == (
            f"other users can read the passphrase in {file}; run: chmod go= {file}"
        )


def test_a_pipe_gives_no_warning(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, SECRET.encode())
    os.close(writing)
    assert find(f"/dev/fd/{reading}", {}) == Passphrase(SECRET)
    os.close(reading)


def test_repr_hides_the_passphrase(file: Path) -> None:
    assert SECRET not in repr(find(str(file), {}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "'{path}': the passphrase is empty"),
        (b"\n", "'{path}': the passphrase is empty"),
        (b"two\nlines", "'{path}': character 4 of the passphrase is not allowed"),
        (b"\xff", "--passphrase-file: '{path}' is not UTF-8"),
        (b"x" * (MAX_FILE_BYTES + 1), "--passphrase-file: '{path}' has more than 4096 bytes"),
    ],
)
def test_an_invalid_passphrase_is_rejected_and_not_quoted(
    file: Path, content: bytes, message: str
) -> None:
    file.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        find(str(file), {})
    assert str(raised.value) == message.format(path=file)
    error = raised.value
    assert error.__context__ is None or error.__suppress_context__


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file or directory"):
        find(str(tmp_path / "none"), {})


def test_an_empty_variable_is_an_error() -> None:
    with pytest.raises(UsageError, match="UDPRELAY_PASSPHRASE: the passphrase is empty"):
        find(None, {"UDPRELAY_PASSPHRASE": ""})


def test_the_access_key_is_derived_from_the_passphrase_with_a_new_salt(file: Path) -> None:
    lines = {access_key(str(file), {}, never) for _ in range(2)}
    assert len(lines) == 2
    for line in lines:
        found = re.fullmatch("access_key = (.+)", line)
        assert found is not None
        made = AccessKey.parse(found[1])
        assert derive(SECRET, made.salt).access == made.key


def test_without_a_passphrase_the_user_is_asked_twice() -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return SECRET

    assert access_key(None, {}, ask).startswith("access_key = ")
    assert asked == ["Room passphrase: ", "Repeat the passphrase: "]


def test_two_different_answers_are_an_error() -> None:
    answers = iter(["one", "other"])
    with pytest.raises(UsageError, match="the two passphrases differ"):
        access_key(None, {}, lambda _: next(answers))


def end_of_input(prompt: str) -> str:
    raise EOFError


def echoed(prompt: str) -> str:
    warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
    raise AssertionError("it would have been shown")


@pytest.mark.parametrize("ask", [end_of_input, echoed])
def test_without_a_terminal_there_is_no_prompt(ask: Callable[[str], str]) -> None:
    with pytest.raises(UsageError, match="no passphrase: give --passphrase-file or UDPRELAY_"):
        access_key(None, {}, ask)
