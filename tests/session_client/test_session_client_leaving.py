"""A client that leaves does not take with it what a relay that died has not forwarded."""

from __future__ import annotations

import pytest
from session_client_machine import (
    BERT,
    BERT_RECORD,
    BERTS_IDENTITY,
    OTHER_SESSION,
    OTHER_TAG,
    SESSION,
    TAG,
    ClientDriver,
    joined,
    started,
)

from udprelay.protocol.wire.entries import FailedNotice, JoinEntry
from udprelay.protocol.wire.from_client import DataUp, Leave, Ping, RosterRequest
from udprelay.protocol.wire.from_relay import Ack, Bye, Heartbeat, Members, Pong
from udprelay.protocol.wire.header import MORE, RELIABLE, RESUBMITTED
from udprelay.protocol.wire.joining import Unknown
from udprelay.protocol.wire.members import MemberKind
from udprelay.protocol.wire.sequenced import Entry, Notice
from udprelay.session_client.active_session import RETURN_PATIENCE
from udprelay.session_client.confirmation import EVERYBODY, SETTLE_PATIENCE
from udprelay.session_client.events import Closed, ContactLost, Delivered, Failed, Refused
from udprelay.session_client.machine import LEAVE_PATIENCE
from udprelay.session_client.message_sender import MessageError
from udprelay.session_client.pieces import ACKNOWLEDGED_LIFETIME
from udprelay.session_client.settings import State

RETURN_DELAY = 2000


def acknowledged(*payloads: bytes, history: tuple[int, int] | None = None) -> ClientDriver:
    """Return a client whose messages were acknowledged long after it had joined."""
    client = started()
    client.join([BERT_RECORD], history=history)
    client.pass_time(5)
    for payload in payloads:
        client.call("send", payload)
    client.acknowledge(1 + len(payloads))
    client.drain(DataUp)
    return client


def resume(client: ClientDriver) -> None:
    """Let the client join another relay."""
    client.challenge()
    client.welcome([BERT_RECORD], session_id=OTHER_SESSION, tag=OTHER_TAG, next_own=(1, 1))


def pong(client: ClientDriver, session: bytes = SESSION) -> None:
    """Answer the last PING."""
    client.receive(Pong(session, client.drain_tokens()[-1], 0, 0))


@pytest.mark.parametrize("answer", [Unknown(SESSION), None, Bye(SESSION, "stopping", "", 1)])
def test_it_offers_its_messages_to_another_relay_before_it_leaves(
    answer: Unknown | Bye | None,
) -> None:
    client = acknowledged(b"x", b"y")
    client.call("leave")
    if answer is None:
        client.pass_time(2)
        assert client.times(Ping) == [5 + n / 4 for n in range(8)]
    else:
        client.receive(answer)
        client.pass_time(0.1)
    assert client.drain_events(Closed) == []
    resume(client)
    flags = RELIABLE | RESUBMITTED
    assert client.drain(DataUp) == [
        DataUp(OTHER_SESSION, flags, 1, b"x"),
        DataUp(OTHER_SESSION, flags, 2, b"y"),
    ]
    client.receive(Ack(OTHER_SESSION, 2, 0, 1, 0))
    assert client.drain(Ping) == []
    client.receive(Ack(OTHER_SESSION, 3, 0, 1, 0))
    pong(client, OTHER_SESSION)
    assert client.drain(Leave) == [Leave(OTHER_SESSION)]
    client.receive(Bye(OTHER_SESSION, "left", "Bye.", 0))
    assert client.session_client.state is State.CLOSED
    assert client.events[-1] == Closed("left", "")
    assert client.drain_events(Failed) == []


def test_it_leaves_at_once_if_the_relay_that_has_its_messages_lives() -> None:
    client = acknowledged(b"x")
    client.call("leave")
    pong(client)
    assert client.drain(Leave) == [Leave(SESSION)]
    client.receive(Unknown(SESSION))
    assert client.drain_events(Closed) == [Closed("left", "")]
    assert client.drain_events(Failed) == []


def test_the_answer_to_an_earlier_ping_does_not_confirm_anything() -> None:
    client = acknowledged(b"x")
    client.call("ping")
    (token,) = client.drain_tokens()
    client.pass_time(0.1)
    client.call("leave")
    client.receive(Pong(SESSION, token, 0, 0), Pong(SESSION, bytes(8), 0, 0))
    assert client.drain(Leave) == []


def test_a_question_to_a_dead_relay_is_not_answered_by_another_one() -> None:
    client = acknowledged(b"x")
    client.call("leave")
    client.receive(Unknown(SESSION))
    client.pass_time(0.1)
    resume(client)
    client.pass_time(3)
    pong(client, OTHER_SESSION)
    assert client.drain(Leave) == []
    client.receive(Ack(OTHER_SESSION, 2, 0, 1, 0))
    pong(client, OTHER_SESSION)
    assert client.drain(Leave) == [Leave(OTHER_SESSION)]


