"""Listeners are closed and opened with their addresses."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_twisted
from net_peers import MakePeer, RunningRelay, loopback
from net_reactors import ClockReactor
from twisted.internet import reactor
from twisted.internet.task import deferLater

from manual_clock import ManualClock
from udprelay.net.address_watch import (
    CHECK_INTERVAL,
    AddressWatch,
    interface_index,
    is_not_there,
)
from udprelay.net.targets import Targets
from udprelay.relay import events
from udprelay.relay.rules import ListenerRules, RelayRules, RoomRules


class Machine:
    """Which addresses there are, and what becomes of the listeners."""

    def __init__(self, **interfaces: str) -> None:
        self.clock = ManualClock()
        self.indexes: dict[str, int] = {}
        self.done: list[str] = []
        self.can_open = True
        listeners = {name: ListenerRules(interface=one) for name, one in interfaces.items()}
        self.watch = AddressWatch(self, self.clock, listeners, self.indexes.get)

    def look(self) -> list[str]:
        self.clock.advance(CHECK_INTERVAL)
        done, self.done = self.done, []
        return done

    def open_listener(self, name: str) -> bool:
        self.done.append(f"open {name}")
        return self.can_open

    def suspend_listener(self, name: str) -> None:
        self.done.append(f"suspend {name}")


def test_a_listener_is_opened_when_its_address_is_there() -> None:
    machine = Machine(main="192.0.2.1")
    machine.watch.start({"main"})
    assert machine.look() == []
    machine.indexes["192.0.2.1"] = 0
    machine.can_open = False
    assert machine.look() == ["open main"]
    machine.can_open = True
    assert [machine.look() for _ in range(2)] == [["open main"], []]


def test_a_listener_is_suspended_while_its_address_is_gone() -> None:
    machine = Machine(main="192.0.2.1", other="192.0.2.2")
    machine.indexes |= {"192.0.2.1": 0, "192.0.2.2": 0}
    machine.watch.start(set())
    assert machine.look() == []
    del machine.indexes["192.0.2.1"]
    assert [machine.look() for _ in range(2)] == [["suspend main"], []]
    machine.indexes["192.0.2.1"] = 0
    assert [machine.look() for _ in range(2)] == [["open main"], []]


def test_a_listener_is_reopened_for_another_interface_of_the_same_name() -> None:
    machine = Machine(main="fe80::a%v0")
    machine.indexes["fe80::a%v0"] = 5
    machine.watch.start(set())
    machine.indexes["fe80::a%v0"] = 9
    assert [machine.look() for _ in range(3)] == [["suspend main"], ["open main"], []]


def test_a_listener_that_is_open_without_its_address_stays_open() -> None:
    machine = Machine(main="192.0.2.1")
    machine.watch.start(set())
    assert machine.look() == []
    machine.indexes["192.0.2.1"] = 0
    assert [machine.look() for _ in range(2)] == [[], []]
    del machine.indexes["192.0.2.1"]
    assert machine.look() == ["suspend main"]


def test_a_failure_of_one_listener_stops_no_look(logged_errors: list[str]) -> None:
    class Failing(Machine):
        def open_listener(self, name: str) -> bool:
            super().open_listener(name)
            if name == "main":
                raise RuntimeError("cannot open it")
            return True

    machine = Failing(main="192.0.2.1", other="192.0.2.2")
    machine.watch.start({"main", "other"})
    machine.indexes |= {"192.0.2.1": 0, "192.0.2.2": 0}
    assert machine.look() == ["open main", "open other"]
    assert machine.look() == ["open main"]
    assert all("cannot open it" in logged for logged in logged_errors)
    logged_errors.clear()


def test_listeners_on_every_address_need_no_look() -> None:
    machine = Machine(main="::", other="0.0.0.0")
    machine.watch.start(set())
    assert machine.clock.getDelayedCalls() == []


def test_no_look_after_the_end() -> None:
    machine = Machine(main="192.0.2.1")
    machine.watch.start(set())
    machine.watch.stop()
    machine.watch.stop()
    assert machine.clock.getDelayedCalls() == []


def test_what_this_machine_has() -> None:
    lo = socket.if_nametoindex("lo")
    assert interface_index("127.0.0.1") == 0
    assert interface_index("::") == 0
    assert interface_index("198.51.100.1") is None
    assert interface_index("fe80::1%absent") is None
    assert interface_index(f"fe80::1234%{lo}") is None


@pytest.mark.parametrize(
    ("error", "absent"),
    [
        (OSError(errno.EADDRNOTAVAIL, "no"), True),
        (OSError(errno.ENODEV, "no"), True),
        (socket.gaierror(socket.EAI_NONAME, "no"), True),
        (OSError(errno.EADDRINUSE, "no"), False),
        (OSError(errno.EACCES, "no"), False),
    ],
)
def test_errors_of_an_address_that_is_not_there(error: OSError, absent: bool) -> None:
    assert is_not_there(error) is absent


# A relay on real sockets.


@pytest.fixture
def clock() -> ClockReactor:
    return ClockReactor()


Start = Callable[..., RunningRelay]


@pytest_twisted.async_yield_fixture
async def start(clock: ClockReactor, batch: bool) -> AsyncIterator[Start]:
    """Return a factory of relays on 127.0.0.5; ``there`` tells whether they have the address."""
    started: list[RunningRelay] = []

    def start_(there: dict[str, int], **options: object) -> RunningRelay:
        rules = RelayRules(listeners={"main": loopback("127.0.0.5", batch=batch)}, **options)  # type: ignore[arg-type]
        started.append(RunningRelay(rules, clock, find_interface=there.get))
        return started[-1].open()

    yield start_
    for relay in started:
        closed = relay.relay.close()
        clock.advance(0)
        await closed


async def look(clock: ClockReactor) -> None:
    clock.advance(CHECK_INTERVAL)
    # The reactor closes sockets in its next turn.
    await deferLater(reactor, 0)


@pytest_twisted.ensureDeferred
async def test_members_stay_while_the_address_is_gone(
    start: Start, make_peer: MakePeer, clock: ClockReactor
) -> None:
    there = {"127.0.0.5": 0}
    relay = start(there)
    one, other = [make_peer("127.0.0.5") for _ in range(2)]
    for peer in (one, other):
        await peer.join(relay)
    one.send(b"before", relay)
    assert await other.receive() == [b"before"]
    port = relay.port()
    del there["127.0.0.5"]
    await look(clock)
    assert [event.error for event in relay.of(events.ListenerWaiting)] == [
        "the address is gone from this machine"
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.5", port))
    hub = relay.relay.hub
    member = next(iter(relay.relay.listeners["main"].listener.members.values()))
    relay.relay.driver.send(member, b"to one that cannot be reached")
    hub.send_to(member, b"to one alone", clock.seconds())
    relay.relay.driver.settle()
    relay.relay.publish_statistics()
    there["127.0.0.5"] = 0
    await look(clock)
    assert [event.port for event in relay.of(events.ListenerOpened)] == [port, port]
    one.send(b"after", relay)
    assert await other.receive() == [b"after"]
    assert hub.roster.member_count == 2
    relay.relay.publish_statistics()
    assert [s.deliveries for s in relay.of(events.ListenerStatistics)] == [1, 2]
    assert (await relay.dropped())["unreachable"] == 2


@pytest_twisted.ensureDeferred
async def test_a_port_that_is_taken_meanwhile_is_waited_for(
    start: Start, make_peer: MakePeer, clock: ClockReactor
) -> None:
    there = {"127.0.0.5": 0}
    relay = start(there)
    there.clear()
    await look(clock)
    taken = make_peer("127.0.0.5", relay.port())
    there["127.0.0.5"] = 0
    for _ in range(3):
        await look(clock)
    assert [event.error for event in relay.of(events.ListenerWaiting)] == [
        "the address is gone from this machine",
        "Address already in use",
    ]
    taken.close()
    await look(clock)
    assert len(relay.of(events.ListenerOpened)) == 2


@pytest_twisted.ensureDeferred
async def test_a_relay_can_be_closed_while_an_address_is_gone(
    start: Start, clock: ClockReactor
) -> None:
    there = {"127.0.0.5": 0}
    relay = start(there)
    there.clear()
    await look(clock)
    relay.relay.send_farewell()
    relay.relay.listeners["main"].start_reading()


@pytest_twisted.ensureDeferred
async def test_targets_are_looked_up_when_a_listener_comes_later(
    start: Start, make_peer: MakePeer, clock: ClockReactor
) -> None:
    there = {"127.0.0.5": 0}
    target = make_peer()
    room = RoomRules(targets=(("collector.example", target.port),))
    relay = start(there, rooms={"lobby": room})
    there.clear()
    await look(clock)
    targets = Targets(relay.relay)
    targets.start()
    clock.nameResolver.asked.pop().answer()
    there["127.0.0.5"] = 0
    await look(clock)
    clock.advance(0)
    clock.nameResolver.asked.pop().answer("127.0.0.1")
    make_peer("127.0.0.5").send(b"hello", relay)
    assert await target.receive() == [b"hello"]
    targets.stop()
