"""A member that is about to leave learns what the others have settled."""

from __future__ import annotations

from relay_session import Client, SessionRelay

from udprelay.protocol.wire.from_client import RosterRequest
from udprelay.protocol.wire.from_relay import Members, Waiting
from udprelay.relay.session.settlement import ASK_INTERVAL, EVERYBODY, SILENCE


def entered(*, reports: bool = True) -> tuple[SessionRelay, Client, Client]:
    """Return a relay, a sender, and a receiver that reports, if said so."""
    relay = SessionRelay()
    anna = Client(relay, "10.0.1.1:4000", "anna")
    bert = Client(relay, "10.0.1.2:4000", "bert")
    anna.join()
    bert.join(reports=reports)
    bert.report(relay.room_log().newest)
    anna.drain()
    bert.drain()
    return relay, anna, bert


def ask(client: Client) -> Members:
    client.drain()
    client.send(RosterRequest(client.id, EVERYBODY).encode())
    (answer,) = client.drain(Members)
    assert answer.members == ()
    return answer


def test_it_is_told_the_newest_sequence_if_all_have_settled_it() -> None:
    _, anna, bert = entered()
    answer = ask(anna)
    assert answer.settled == answer.newest
    assert bert.drain(Waiting) == []


def test_who_is_behind_is_asked_and_counts() -> None:
    relay, anna, bert = entered()
    before = relay.room_log().newest
    anna.send_data(b"line")
    assert ask(anna).settled == before
    assert bert.drain(Waiting) == [Waiting(bert.id, (bert.session.number,))]
    relay.wait(ASK_INTERVAL)
    bert.report(before + 1)
    assert ask(anna).settled == before + 1


def test_private_messages_that_are_on_their_way_count() -> None:
    relay, anna, bert = entered()
    anna.send_private(bert, b"psst")
    newest = relay.room_log().newest
    assert ask(anna).settled == 0
    relay.wait(ASK_INTERVAL)
    bert.report(newest, 1)
    assert ask(anna).settled == newest


def test_the_members_are_looked_at_once_in_a_while() -> None:
    relay, anna, bert = entered()
    anna.send_data(b"line")
    first = ask(anna)
    bert.drain()
    bert.report(relay.room_log().newest)
    assert ask(anna) == first
    assert bert.drain(Waiting) == []


def test_nobody_stays_for_a_member_that_does_not_report() -> None:
    _, anna, _ = entered(reports=False)
    anna.send_data(b"line")
    answer = ask(anna)
    assert answer.settled == answer.newest


def test_nobody_stays_for_a_member_that_is_silent() -> None:
    relay, anna, _ = entered()
    anna.send_data(b"line")
    relay.wait(SILENCE + 1)
    answer = ask(anna)
    assert answer.settled == answer.newest