def test_it_waits_until_the_relay_has_again_what_another_one_had() -> None:
    client = acknowledged(b"x")
    client.receive(Unknown(SESSION))
    resume(client)
    client.call("leave")
    assert client.drain(Leave) == []
    client.receive(Ack(OTHER_SESSION, 2, 0, 1, 0))
    pong(client, OTHER_SESSION)
    assert client.drain(Leave) == [Leave(OTHER_SESSION)]


def test_it_waits_until_the_others_have_come_to_the_other_relay() -> None:
    client = acknowledged(b"x")
    client.receive(Unknown(SESSION))
    client.challenge()
    client.welcome(session_id=OTHER_SESSION, tag=OTHER_TAG, next_own=(1, 1))
    client.receive(Ack(OTHER_SESSION, 2, 0, 1, 0))
    client.call("leave")
    assert client.drain(Leave) == []
    body = JoinEntry("bert", MemberKind.SESSION, BERTS_IDENTITY, 0, b"")
    client.receive(Entry(OTHER_TAG, 1, BERT, body))
    pong(client, OTHER_SESSION)
    assert client.drain(Leave) == [Leave(OTHER_SESSION)]


def test_it_waits_for_the_others_for_some_time_only() -> None:
    client = acknowledged(b"x")
    client.receive(Unknown(SESSION))
    client.challenge()
    client.welcome(session_id=OTHER_SESSION, tag=OTHER_TAG, next_own=(1, 1))
    client.receive(Ack(OTHER_SESSION, 2, 0, 1, 0))
    client.call("leave")
    client.receive(Pong(OTHER_SESSION, bytes(8), 0, 0))
    for _ in range(3):
        assert client.drain(Leave) == []
        client.pass_time(RETURN_PATIENCE / 3)
        client.receive(Heartbeat(OTHER_TAG, 0))
    assert client.drain(Leave) == [Leave(OTHER_SESSION)]


def test_it_waits_until_it_has_resumed() -> None:
    client = acknowledged(b"x")
    client.receive(Unknown(SESSION))
    client.call("leave")
    assert client.drain(Leave) == []
    resume(client)
    assert [data.payload for data in client.drain(DataUp)] == [b"x"]


def test_it_waits_for_private_messages_and_for_all_pieces() -> None:
    client = joined(BERT_RECORD)
    client.call("send_private", BERT, b"psst")
    client.call("send", bytes(1201))
    client.acknowledge(3, private=2)
    client.call("leave")
    client.receive(Unknown(SESSION))
    client.pass_time(1)
    resume(client)
    pieces = client.drain(DataUp)[-2:]
    assert [(data.own, data.flags & MORE) for data in pieces] == [(1, MORE), (2, 0)]
    client.receive(Ack(OTHER_SESSION, 2, 0, 2, 0))
    assert client.drain(Leave) == []
    client.receive(Ack(OTHER_SESSION, 3, 0, 2, 0))
    pong(client, OTHER_SESSION)
    assert client.drain(Leave) == [Leave(OTHER_SESSION)]


def test_a_resubmitted_message_is_delivered_once() -> None:
    client = acknowledged(b"x")
    client.receive(Unknown(SESSION))
    resume(client)
    client.receive(Ack(OTHER_SESSION, 2, 0, 1, 0))
    assert client.drain_events(Delivered) == [Delivered(1)]
    assert client.session_client.outstanding == 0


@pytest.mark.parametrize("relay_answers", [False, True])
def test_it_gives_up_after_a_while_and_says_what_is_in_doubt(relay_answers: bool) -> None:
    client = acknowledged(b"x")
    outstanding = client.call("send", b"y")
    client.call("leave")
    if relay_answers:
        client.receive(Unknown(SESSION))
        client.pass_time(0.1)
        resume(client)
    client.pass_time(LEAVE_PATIENCE - 0.2)
    assert client.drain_events(Closed) == []
    client.pass_time(0.2)
    assert client.events[-3:] == [
        Failed(outstanding, "closed"),
        Failed(1, "unconfirmed"),
        Closed("left", ""),
    ]
    assert client.session_client.next_deadline() is None


def test_what_is_in_doubt_fails_if_the_other_relay_refuses() -> None:
    client = acknowledged(b"x")
    client.call("leave")
    client.receive(Unknown(SESSION))
    client.pass_time(0.1)
    client.challenge()
    client.refuse("banned")
    assert client.events[-2:] == [Failed(1, "unconfirmed"), Refused("banned", "No.")]


def test_a_client_that_is_refused_without_leaving_reports_no_doubt() -> None:
    client = acknowledged(b"x")
    client.receive(Unknown(SESSION))
    client.challenge()
    client.refuse("banned")
    assert client.drain_events(Failed) == []


