"""Every event has a stable id, typed fields, and a human form."""

from __future__ import annotations

import re
import string
from typing import Any

import pytest
from attrs import fields

from udprelay.relay import events
from udprelay.relay.drops import DropReason

# Not __subclasses__(): attrs replaces each class, and the first one still exists.
CATALOGUE = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, events.Event) and kind is not events.Event
]
VALUES: dict[str, Any] = {
    "str": "x\x1b[2J",
    "int": 7,
    "bool": True,
    "float": 0.5,
    "Mapping[str, int]": {"a": 1},
}


def example(kind: type[events.Event], **values: Any) -> events.Event:
    return kind(**{field.name: VALUES[str(field.type)] for field in fields(kind)} | values)


def test_ids_are_unique_words_with_a_dot() -> None:
    ids = [kind.id for kind in CATALOGUE]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(\.[a-z\-]+)?", id_) for id_ in ids)


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: kind.id)
class TestEach:
    def test_has_a_docstring(self, kind: type[events.Event]) -> None:
        assert kind.__doc__

    def test_has_a_printable_human_form(self, kind: type[events.Event]) -> None:
        line = example(kind).human()
        assert line.isprintable()
        assert line

    def test_its_text_names_only_existing_fields(self, kind: type[events.Event]) -> None:
        named = {name for _, name, _, _ in string.Formatter().parse(kind.text) if name}
        assert named <= {field.name for field in fields(kind)}

    def test_fields_returns_its_typed_fields(self, kind: type[events.Event]) -> None:
        assert example(kind).fields() == {f.name: VALUES[str(f.type)] for f in fields(kind)}


def test_an_empty_field_is_shown_as_a_dash() -> None:
    event = events.MemberJoined(
        room="lobby", member="console", kind="console", address="", listener=""
    )
    assert event.human() == "console (console -) joined lobby"


def test_a_payload_is_never_used_as_a_format() -> None:
    event = events.DatagramRelayed(
        room="lobby", member="guest-1", address="10.0.0.1:1", bytes=6, payload="{room} {"
    )
    assert event.human() == "guest-1 (10.0.0.1:1) in lobby, 6 bytes: {room} {"


def test_the_level_depends_on_the_kind_of_event() -> None:
    assert events.MemberJoined.level is events.Level.INFO
    assert events.DatagramsDropped.level is events.Level.WARN
    assert events.ListenerFailed.level is events.Level.ERROR


def test_drop_reasons_are_words_with_hyphens() -> None:
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", reason.value) for reason in DropReason)
