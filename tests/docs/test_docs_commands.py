"""Flags, commands, statuses and forms in the documentation are those that there are."""

from __future__ import annotations

import inspect
import json
import re
from datetime import datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from docs_sources import DOCS, README, literal_blocks, names, rows, section, text

from udprelay import client, console
from udprelay.client import (
    bridge_counts,
    bridge_members,
    bridge_notices,
    bridge_port,
    notices,
    room_notices,
)
from udprelay.client.commands import Command
from udprelay.client.formats import JSONFormat
from udprelay.client.notices import Volume
from udprelay.client.options import parse
from udprelay.client.talk import Heard, Said, Sender
from udprelay.client.terminal_commands import RoomCommands
from udprelay.protocol.wire.header import DOWN_DATA, UP_DATA
from udprelay.relay.challenge import challenge, is_challenge
from udprelay.relay.rules import ListenerRules
from udprelay.session_client.sending import LARGEST_UNRELIABLE, LARGEST_UNRELIABLE_PRIVATE
from udprelay.tap import Options

RELAY, CLIENT, BRIDGE = (DOCS / f"{name}.rst" for name in ("relay", "client", "bridge"))
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
    shown = [line for line in transcript.splitlines() if re.match("-- /", line)]
    told: list[str] = []
    RoomCommands(SimpleNamespace(), lambda _: True, told.append).run(Command("help"))
    assert shown == [f"-- {line}" for line in told]


def notices_made(*modules: ModuleType) -> dict[str, set[str]]:
    """Make one of each notice of some modules; return their fields by their ids."""
    samples = {
        "OSError": ConnectionRefusedError(111, "Connection refused"),
        "RejectedError": notices.RejectedError("invalid", "it is", 1),
        "Sequence[str]": ["bob"],
        "bytes | None": b"hello",
        "int": 1,
        "float": 1.5,
        "bool": True,
    }
    found: dict[str, set[str]] = {}
    for module in modules:
        for _, make in inspect.getmembers(module, inspect.isfunction):
            signature = inspect.signature(make)
            if make.__module__ == module.__name__ and signature.return_annotation == "Notice":
                required = [p for p in signature.parameters.values() if p.default is p.empty]
                made = make(*(samples.get(p.annotation, "lost") for p in required))
                fields = found.setdefault(made.event, set(made.fields))
                assert fields == set(made.fields)
    return found


def test_notices_of_the_client() -> None:
    assert documented_notices(CLIENT, "JSON") == notices_made(notices, room_notices)


def test_notices_of_the_bridge() -> None:
    assert documented_notices(BRIDGE, "Notices") == notices_made(bridge_notices)


def documented_notices(page: Path, title: str) -> dict[str, set[str]]:
    found = (row for row in rows(section(page, title)) if "." in row[0])
    return {names(event)[0]: set(names(fields)) for event, fields, _ in found}


def test_reasons_for_which_a_bridge_drops_datagrams() -> None:
    found = [row for row in rows(section(BRIDGE, "Notices")) if "." not in row[0]][2:]
    documented = {names(reason)[0]: told != "always" for reason, _, told in found}
    assert documented == {
        reason: bridge_notices.dropped(reason, 1).volume is Volume.DETAIL
        for reason in bridge_notices.REASONS
    }


def test_bounds_of_the_bridge() -> None:
    page = text(BRIDGE)
    assert f"{LARGEST_UNRELIABLE:,} bytes pass, {LARGEST_UNRELIABLE_PRIVATE:,} to one" in page
    assert f"{bridge_members.MOST} ports at most" in page
    assert f"away for {bridge_members.GRACE:.0f} s" in page
    assert f"silent for {bridge_port.SILENCE:.0f} s" in page
    assert f"at most every {bridge_counts.AGAIN:.0f} s" in page
    assert f"adds {UP_DATA} bytes to what it sends, a relay {DOWN_DATA} " in page


def test_objects_of_the_client() -> None:
    blocks = [b for b in literal_blocks(CLIENT) if b.startswith("{")]
    shown, *rest = ([json.loads(line) for line in b.splitlines()] for b in blocks)
    described = re.findall(r"(?m)^``(\w+)``$", section(CLIENT, "JSON"))
    assert list(shown[1]) == described
    sender = Sender("lobby", 3, "bob", private=False, reliable=True, sealed=False)
    now = datetime.fromisoformat(shown[1]["time"].replace("Z", "+00:00"))
    made = [
        JSONFormat(lambda: now).message(Heard(b"\xff", sender)),
        JSONFormat(lambda: now).message(Heard(b"hello", sender)),
    ]
    assert json.loads(made[0]) == shown[1]
    assert {**json.loads(made[1]), "time": shown[0]["time"]} == shown[0]
    left = room_notices.member_left(3, "bob", "left")
    assert {**json.loads(JSONFormat().notice(left)), "time": shown[2]["time"]} == shown[2]
    (said,) = ([JSONFormat().said(json.dumps(line).encode()) for line in b] for b in rest)
    assert said == [
        Said(b"hello\n"),
        Said(b"\x00\xff", reliable=False),
        Said(b"for you alone", to="bob"),
    ]


def test_largest_message_that_is_not_reliable() -> None:
    assert f"{LARGEST_UNRELIABLE:,} bytes" in section(CLIENT, "JSON")


def test_parameters_of_join() -> None:
    part = section(CLIENT, "In a program")
    signature = inspect.signature(client.join).parameters
    documented = set(re.findall(r"\w+", part.partition("join(")[2].partition(", ...")[0]))
    for line in re.findall(r"(?m)^   (``.+``)$", part):
        documented.update(name.partition("=")[0] for name in names(line))
    assert set(signature) == documented - {"6000"}


def test_what_a_member_has() -> None:
    part = section(CLIENT, "In a program").partition("A ``Member`` has")[2]
    documented = set()
    for line in re.findall(r"(?m)^(``.+``)$", part):
        documented.update(re.match(r"\w+", name)[0] for name in names(line))
    public = {name for name in dir(client.Member) if not name.startswith("_")}
    assert documented <= public | {"over"}