def test_a_resubmitted_private_message_whose_receiver_has_left_is_in_doubt_no_more() -> None:
    client = joined(BERT_RECORD)
    message = client.call("send_private", BERT, b"psst")
    client.acknowledge(1, private=2)
    client.receive(Unknown(SESSION))
    client.pass_time(1)
    resume(client)
    client.call("leave")
    client.receive(
        Notice(OTHER_SESSION, 1, FailedNotice(1, "absent")), Ack(OTHER_SESSION, 1, 0, 1, 0)
    )
    assert Failed(message, "absent") in client.events
    assert client.drain(Leave) == [Leave(OTHER_SESSION)]


def test_a_client_that_waits_to_leave_sends_nothing_new() -> None:
    client = acknowledged(b"x")
    client.call("leave")
    client.receive(Unknown(SESSION))
    with pytest.raises(MessageError, match="left"):
        client.call("send", b"y")


def test_what_was_acknowledged_long_ago_is_not_in_doubt() -> None:
    client = acknowledged(b"x")
    for _ in range(4):
        client.pass_time(ACKNOWLEDGED_LIFETIME / 4)
        client.receive(Heartbeat(TAG, 0))
    client.datagrams.clear()
    client.call("leave")
    assert client.drain(Leave) == [Leave(SESSION)]


def test_a_client_that_has_sent_nothing_does_not_wait_for_others() -> None:
    client = joined(BERT_RECORD)
    client.pass_time(5)
    client.receive(Unknown(SESSION))
    client.challenge()
    client.welcome(session_id=OTHER_SESSION, tag=OTHER_TAG)
    client.call("leave")
    assert client.drain(Leave) == [Leave(OTHER_SESSION)]


def test_a_message_that_was_acknowledged_in_part_fails_once() -> None:
    client = joined(BERT_RECORD)
    client.pass_time(5)
    message = client.call("send", bytes(1201))
    client.acknowledge(2)
    client.receive(Unknown(SESSION))
    resume(client)
    client.call("leave")
    assert client.drain(Leave) == [Leave(OTHER_SESSION)]
    client.receive(Bye(OTHER_SESSION, "left", "Bye.", 0))
    assert client.drain_events(Failed) == [Failed(message, "closed")]


def settled(client: ClientDriver, newest: int, settled: int | None) -> None:
    """Answer the question what all have settled."""
    client.receive(Members(SESSION, EVERYBODY, newest, (), settled=settled))


class TestOthers:
    """A client that leaves waits until the others have settled what it has sent."""

    def test_it_asks_what_the_others_have_settled(self) -> None:
        client = acknowledged(b"x", history=(40, 64))
        client.call("leave")
        assert client.drain(RosterRequest) == [RosterRequest(SESSION, EVERYBODY)]

    def test_it_stays_until_the_others_have_settled_all_up_to_the_first_answer(self) -> None:
        client = acknowledged(b"x", history=(40, 64))
        client.call("leave")
        pong(client)
        settled(client, 7, 6)
        client.pass_time(0.25)
        settled(client, 9, 6)
        assert client.drain(Leave) == []
        settled(client, 9, 7)
        assert client.drain(Leave) == [Leave(SESSION)]

    def test_it_asks_again_while_the_relay_answers_and_leaves_after_a_while(self) -> None:
        client = acknowledged(b"x", history=(40, 64))
        client.call("leave")
        for _ in range(int(4 * SETTLE_PATIENCE)):
            pong(client)
            assert client.drain(Leave) == []
            client.pass_time(0.25)
        pong(client)
        assert client.drain(Leave) == [Leave(SESSION)]
        client.receive(Bye(SESSION, "left", "Bye.", 0))
        assert client.drain_events(Failed) == []

    def test_it_does_not_stay_with_a_relay_that_tells_nothing_of_others(self) -> None:
        client = acknowledged(b"x", history=(40, 64))
        client.call("leave")
        settled(client, 7, None)
        assert Leave(SESSION) not in client.datagrams
        pong(client)
        assert client.drain(Leave) == [Leave(SESSION)]

    def test_it_offers_its_messages_again_if_the_relay_dies_meanwhile(self) -> None:
        client = acknowledged(b"x", history=(40, 64))
        client.call("leave")
        pong(client)
        settled(client, 7, 6)
        client.receive(Unknown(SESSION))
        client.pass_time(0.1)
        resume(client)
        assert client.drain(DataUp) == [DataUp(OTHER_SESSION, RELIABLE | RESUBMITTED, 1, b"x")]

    def test_it_has_lost_contact_if_the_relay_falls_silent_meanwhile(self) -> None:
        client = acknowledged(b"x", history=(40, 64))
        client.call("leave")
        pong(client)
        client.pass_time(3)
        assert client.drain_events(ContactLost) == [ContactLost("silent")]

    def test_an_answer_that_nobody_asked_for_changes_nothing(self) -> None:
        client = acknowledged(b"x", history=(40, 64))
        settled(client, 7, 7)
        client.call("leave")
        assert client.drain(Leave) == []
        client.receive(Members(SESSION, 0, 7, (), settled=7))
        assert client.drain(Leave) == []
