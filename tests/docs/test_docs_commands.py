"""Flags, commands, statuses and forms in the documentation are those that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from docs_sources import DOCS, README, ROOT, literal_blocks, names, rows, section, text

from udprelay import console
from udprelay.client.commands import HELP
from udprelay.client.options import parse
from udprelay.core.challenge import challenge, is_challenge
from udprelay.core.rules import ListenerRules
from udprelay.tap import Options

RELAY, CLIENT = DOCS / "relay.rst", DOCS / "client.rst"
CODE = "1rvpa8mz"


def documented_flags(page: Path) -> set[str]:
    found = re.findall(r"(?m)^\.\. option:: (.+)$", text(page))
    return set(re.findall(r"(?<!\S)--?[\w-]+", " ".join(found)))


def help_of_client(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        parse(["--help"])
    return capsys.readouterr().out


# The relay


def test_flags_of_the_relay() -> None:
    options = Options()
    long = {f"--{name.rstrip('=')}" for name in options.longOpt}
    short = {f"-{name}" for name in options.shortOpt.replace(":", "")}
    assert documented_flags(RELAY) == long | short


def test_defaults_of_the_relay() -> None:
    rules = ListenerRules()
    flags = section(RELAY, "Flags")
    for default in (f"Default: {rules.port}.", "Default: ``::``", f"Default: ``{rules.room}``"):
        assert default in flags
    assert rules.interface == "::"


def test_commands_of_the_console() -> None:
    documented = [names(row[0])[0] for row in rows(section(RELAY, "The console"))[1:]]
    assert documented == re.findall(r"(?m)^(\S.*?)  +", console.HELP)


# The challenge


def test_forms_of_the_challenge() -> None:
    documented = {}
    for sizes, form, length in rows(section(RELAY, "The challenge"))[1:]:
        first, last = re.fullmatch(r"(\d+)(?: (?:to|or) (\d+|more))?", sizes).groups()
        for size in range(int(first), 65508 if last == "more" else int(last) + 1):
            documented[size] = (names(form)[0], int(length)) if form != "none" else None
    assert documented.keys() == set(range(65508))
    for size in (*range(100), 65507):
        answer = challenge(CODE, size)
        expected = None if answer is None else (answer.decode().rstrip("\n"), len(answer))
        assert documented[size] == expected


def test_challenge_of_the_transcript() -> None:
    (transcript,) = (b for b in literal_blocks(README) if CODE in b)
    _, said, answer, code, _ = transcript.splitlines()
    assert challenge(CODE, len(said) + 1) == f"{answer}\n".encode()
    assert is_challenge(answer.encode())
    assert code == CODE


# The client


def test_options_of_the_client(capsys: pytest.CaptureFixture[str]) -> None:
    lines = re.findall(r"(?m)^  (-.*?)(?:  |$)", help_of_client(capsys))
    assert documented_flags(CLIENT) == set(re.findall(r"(?<!\S)--?[\w-]+", " ".join(lines)))


def test_exit_statuses_of_the_client(capsys: pytest.CaptureFixture[str]) -> None:
    epilog = help_of_client(capsys).partition("exit status:")[2].partition("examples:")[0]
    statuses = set(re.findall(r"(?m)(?:^  | )(\d+)(?=:|  )", epilog))
    assert {row[0] for row in rows(section(CLIENT, "Exit status"))[1:]} == statuses


def test_commands_of_the_client() -> None:
    (transcript,) = (b for b in literal_blocks(CLIENT) if "/quit" in b)
    for command, meaning in HELP.items():
        assert f"-- {command:8} {meaning}\n" in transcript


def test_notices_of_the_client() -> None:
    source = text(ROOT / "udprelay" / "client" / "notices.py")
    made = set(re.findall(r'Notice\(\s*"([a-z.-]+)"', source))
    assert {names(row[0])[0] for row in rows(section(CLIENT, "JSON"))[1:]} == made


def test_objects_of_the_client() -> None:
    lines = [line for b in literal_blocks(CLIENT) for line in b.splitlines() if line[0] == "{"]
    objects = list(map(json.loads, lines))
    described = re.findall(r"(?m)^``(\w+)``$", section(CLIENT, "JSON"))
    assert len(objects) == 4
    assert described == ["time", "event", "text", "bytes", "base64"]
    assert list(objects[1]) == described
