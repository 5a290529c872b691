"""One run: counting, waiting, leaving; with a conversation that only remembers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from client_fakes import Front
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from udprelay.client.client import PROGRESS, Client
from udprelay.client.notices import Notice, Volume
from udprelay.client.options import Options
from udprelay.client.talk import Heard, Listening, Said


class Talk:
    """A conversation whose progress a test decides."""

    peer = "192.0.2.1:6000"
    resolving = False

    def __init__(self, owner: Listening) -> None:
        self.owner = owner
        self.said: list[bytes] = []
        self.busy = False
        self.pending = 0
        self.status = 0
        self.closed = 0
        self.left: Deferred[None] = succeed(None)

    async def open(self) -> None:
        self.owner.opened()

    def say(self, said: Said) -> None:
        self.said.append(said.payload)

    def outcome(self) -> int:
        return self.status

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def close(self) -> Deferred[None]:
        self.closed += 1
        return self.left


class Run:
    """A client on a clock of its own."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.front = Front()
        self.status: int | None = None
        self.client = Client(Options(**options), self.clock, self.front, self._talk)
        self.client.finished.addCallback(self._finish)
        Deferred.fromCoroutine(self.client.start())

    def _talk(self, owner: Listening) -> Talk:
        self.talk = Talk(owner)
        return self.talk

    def _finish(self, status: int) -> None:
        self.status = status


def hear(run: Run, *payloads: bytes) -> None:
    for payload in payloads:
        run.client.heard(Heard(payload))


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    made: list[Run] = []
    request.node.made = made
    yield
    for run in made:
        run.client.leave(9)
        assert (run.talk.closed, run.front.closed) == (1, 1)
        assert run.clock.getDelayedCalls() == []


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Run:
    made = Run(**getattr(request, "param", {}))
    request.node.made.append(made)
    return made


def test_the_front_end_begins_when_the_conversation_is_open(run: Run) -> None:
    assert run.front.begun


def test_what_is_said_and_heard_is_passed_on(run: Run) -> None:
    run.client.say(Said(b"hello"))
    hear(run, b"hi")
    assert (run.talk.said, run.front.shown) == ([b"hello"], [b"hi"])


def test_more_may_be_said_when_little_waits(run: Run) -> None:
    run.talk.busy = True
    run.client.progressed()
    assert (run.client.busy, run.front.drains) == (True, 0)
    run.talk.busy = False
    run.client.progressed()
    assert (run.client.busy, run.front.drains) == (False, 1)


def test_after_the_end_of_input_it_stays_for_a_while_and_leaves_with_the_outcome(
    run: Run,
) -> None:
    run.talk.status = 2
    run.client.input_ended(2.0)
    run.clock.advance(1.9)
    assert run.front.closed == 0
    run.clock.advance(0.1)
    assert run.status == 2


def test_the_while_begins_when_nothing_is_pending(run: Run) -> None:
    run.talk.pending = 1
    run.client.input_ended(2.0)
    run.clock.advance(10)
    run.talk.pending = 0
    run.client.progressed()
    run.clock.advance(1.9)
    assert run.status is None
    run.client.progressed()
    run.clock.advance(0.1)
    assert run.status == 0


def test_a_person_who_leaves_knows_how_things_are(run: Run) -> None:
    run.talk.status = 2
    run.client.input_ended(None)
    assert run.status == 0


def test_that_it_waits_for_what_is_pending_is_told_after_a_second(run: Run) -> None:
    run.talk.pending = 2
    run.client.input_ended(None)
    run.clock.advance(PROGRESS)
    assert [notice.text for notice in run.front.notices] == [
        "leaving as soon as 2 messages have arrived"
    ]
    run.talk.pending = 0
    run.client.progressed()
    assert run.status == 0


@pytest.mark.parametrize("run", [{"count": 2}], indirect=True)
def test_it_leaves_after_the_wanted_number_and_shows_and_says_no_more(run: Run) -> None:
    run.talk.pending = 1
    hear(run, b"one", b"two", b"three")
    run.client.say(Said(b"late"))
    assert (run.status, run.talk.said) == (None, [])
    run.talk.pending, run.talk.status = 0, 1
    run.client.progressed()
    assert (run.status, run.front.shown) == (1, [b"one", b"two"])


@pytest.mark.parametrize("run", [{"count": 1}], indirect=True)
def test_the_wanted_number_ends_the_waiting_for_more(run: Run) -> None:
    run.client.input_ended(60.0)
    hear(run, b"one")
    assert run.status == 0


def test_leaving_waits_until_the_conversation_is_closed(run: Run) -> None:
    run.talk.left = Deferred()
    run.client.leave(130)
    run.client.leave(0)
    hear(run, b"late")
    run.client.progressed()
    assert (run.status, run.front.shown) == (None, [])
    run.talk.left.callback(None)
    assert run.status == 130


def test_a_conversation_that_ends_by_itself_ends_the_run(run: Run) -> None:
    run.client.input_ended(60.0)
    run.client.ended(3)
    assert run.status == 3


@pytest.mark.parametrize(
    ("run", "company", "told"),
    [
        ({}, False, ["NORMAL", "ERROR"]),
        ({}, True, ["COMPANY", "NORMAL", "ERROR"]),
        ({"quiet": True}, True, ["ERROR"]),
        ({"verbose": True}, False, ["DETAIL", "COMPANY", "NORMAL", "ERROR"]),
    ],
    indirect=["run"],
)
def test_how_much_is_told_is_chosen(run: Run, company: bool, told: list[str]) -> None:
    run.front.company = company
    for volume in Volume:
        run.client.notice(Notice(volume.name, "", volume=volume))
    assert run.front.events == told
