"""The documented flags, commands, statuses and notices are those of the code."""

from __future__ import annotations

import inspect
import json
import re
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
from docs_sources import DOCS, README, literal_blocks, names, rows, section, text

from udprelay import client, console
from udprelay.client import bridge_counters, bridge_members, bridge_socket
from udprelay.client.channel import IncomingMessage, OutgoingMessage, Sender
from udprelay.client.commands import RoomCommands
from udprelay.client.formats import JSONFormat
from udprelay.client.notices import KINDS, Level, Notice
from udprelay.client.options import parse
from udprelay.client.room_channel import RoomChannel
from udprelay.client.room_reporter import notice_of
from udprelay.protocol.wire.header import DOWN_PAYLOAD_OFFSET, UP_PAYLOAD_OFFSET
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.challenge import challenge, is_challenge
from udprelay.relay.rules import ListenerRules
from udprelay.session_client import events
from udprelay.session_client.message_sender import MAX_UNRELIABLE, MAX_UNRELIABLE_PRIVATE
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
    documented: dict[int, tuple[str, int] | None] = {}
    for sizes, form, length in rows(section(RELAY, "The challenge"))[1:]:
        found = re.fullmatch(r"(\d+)(?: (?:to|or) (\d+|more))?", sizes)
        assert found is not None
        first, last = found.groups()
        for size in range(int(first), 65508 if last == "more" else int(last) + 1):
            documented[size] = (names(form)[0], int(length)) if form != "none" else None
    assert documented.keys() == set(range(65508))
    for size in (*range(100), 65507):
        answer = challenge(CODE, size)
        expected = None if answer is None else (answer.decode().rstrip("\n"), len(answer))
        assert documented[size] == expected


def test_challenge_of_the_transcript() -> None:
    (transcript,) = (b for b in literal_blocks(README) if CODE in b)
    _, typed, answer, code, _ = transcript.splitlines()
    assert challenge(CODE, len(typed) + 1) == f"{answer}\n".encode()
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
    printed: list[str] = []
    channel = cast(RoomChannel, SimpleNamespace())
    RoomCommands(channel, lambda *_: True, printed.append).run("/help", "")
    assert shown == [f"-- {line}" for line in printed]


MEMBER: Any = SimpleNamespace(
    relay="192.0.2.1:6000",
    room="lobby",
    nick="ada",
    number=1,
    sealed=True,
    payload=lambda message: b"hello",
    statistics=SimpleNamespace(lost=1, repaired=2, repeated=3),
)


def notices_of_events() -> list[Notice]:
    """Return the notices of one event of each kind, and of a nick change of another member."""
    samples = {
        "int": 1,
        "float": 1.5,
        "bool": True,
        "bytes": b"hello",
        "MemberKind": MemberKind.SESSION,
    }
    found: list[events.Event] = [events.NickChanged(2, "bob", "robert", own=False)]
    classes = (kind for _, kind in inspect.getmembers(events, inspect.isclass))
    for kind in (kind for kind in classes if issubclass(kind, events.Event)):
        fields = (samples.get(str(field.type), "text") for field in attrs.fields(kind))
        found.append(kind(*fields))
    notices_found = (notice_of(event, MEMBER) for event in found)
    return [notice for notice in notices_found if notice is not None]


def test_notices_of_the_client() -> None:
    assert documented_notices(CLIENT, "JSON") == {
        name: set(kind.fields.split())
        for name, kind in KINDS.items()
        if not name.startswith("bridge.")
    }


def test_notices_of_the_bridge() -> None:
    assert documented_notices(BRIDGE, "Notices") == {
        name: set(kind.fields.split())
        for name, kind in KINDS.items()
        if name.startswith("bridge.")
    }


def test_notices_of_events_have_all_their_fields() -> None:
    for notice in notices_of_events():
        assert tuple(notice.fields) == tuple(KINDS[notice.id].fields.split())


def documented_notices(page: Path, title: str) -> dict[str, set[str]]:
    found = (row for row in rows(section(page, title)) if "." in row[0])
    return {names(event)[0]: set(names(fields)) for event, fields, _ in found}


def test_drop_reasons_of_the_bridge() -> None:
    found = [row for row in rows(section(BRIDGE, "Notices")) if "." not in row[0]][2:]
    documented = {names(reason)[0]: reported != "always" for reason, _, reported in found}
    assert documented == {
        reason: level is Level.DETAIL for reason, (_, level) in bridge_counters.DROPPED.items()
    }


def test_limits_of_the_bridge() -> None:
    page = text(BRIDGE)
    assert f"{MAX_UNRELIABLE:,} bytes pass, {MAX_UNRELIABLE_PRIVATE:,} to one" in page
    assert f"{bridge_members.MAX_MEMBER_SOCKETS} ports at most" in page
    assert f"away for {bridge_members.GRACE_PERIOD:.0f} s" in page
    assert f"silent for {bridge_socket.PROGRAM_TIMEOUT:.0f} s" in page
    assert f"at most every {bridge_counters.DROPPED_INTERVAL:.0f} s" in page
    assert (
        f"adds {UP_PAYLOAD_OFFSET} bytes to what it sends, a relay {DOWN_PAYLOAD_OFFSET} " in page
    )


def test_objects_of_the_client() -> None:
    blocks = [b for b in literal_blocks(CLIENT) if b.startswith("{")]
    shown, *rest = ([json.loads(line) for line in b.splitlines()] for b in blocks)
    described = re.findall(r"(?m)^``(\w+)``$", section(CLIENT, "JSON"))
    assert list(shown[1]) == described
    sender = Sender("lobby", 3, "bob", private=False, reliable=True, sealed=False)
    now = datetime.fromisoformat(shown[1]["time"].replace("Z", "+00:00"))
    made = [
        JSONFormat(lambda _: now).message(IncomingMessage(b"\xff", sender)),
        JSONFormat(lambda _: now).message(IncomingMessage(b"hello", sender)),
    ]
    assert json.loads(made[0]) == shown[1]
    assert {**json.loads(made[1]), "time": shown[0]["time"]} == shown[0]
    left = notice_of(events.MemberLeft(3, "bob", "left"), MEMBER)
    assert left is not None
    assert {**json.loads(JSONFormat().notice(left)), "time": shown[2]["time"]} == shown[2]
    (parsed,) = ([JSONFormat().parse(json.dumps(line).encode()) for line in b] for b in rest)
    assert parsed == [
        OutgoingMessage(b"hello\n"),
        OutgoingMessage(b"\x00\xff", reliable=False),
        OutgoingMessage(b"for you alone", to="bob"),
    ]


def test_maximum_size_of_an_unreliable_message() -> None:
    assert f"{MAX_UNRELIABLE:,} bytes" in section(CLIENT, "JSON")


def test_parameters_of_join() -> None:
    part = section(CLIENT, "In a program")
    signature = inspect.signature(client.join).parameters
    documented = set(re.findall(r"\w+", part.partition("join(")[2].partition(", ...")[0]))
    for line in re.findall(r"(?m)^   (``.+``)$", part):
        documented.update(name.partition("=")[0] for name in names(line))
    assert set(signature) == documented - {"6000"}


def test_attributes_of_a_member() -> None:
    part = section(CLIENT, "In a program").partition("A ``Member`` has")[2]
    documented: set[str] = set()
    for line in re.findall(r"(?m)^(``.+``)$", part):
        for name in names(line):
            found = re.match(r"\w+", name)
            assert found is not None
            documented.add(found[0])
    public = {name for name in dir(client.Member) if not name.startswith("_")}
    assert documented <= public | {"over", "room"}
