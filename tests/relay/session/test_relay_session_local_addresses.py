"""A session is answered from the address of the relay that its peer has written to last."""

from __future__ import annotations

from relay_session import Client, SessionRelay, joined

from udprelay.protocol.wire.from_relay import PathChallenge
from udprelay.protocol.wire.sequenced import Data
from udprelay.relay import events


def elsewhere(source: str) -> str:
    """Return the same peer, which asks another address."""
    return f"{source.partition(' ')[0]} of 192.0.2.2"


def test_a_session_that_asks_another_address_is_answered_from_there_at_once() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    anna.source = elsewhere(anna.source)
    assert len(anna.ping()) == 1
    bert.send_data(b"where are you?")
    assert [data.payload for data in anna.drain(Data)] == [b"where are you?"]
    assert relay.events(events.MemberMoved) == []


def test_data_to_another_address_moves_the_session_without_a_path_challenge() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    anna.source = elsewhere(anna.source)
    anna.send_data(b"a message to another address")
    assert anna.drain(PathChallenge) == []
    bert.send_data(b"heard")
    assert [data.payload for data in anna.drain(Data)] == [b"heard"]


def test_a_session_that_is_resumed_at_another_address_has_not_moved() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    anna.source = elsewhere(anna.source)
    anna.join()
    assert relay.events(events.MemberMoved) == []
    bert.send_data(b"where are you?")
    assert [data.payload for data in anna.drain(Data)] == [b"where are you?"]


def test_another_peer_is_challenged() -> None:
    relay = SessionRelay()
    anna, _ = joined(relay, "anna", "bert")
    anna.source = "10.9.9.9:999 of 192.0.2.2"
    anna.ping()
    assert relay.events(events.MemberMoved) == []
    assert anna.session.address != "10.9.9.9:999"


def test_a_plain_member_that_joins_with_a_session_from_there_is_replaced() -> None:
    relay = SessionRelay()
    (bert,) = joined(relay, "bert")
    source = "10.0.0.77:7777"
    relay.receive(f"{source} of 192.0.2.1", b"plain")
    anna = Client(relay, f"{source} of 192.0.2.2")
    anna.join()
    assert relay.members() == set()
    assert anna.is_member()
    assert bert.is_member()
