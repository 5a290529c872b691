"""The notices of rooms, and when they are reported."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from client_fakes import RecordingObserver
from twisted.internet.task import Clock

from udprelay.client.notices import Level
from udprelay.client.room_reporter import (
    MEMBERS_PATIENCE,
    PROGRESS_DELAY,
    RoomReporter,
    notice_of,
)
from udprelay.protocol.wire.members import MemberKind
from udprelay.session_client import events
from udprelay.session_client.known_member import KnownMember

LONG = b"x" * 100
MEMBER: Any = SimpleNamespace(
    relay="192.0.2.1:6000",
    room="lobby",
    nick="ada",
    number=3,
    sealed=False,
    nobody_listens=False,
    members_known=True,
    payload={1: b"hello\n", 2: LONG}.get,
    statistics=SimpleNamespace(lost=1, repaired=2, repeated=3),
)
SESSION = MemberKind.SESSION


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            events.Joined("lobby", "ada", 3, resumed=True),
            "reconnected to 192.0.2.1:6000",
        ),
        (
            events.ContactLost("silent"),
            "lost contact with 192.0.2.1:6000: no answer; reconnecting",
        ),
        (
            events.ContactLost("new-code"),
            "lost contact with 192.0.2.1:6000: new-code; reconnecting",
        ),
        (events.Refused("room-full", ""), "not admitted to lobby: room-full"),
        (
            events.Refused("wrong-key", "The proof is not right."),
            "not admitted to lobby: The proof is not right",
        ),
        (events.Closed("kicked", "You were kicked."), "no longer in lobby: You were kicked"),
        (events.Failed(1, "absent"), "not delivered (its receiver has left): hello"),
        (events.Failed(9, "new-code"), "not delivered (new-code)"),
        (
            events.Failed(2, "unacknowledged"),
            f"not delivered (the relay did not acknowledge it): {'x' * 60}...",
        ),
        (events.Missed(1, "bob"), "not received by bob: hello"),
        (events.Missed(9, None), "not received by a member"),
        (
            events.Limited("member-output", 12),
            "too fast for the relay: it has dropped 12 of your datagrams (member-output)",
        ),
        (events.WaitingFor((7,), ("bob",)), "waiting for bob"),
        (events.WaitingFor((7, 8), ("bob", None)), "waiting for bob and member 8"),
        (events.WaitingFor((), ()), "no longer waiting"),
        (events.Lost(1, "bob"), "lost in transit: 1 message from bob"),
        (events.Lost(7, None), "lost in transit: 7 messages"),
        (
            events.Distrusted("unsealed", 7, "bob", 1),
            "dropped 1 message from bob: not encrypted",
        ),
        (
            events.Distrusted("seal", 7, None, 3),
            "dropped 3 messages from member 7: decryption failed",
        ),
        (
            events.Distrusted("repeated", 7, "bob", 1),
            "dropped 1 message from bob: replayed",
        ),
        (
            events.Distrusted("withheld", 7, "bob", 2),
            "not received: 2 messages from bob, withheld by the relay or given up",
        ),
        (
            events.Distrusted("badge", 7, None, 1),
            "the nick of member 7 is not authenticated",
        ),
        (events.Distrusted("new-code", 7, "bob", 1), "1 message from bob: new-code"),
        (events.MemberJoined(7, "bob", SESSION), "bob has joined"),
        (events.MemberJoined(7, None, SESSION), "member 7 has joined"),
        (events.MemberLeft(7, "bob", "left"), "bob has left"),
        (events.MemberLeft(7, "bob", ""), "bob has left"),
        (events.MemberLeft(7, "bob", "idle"), "bob timed out"),
        (events.NickChanged(7, "bob", "robert", own=False), "bob is now robert"),
        (events.NickChanged(7, None, None, own=False), "member 7 is now member 7"),
        (events.NickChanged(3, "ada", "countess", own=True), "you are now countess"),
        (events.NickRefused("nick-taken", "It is taken."), "nick not changed: It is taken"),
        (
            events.Ponged(0.01234),
            (
                "192.0.2.1:6000 answered in 12.3 ms; datagrams lost: 1, recovered: 2,"
                " retransmitted: 3"
            ),
        ),
    ],
)
def test_a_notice_has_one_line_for_people(event: events.Event, text: str) -> None:
    notice = notice_of(event, MEMBER)
    assert notice is not None
    assert notice.text == text


@pytest.mark.parametrize(
    "event",
    [
        events.Delivered(1),
        events.NoAnswer(0.0),
        events.KeysNeeded(bytes(16)),
        events.Received(7, "bob", b"hi", reliable=True, private=False, sealed=False),
    ],
)
def test_other_events_have_no_notice(event: events.Event) -> None:
    assert notice_of(event, MEMBER) is None


@pytest.mark.parametrize(
    "event",
    [
        events.Failed(1, "absent"),
        events.Missed(1, "bob"),
        events.Lost(1, "bob"),
        events.Distrusted("seal", 7, "bob", 1),
        events.Refused("room-full", ""),
        events.Closed("kicked", ""),
    ],
)
def test_losses_are_errors_which_quiet_shows_too(event: events.Event) -> None:
    notice = notice_of(event, MEMBER)
    assert notice is not None
    assert notice.level is Level.ERROR


def test_the_fields_have_the_whole_message() -> None:
    notice = notice_of(events.Failed(2, "absent"), MEMBER)
    assert notice is not None
    assert dict(notice.fields) == {"reason": "absent", "text": LONG.decode(), "bytes": 100}


@pytest.mark.parametrize(
    ("others", "text"),
    [
        ([], "alone"),
        (["bob"], "with bob"),
        (["bob", "carol"], "with bob and carol"),
        (list("abcdefgh"), "with a, b, c, d, e, f, g and h"),
        (list("abcdefghijk"), "with a, b, c, d, e, f, g, h and 3 more"),
    ],
)
def test_joining_names_at_most_eight_members(others: list[str], text: str) -> None:
    run = ReporterRun()
    members = [KnownMember(7, nick, SESSION, b"", trusted=True) for nick in others]
    run.reporter.joined(MEMBER, lambda: members)
    assert run.texts() == [f"in lobby as ada, {text}"]
    assert run.observer.notices[0].fields["others"] == len(others)


def test_joining_an_encrypted_room_says_so() -> None:
    run = ReporterRun()
    sealed: Any = SimpleNamespace(**{**vars(MEMBER), "sealed": True})
    run.reporter.joined(sealed, list)
    assert run.texts() == ["in lobby (encrypted) as ada, alone"]


def test_an_icmp_error_is_reported_instead_of_silence() -> None:
    run = ReporterRun()
    refused: Any = SimpleNamespace(**{**vars(MEMBER), "nobody_listens": True})
    run.reporter.while_joining(refused, events.NoAnswer(0.0))
    assert run.texts() == ["no program listens at 192.0.2.1:6000; still trying"]


class ReporterRun:
    """A reporter, its clock and its observer."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.observer = RecordingObserver()
        self.reporter = RoomReporter(self.clock, self.observer)

    def texts(self) -> list[str]:
        return [notice.text for notice in self.observer.notices]


