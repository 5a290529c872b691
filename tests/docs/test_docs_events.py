"""The catalogue of events matches the code."""

from __future__ import annotations

import inspect
import json
import re

import attrs
import pytest
from docs_sources import DOCS, literal_blocks, names, rows, section, text

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
