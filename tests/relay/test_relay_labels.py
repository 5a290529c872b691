"""In a room with labels nobody can write a line in another member's name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay_driver import ANNA, BERT, CARL, LABELLED, Relay
from relay_session import SessionRelay, joined, session_rules

from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.protocol.wire.sequenced import Data
from udprelay.relay.rules import Label

TARGET = "192.0.2.7:2055"
FORGED = b"hi\nguest-9: I resign\rguest-9: really\n"


def labelled_by(name: str) -> bytes:
    """Return what plain members get of :data:`FORGED`."""
    label = f"{name}: ".encode()
    return label + b"hi\n" + label + rb"guest-9: I resign\rguest-9: really" + b"\n"


def test_a_plain_member_cannot_forge_a_line() -> None:
    relay = Relay(LABELLED)
    relay.join(ANNA, BERT)
    relay.receive(BERT, FORGED)
    assert relay.inboxes[ANNA] == [labelled_by("guest-2")]


def test_a_session_member_cannot_forge_a_line() -> None:
    relay = SessionRelay(session_rules(room={"label": Label.NICK}))
    (anna,) = joined(relay, "anna")
    relay.receive(BERT, b"")
    relay.receive(anna.source, anna.data(FORGED))
    relay.receive(anna.source, anna.data(FORGED, 0))
    assert relay.inboxes[BERT] == [labelled_by("anna")] * 2


def test_the_console_cannot_forge_a_line() -> None:
    relay = Relay(LABELLED)
    relay.join(ANNA)
    relay.send(relay.console(), FORGED)
    assert relay.inboxes[ANNA] == [labelled_by("console")]


def test_targets_the_console_and_session_members_get_the_payload_as_it_was_sent() -> None:
    relay = SessionRelay(session_rules(room={"label": Label.NICK}))
    (anna,) = joined(relay, "anna")
    relay.target(TARGET)
    relay.console()
    relay.receive(BERT, FORGED)
    assert relay.inboxes[TARGET] == relay.inboxes["console"] == [FORGED]
    assert [data.payload for data in anna.drain(Data)] == [FORGED]


@pytest.mark.parametrize("payload", [FORGED, bytes(range(256)), b"\x1b[2J\xff\x85"])
def test_rooms_without_labels_do_not_change_a_byte(payload: bytes) -> None:
    relay = Relay()
    relay.join(ANNA, BERT)
    relay.receive(BERT, payload)
    assert relay.inboxes[ANNA] == [payload]


payloads = st.sampled_from(
    [
        b"hi",
        b"ho",
        b"h\n",
        b"hello",
        b"hell\n",
        b"\nhi",
        b"a\nb",
        b"a\rb\n",
        b"\xff",
        b"Gr\xc3\xbc",
    ]
)


@given(st.lists(st.tuples(st.sampled_from([BERT, CARL]), payloads), max_size=12))
def test_a_batch_has_the_labels_that_its_datagrams_have_one_by_one(
    datagrams: list[tuple[str, bytes]],
) -> None:
    together, alone = Relay(LABELLED), Relay(LABELLED)
    for relay in (together, alone):
        relay.join(ANNA, BERT, CARL)
    together.receive_batch(*datagrams)
    for source, payload in datagrams:
        alone.receive(source, payload)
    assert together.inboxes == alone.inboxes


def test_a_text_that_escapes_make_too_long_is_dropped_and_counted() -> None:
    relay = Relay(LABELLED)
    relay.join(ANNA, BERT)
    for payload in (bytes(MAX_PAYLOAD // 2), b"\n" * (MAX_PAYLOAD // 4), b"next"):
        relay.receive(BERT, payload)
    assert relay.inboxes[ANNA] == [b"guest-2: next"]
    assert relay.dropped() == {"too-long": 2}
