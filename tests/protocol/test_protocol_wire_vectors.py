"""This implementation agrees with the test vectors in ``tests/vectors``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from protocol_wire import CLASSES

from udprelay.protocol.wire import WireError, decode_from_client, decode_from_relay
from udprelay.protocol.wire.entries import (
    FailedNotice,
    JoinEntry,
    LeaveEntry,
    MissedNotice,
    NickEntry,
)
from udprelay.protocol.wire.header import Type
from udprelay.protocol.wire.members import KINDS_ON_WIRE, MemberKind, MemberRecord

PLACE = Path(__file__).parents[1] / "vectors"
VALID = json.loads((PLACE / "datagrams.json").read_text())
INVALID = json.loads((PLACE / "invalid.json").read_text())

DECODE = {"client": decode_from_client, "relay": decode_from_relay}
BODIES = {
    "join": JoinEntry,
    "leave": LeaveEntry,
    "nick": NickEntry,
    "missed": MissedNotice,
    "failed": FailedNotice,
}
NAMES = {cls: e for e, cls in BODIES.items()}
ADDED_LATER = ("reports", "history", "settled_private", "settled")
"""Optional fields that the first vectors do not have."""


def name_of(vector: dict[str, Any]) -> str:
    return f"{vector['from']}: {vector.get('name') or vector['why']}"


each_valid = pytest.mark.parametrize("vector", VALID, ids=name_of)
each_invalid = pytest.mark.parametrize("vector", INVALID, ids=name_of)


def written(value: Any) -> Any:
    """Return a value as the file has it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, MemberKind):
        return KINDS_ON_WIRE.index(value)
    if isinstance(value, tuple):
        return [written(item) for item in value]
    if attrs.has(type(value)):
        fields = {a.name: written(getattr(value, a.name)) for a in attrs.fields(type(value))}
        return {"e": NAMES[type(value)]} | fields if type(value) in NAMES else fields
    return value


def made(cls: type, fields: dict[str, Any]) -> Any:
    """Return an object with fields from the file; it may lack what was added later."""
    known = [a for a in attrs.fields(cls) if a.name in fields]
    return cls(**{a.name: _value(a, fields[a.name]) for a in known})


def _value(attribute: attrs.Attribute[Any], value: Any) -> Any:
    if isinstance(value, str) and "bytes" in str(attribute.type):
        return bytes.fromhex(value)
    if attribute.name == "kind":
        return KINDS_ON_WIRE[value]
    if attribute.name == "members":
        return tuple(made(MemberRecord, member) for member in value)
    if attribute.name == "body" and value is not None:
        return made(BODIES[value["e"]], value)
    return _tuples(value)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def test_every_type_has_a_vector() -> None:
    assert {bytes.fromhex(vector["hex"])[4] for vector in VALID} == set(Type)


def test_every_entry_and_every_notice_has_a_vector() -> None:
    bodies = [vector["fields"]["body"] for vector in VALID if "body" in vector["fields"]]
    assert {body and body["e"] for body in bodies} == {None, *BODIES}


def test_no_two_vectors_have_the_same_name() -> None:
    assert len(set(map(name_of, VALID + INVALID))) == len(VALID + INVALID)


@each_valid
def test_datagram_is_decoded_to_its_fields(vector: dict[str, Any]) -> None:
    datagram = DECODE[vector["from"]](bytes.fromhex(vector["hex"]))
    later = {name: None for name in ADDED_LATER if hasattr(datagram, name)}
    assert written(datagram) == {**later, **vector["fields"]}


@each_valid
def test_fields_are_encoded_to_the_datagram(vector: dict[str, Any]) -> None:
    datagram = bytes.fromhex(vector["hex"])
    encoded = made(CLASSES[Type(datagram[4])], vector["fields"]).encode()
    assert (encoded == datagram) == (not vector.get("read_only", False))
    assert DECODE[vector["from"]](encoded) == DECODE[vector["from"]](datagram)


@each_valid
def test_type_is_that_of_the_datagram(vector: dict[str, Any]) -> None:
    name = Type(bytes.fromhex(vector["hex"])[4]).name
    assert vector["type"] == name.removesuffix("_UP").replace("_", "-")


@each_invalid
def test_invalid_datagram_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        DECODE[vector["from"]](bytes.fromhex(vector["hex"]))
