"""The catalogue of events matches the code."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket

import attrs
import pytest
from docs_sources import DOCS, literal_blocks, names, relay, rows, section, text, wait_for

from udprelay.relay import events
from udprelay.relay.drops import DropReason
from udprelay.relay.events import Event

CATALOGUE = DOCS / "events.rst"
TYPES = {
    "str": "text",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "Mapping[str, int]": "object",
}

PLACEHOLDERS = {
    r"^members\..*": "members.KIND",
    r"^(leaves|dropped)\..*": r"\1.REASON",
    r"^listeners\.main\.": "listeners.NAME.",
    r"^rooms\.lobby\.": "rooms.NAME.",
    r"batches\..*": "batches.RANGE",
    r"^(events\.\w+)\..*": r"\1.CONSUMER",
}
"""The parts of the names of counts that depend on the relay."""

EVENTS = {
    kind.id: kind
    for _, kind in inspect.getmembers(events, inspect.isclass)
    if issubclass(kind, Event) and kind is not Event
}


def test_catalogue_has_all_events() -> None:
    documented = re.findall(r"(?m)^(\S+\.\S+|diagnostic)\n~+$", text(CATALOGUE))
    assert sorted(documented) == sorted(EVENTS)


@pytest.mark.parametrize("event", EVENTS)
def test_catalogue_has_level_and_fields_of(event: str) -> None:
    part, kind = section(CATALOGUE, event), EVENTS[event]
    assert re.findall(r"(?m)^:Level: (\w+)$", part) == [kind.level.value]
    fields = [(names(name)[0], type_) for name, type_, _ in rows(part)[1:]]
    assert fields == [(a.name, TYPES[str(a.type)]) for a in attrs.fields(kind)]


def test_catalogue_has_all_drop_reasons() -> None:
    documented = [names(row[0])[0] for row in rows(section(CATALOGUE, "Reasons for drops"))[1:]]
    assert documented == [reason.value for reason in DropReason]


def test_catalogue_has_all_counts_of_the_relay(tmp_path: Path) -> None:
    (tmp_path / "relay.ini").write_text("[log]\nstatistics = 1s\n")
    with (
        relay("--config", "relay.ini", cwd=tmp_path) as (port, logged),
        socket(AF_INET, SOCK_DGRAM) as member,
    ):
        member.sendto(b"", ("127.0.0.1", port))
        wait_for("member.joined", logged)
        counts = wait_for("relay.statistics", logged)["counts"]
    documented = [names(row[0])[0] for row in rows(section(CATALOGUE, "Counts of the relay"))[1:]]
    for pattern, placeholder in PLACEHOLDERS.items():
        counts = {re.sub(pattern, placeholder, name): None for name in counts}
    assert sorted(documented) == sorted(counts)


def test_example_has_the_fields_of_its_event() -> None:
    (line,) = (b for b in literal_blocks(CATALOGUE) if b.startswith("{"))
    example = json.loads(line)
    fields = attrs.fields_dict(EVENTS[example["event"]])
    assert list(example) == ["time", "level", "event", *fields]


def test_text_line_is_as_shown() -> None:
    joined = events.MemberJoined(
        room="lobby",
        member="guest-2",
        kind="plain",
        address="127.0.0.1:41910",
        listener="main",
    )
    (line,) = (b for b in literal_blocks(CATALOGUE) if "guest-2" in b)
    assert line.endswith(f" {joined.level.value}  {joined.id}: {joined.human()}\n")
