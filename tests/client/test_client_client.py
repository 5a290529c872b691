"""When a client leaves, with which exit status, and what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from client_fakes import RecordingFrontEnd
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from udprelay.client.channel import ChannelObserver, IncomingMessage, OutgoingMessage
from udprelay.client.client import PROGRESS_DELAY, Client
from udprelay.client.notices import Level, Notice
from udprelay.client.options import Options


class FakeChannel:
    """A channel whose state a test sets."""

    peer = "192.0.2.1:6000"
    resolving = False

    def __init__(self, observer: ChannelObserver) -> None:
        self.observer = observer
        self.sent: list[bytes] = []
        self.busy = False
        self.pending = 0
        self.status = 0
        self.closed = 0
        self.left: Deferred[int] | None = None

    async def open(self) -> None:
        self.observer.opened()

    def send(self, message: OutgoingMessage) -> None:
        self.sent.append(message.payload)

    def send_now(self, payload: bytes, number: int | None = None) -> str | None:
        raise NotImplementedError

    def exit_status(self) -> int:
        return self.status

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def close(self) -> Deferred[int]:
        self.closed += 1
        return succeed(self.status) if self.left is None else self.left


class Run:
    """A client on a clock of its own."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.front = RecordingFrontEnd()
        self.status: int | None = None
        self.client = Client(Options(**options), self.clock, self.front, self._make_channel)
        self.client.finished.addCallback(self._finish)
        Deferred.fromCoroutine(self.client.start())

    def _make_channel(self, observer: ChannelObserver) -> FakeChannel:
        self.channel = FakeChannel(observer)
        return self.channel

    def _finish(self, status: int) -> None:
        self.status = status


def receive(run: Run, *payloads: bytes) -> None:
    for payload in payloads:
        run.client.received(IncomingMessage(payload))


@pytest.fixture(autouse=True)
def everything_is_closed(request: pytest.FixtureRequest) -> Iterator[None]:
    made: list[Run] = []
    request.node.made = made
    yield
    for run in made:
        run.client.leave(9)
        assert (run.channel.closed, run.front.closed) == (1, 1)
        assert run.clock.getDelayedCalls() == []


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Run:
    made = Run(**getattr(request, "param", {}))
    request.node.made.append(made)
    return made


def test_the_front_end_begins_when_the_channel_is_open(run: Run) -> None:
    assert run.front.begun


def test_messages_are_passed_in_both_directions(run: Run) -> None:
    run.client.send(OutgoingMessage(b"hello"))
    receive(run, b"hi")
    assert (run.channel.sent, run.front.shown) == ([b"hello"], [b"hi"])


def test_input_is_resumed_when_the_channel_is_no_longer_busy(run: Run) -> None:
    run.channel.busy = True
    run.client.progressed()
    assert (run.client.busy, run.front.resumed) == (True, 0)
    run.channel.busy = False
    run.client.progressed()
    assert (run.client.busy, run.front.resumed) == (False, 1)


def test_after_the_end_of_input_it_waits_then_leaves_with_the_status_of_the_channel(
    run: Run,
) -> None:
    run.channel.status = 2
    run.client.input_ended(2.0)
    run.clock.advance(1.9)
    assert run.front.closed == 0
    run.clock.advance(0.1)
    assert run.status == 2


def test_the_wait_starts_when_no_message_is_pending(run: Run) -> None:
    run.channel.pending = 1
    run.client.input_ended(2.0)
    run.clock.advance(10)
    run.channel.pending = 0
    run.client.progressed()
    run.clock.advance(1.9)
    assert run.status is None
    run.client.progressed()
    run.clock.advance(0.1)
    assert run.status == 0


def test_leaving_a_terminal_is_status_0(run: Run) -> None:
    run.channel.status = 2
    run.client.input_ended(None)
    assert run.status == 0


def test_a_long_wait_for_pending_messages_is_reported(run: Run) -> None:
    run.channel.pending = 2
    run.client.input_ended(None)
    run.clock.advance(PROGRESS_DELAY)
    assert [notice.text for notice in run.front.notices] == [
        "leaving when 2 messages are delivered"
    ]
    run.channel.pending = 0
    run.client.progressed()
    assert run.status == 0


@pytest.mark.parametrize("run", [{"count": 2}], indirect=True)
def test_after_count_messages_it_leaves_and_neither_shows_nor_sends_more(run: Run) -> None:
    run.channel.pending = 1
    receive(run, b"one", b"two", b"three")
    run.client.send(OutgoingMessage(b"late"))
    assert (run.status, run.channel.sent) == (None, [])
    run.channel.pending, run.channel.status = 0, 1
    run.client.progressed()
    assert (run.status, run.front.shown) == (1, [b"one", b"two"])


@pytest.mark.parametrize("run", [{"count": 1}], indirect=True)
def test_reaching_the_count_ends_the_wait(run: Run) -> None:
    run.client.input_ended(60.0)
    receive(run, b"one")
    assert run.status == 0


def test_leaving_waits_until_the_channel_is_closed(run: Run) -> None:
    run.channel.left = Deferred()
    run.client.leave(130)
    run.client.leave(0)
    receive(run, b"late")
    run.client.progressed()
    assert (run.status, run.front.shown) == (None, [])
    run.channel.left.callback(0)
    assert run.status == 130


def test_leaving_that_takes_long_is_reported(run: Run) -> None:
    run.channel.left = Deferred()
    run.client.leave()
    run.clock.advance(PROGRESS_DELAY)
    assert run.front.events == ["session.leaving"]
    run.channel.left.callback(1)
    assert run.status == 1


def test_leaving_that_is_quick_is_not_reported(run: Run) -> None:
    run.client.leave()
    run.clock.advance(PROGRESS_DELAY)
    assert (run.front.events, run.status) == ([], 0)


def test_the_end_of_the_channel_ends_the_run(run: Run) -> None:
    run.client.input_ended(60.0)
    run.client.ended(3)
    assert run.status == 3


@pytest.mark.parametrize(
    ("run", "presence", "shown"),
    [
        ({}, False, ["NORMAL", "ERROR"]),
        ({}, True, ["PRESENCE", "NORMAL", "ERROR"]),
        ({"quiet": True}, True, ["ERROR"]),
        ({"verbose": True}, False, ["DETAIL", "PRESENCE", "NORMAL", "ERROR"]),
    ],
    indirect=["run"],
)
def test_options_and_the_front_end_choose_the_levels_shown(
    run: Run, presence: bool, shown: list[str]
) -> None:
    run.front.shows_presence = presence
    for level in Level:
        run.client.notice(Notice(level.name, "", level=level))
    assert run.front.events == shown
