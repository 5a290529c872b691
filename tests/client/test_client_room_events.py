"""What people are told of each event, and when."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from client_fakes import Owner
from twisted.internet.task import Clock

from udprelay.client import room_notices
from udprelay.client.notices import Volume
from udprelay.client.room_events import notice_of
from udprelay.client.room_news import PROGRESS, RoomNews
from udprelay.protocol.wire.members import MemberKind
from udprelay.session_client import events

LONG = b"x" * 100
MEMBER: Any = SimpleNamespace(
    relay="192.0.2.1:6000",
    room="lobby",
    nick="ada",
    number=3,
    sealed=False,
    nobody_listens=False,
    payload={1: b"hello\n", 2: LONG}.get,
    statistics=SimpleNamespace(lost=1, repaired=2, repeated=3),
)
SESSION = MemberKind.SESSION


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (
            events.Joined("lobby", "ada", 3, resumed=True),
            "in contact with 192.0.2.1:6000 again",
        ),
        (
            events.ContactLost("silent"),
            "no contact with 192.0.2.1:6000: it does not answer; trying to find it again",
        ),
        (
            events.ContactLost("new-code"),
            "no contact with 192.0.2.1:6000: new-code; trying to find it again",
        ),
        (events.Refused("room-full", ""), "not admitted to lobby: room-full"),
        (
            events.Refused("wrong-key", "The proof is not right."),
            "not admitted to lobby: The proof is not right",
        ),
        (events.Closed("kicked", "You were put out."), "no longer in lobby: You were put out"),
        (events.Failed(1, "absent"), "not delivered (its receiver has left): hello"),
        (events.Failed(9, "new-code"), "not delivered (new-code)"),
        (
            events.Failed(2, "unacknowledged"),
            f"not delivered (the relay did not confirm it): {'x' * 60}...",
        ),
        (events.Missed(1, "bob"), "not received by bob: hello"),
        (events.Missed(9, None), "not received by a member"),
        (events.Lost(1, "bob"), "lost on the way here: 1 message of bob"),
        (events.Lost(7, None), "lost on the way here: 7 messages"),
        (
            events.Distrusted("unsealed", 7, "bob", 1),
            "from bob, not encrypted: 1 message",
        ),
        (
            events.Distrusted("seal", 7, None, 3),
            "from member 7, not to be decrypted: 3 messages",
        ),
        (
            events.Distrusted("repeated", 7, "bob", 1),
            "from bob, repeated by somebody: 1 message",
        ),
        (
            events.Distrusted("withheld", 7, "bob", 2),
            "from bob, kept back by the relay, or given up: 2 messages",
        ),
        (
            events.Distrusted("badge", 7, None, 1),
            "nobody vouches for the nick of member 7",
        ),
        (events.Distrusted("new-code", 7, "bob", 1), "from bob, new-code: 1 message"),
        (events.MemberJoined(7, "bob", SESSION), "bob has joined"),
        (events.MemberJoined(7, None, SESSION), "member 7 has joined"),
        (events.MemberLeft(7, "bob", "left"), "bob has left"),
        (events.MemberLeft(7, "bob", ""), "bob has left"),
        (events.MemberLeft(7, "bob", "idle"), "bob was silent for too long"),
        (events.NickChanged(7, "bob", "robert", own=False), "bob is now robert"),
        (events.NickChanged(7, None, None, own=False), "member 7 is now member 7"),
        (events.NickChanged(3, "ada", "countess", own=True), "you are now countess"),
        (events.NickRefused("nick-taken", "It is taken."), "no new nick: It is taken"),
        (
            events.Ponged(0.01234),
            (
                "192.0.2.1:6000 answered in 12.3 ms; datagrams lost: 1, asked for again: 2,"
                " sent again: 3"
            ),
        ),
    ],
)
def test_an_event_is_told_in_one_line(event: events.Event, told: str) -> None:
    notice = notice_of(MEMBER, event)
    assert notice is not None
    assert notice.text == told


@pytest.mark.parametrize(
    "event",
    [
        events.Delivered(1),
        events.NoAnswer(0.0),
        events.KeysNeeded(bytes(16)),
        events.Received(7, "bob", b"hi", reliable=True, private=False, sealed=False),
    ],
)
def test_some_events_are_no_notices(event: events.Event) -> None:
    assert notice_of(MEMBER, event) is None


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
def test_what_is_lost_is_told_even_to_those_who_want_quiet(event: events.Event) -> None:
    notice = notice_of(MEMBER, event)
    assert notice is not None
    assert notice.volume is Volume.ERROR


def test_ones_own_message_is_told_whole_to_programs() -> None:
    notice = notice_of(MEMBER, events.Failed(2, "absent"))
    assert notice is not None
    assert dict(notice.fields) == {"reason": "absent", "text": LONG.decode(), "bytes": 100}


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ([], "alone"),
        (["bob"], "with bob"),
        (["bob", "carol"], "with bob and carol"),
        (list("abcdefgh"), "with a, b, c, d, e, f, g and h"),
        (list("abcdefghijk"), "with a, b, c, d, e, f, g, h and 3 more"),
    ],
)
def test_who_is_there_is_told_in_moderation(others: list[str], told: str) -> None:
    notice = room_notices.joined("192.0.2.1:6000", "lobby", "ada", 3, others, sealed=False)
    assert notice.text == f"in lobby as ada, {told}"
    assert notice.fields["others"] == len(others)


def test_that_everything_is_encrypted_is_told() -> None:
    notice = room_notices.joined("192.0.2.1:6000", "lobby", "ada", 3, [], sealed=True)
    assert notice.text == "in lobby (encrypted) as ada, alone"


def test_that_nobody_listens_is_told() -> None:
    notice = room_notices.silent("192.0.2.1:6000", 5, refused=True)
    assert notice.text == "nobody listens at 192.0.2.1:6000; trying on"


class News:
    def __init__(self) -> None:
        self.clock = Clock()
        self.owner = Owner()
        self.news = RoomNews(self.clock, self.owner)

    def texts(self) -> list[str]:
        return [notice.text for notice in self.owner.notices]


def test_what_takes_long_is_told_after_a_second() -> None:
    told = News()
    told.news.connecting("192.0.2.1:6000", "lobby")
    told.clock.advance(PROGRESS / 2)
    told.news.on_the_way(MEMBER, events.KeysNeeded(bytes(16)))
    told.clock.advance(PROGRESS / 2)
    assert told.texts() == []
    told.clock.advance(PROGRESS / 2)
    assert told.texts() == ["computing the key from the passphrase ..."]
    told.news.entered(MEMBER, [])
    assert told.texts()[1:] == ["in lobby as ada, alone"]
    assert told.clock.getDelayedCalls() == []


def test_silence_is_told_ever_less_often() -> None:
    told = News()
    for _ in range(10):
        told.news.on_the_way(MEMBER, events.NoAnswer(0.0))
    assert [notice.fields["seconds"] for notice in told.owner.notices] == [5, 10, 20, 40]
    told.news.here(MEMBER, events.Joined("lobby", "ada", 3, resumed=True))
    told.news.here(MEMBER, events.NoAnswer(0.0))
    assert told.owner.notices[-1].fields["seconds"] == 5


def test_being_there_for_the_first_time_is_told_once() -> None:
    told = News()
    told.news.here(MEMBER, events.Joined("lobby", "ada", 3, resumed=False))
    assert told.texts() == []


def test_a_message_that_has_failed_is_remembered() -> None:
    told = News()
    told.news.here(MEMBER, events.Delivered(1))
    assert not told.news.failed
    told.news.tell(MEMBER, events.Failed(1, "absent"))
    assert told.news.failed