def test_slow_steps_are_reported_after_a_second() -> None:
    run = ReporterRun()
    run.reporter.connecting("192.0.2.1:6000", "lobby")
    run.clock.advance(PROGRESS_DELAY / 2)
    run.reporter.while_joining(MEMBER, events.KeysNeeded(bytes(16)))
    run.clock.advance(PROGRESS_DELAY / 2)
    assert run.texts() == []
    run.clock.advance(PROGRESS_DELAY / 2)
    assert run.texts() == ["deriving the key from the passphrase ..."]
    run.reporter.joined(MEMBER, list)
    assert run.texts()[1:] == ["in lobby as ada, alone"]
    assert run.clock.getDelayedCalls() == []


def test_silence_is_reported_at_growing_intervals() -> None:
    run = ReporterRun()
    for _ in range(10):
        run.reporter.while_joining(MEMBER, events.NoAnswer(0.0))
    assert [notice.fields["seconds"] for notice in run.observer.notices] == [5, 10, 20, 40]
    run.reporter.while_joined(MEMBER, events.Joined("lobby", "ada", 3, resumed=True))
    run.reporter.while_joined(MEMBER, events.NoAnswer(0.0))
    assert run.observer.notices[-1].fields["seconds"] == 5


def test_the_event_of_the_first_join_is_not_reported_twice() -> None:
    run = ReporterRun()
    run.reporter.while_joined(MEMBER, events.Joined("lobby", "ada", 3, resumed=False))
    assert run.texts() == []


def test_a_failed_message_is_remembered() -> None:
    run = ReporterRun()
    run.reporter.while_joined(MEMBER, events.Delivered(1))
    assert not run.reporter.failed
    run.reporter.report(MEMBER, events.Failed(1, "absent"))
    assert run.reporter.failed


LARGE: Any = SimpleNamespace(**{**vars(MEMBER), "members_known": False})


def test_a_large_room_is_reported_once_all_its_members_are_known() -> None:
    run, others = ReporterRun(), [KnownMember(1, "bob", SESSION, b"", True)]
    run.reporter.joined(LARGE, lambda: others)
    assert run.observer.events == []
    others.append(KnownMember(2, "eve", SESSION, b"", True))
    run.reporter.while_joined(LARGE, events.MembersKnown())
    run.reporter.while_joined(LARGE, events.MembersKnown())
    run.clock.advance(MEMBERS_PATIENCE)
    assert [notice.fields["others"] for notice in run.observer.notices] == [2]


def test_a_large_room_is_reported_after_a_while_with_those_that_are_known() -> None:
    run = ReporterRun()
    run.reporter.joined(LARGE, list)
    run.clock.advance(MEMBERS_PATIENCE)
    run.reporter.while_joined(LARGE, events.MembersKnown())
    assert [notice.fields["others"] for notice in run.observer.notices] == [0]
