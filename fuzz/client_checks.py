"""What must be true of a client, whatever it receives."""

from __future__ import annotations

from math import isnan

from attrs import asdict

from fuzz.client_world import World
from fuzz.steps import bounded
from udprelay.protocol.wire.from_relay import Ack, Heartbeat, Pong
from udprelay.protocol.wire.header import MAX_U64
from udprelay.protocol.wire.ranges import MAX_RANGE_COUNT, MAX_RANGES
from udprelay.session_client.client import SessionClient
from udprelay.session_client.incoming import MAX_AHEAD, NACK_WINDOW
from udprelay.session_client.roster import MAX_MEMBERS
from udprelay.session_client.settings import State

_LONGEST_WAIT = 1.5 * 2**32 / 1000
"""Seconds for which a relay can let a client wait."""


def check(world: World) -> None:
    """
    Check a client whose datagrams and events have been collected.

    :raises AssertionError: if something is wrong.
    """
    client = world.session_client
    assert not client.drain_datagrams(), "a datagram was not sent at once"
    assert not client.drain_events(), "an event was not emitted at once"
    assert client.outstanding == len(world.open), "outstanding messages differ from the events"
    assert client.backlog >= 0, "a negative backlog"
    _check_deadline(client, world.now)
    _check_statistics(client)
    if client.number is not None:
        _check_members(client, client.number)


def check_end(world: World) -> None:
    """
    Check that a client in a session requests what is missing, whatever came before.

    :raises AssertionError: if it does not.
    """
    if not _settle(world):
        return
    session = world.session
    world.wait(3.0)
    # Nothing is missing, so that nothing counts as requested.
    first, newest = session.settled + 1, session.settled + NACK_WINDOW
    if world.session_client.state is State.JOINED and newest <= MAX_U64:
        assert not session.needs_roster, "no ROSTER, though a page of it was dropped"
        world.receive(Heartbeat(session.tag, newest).encode())
        world.wait(1.0)
        assert world.nack == ((first, NACK_WINDOW),), f"requested: {world.nack}"


def _settle(world: World) -> bool:
    """Report all that a client misses as its own; return whether it is in a session then."""
    client, session = world.session_client, world.session
    client.ping(world.now)
    world.collect()
    end = session.newest[0] + MAX_AHEAD + 1
    too_many = end - session.settled > MAX_RANGES * MAX_RANGE_COUNT
    if client.state is not State.JOINED or end > MAX_U64 or too_many:
        return False
    firsts = range(session.settled + 1, end, MAX_RANGE_COUNT)
    ranges = tuple((first, min(MAX_RANGE_COUNT, end - first)) for first in firsts)
    world.receive(Pong(session.session_id, bytes(8), *session.newest).encode())
    world.receive(Ack(session.session_id, 1, 0, 1, 0, ranges).encode())
    client.ping(world.now)
    world.collect()
    assert client.state is not State.JOINED or session.settled == end - 1, "its own is missing"
    return client.state is State.JOINED


def _check_deadline(client: SessionClient, now: float) -> None:
    deadline = client.next_deadline()
    if client.state in (State.NEW, State.CLOSED):
        assert deadline is None, "a deadline without timers"
    elif client.state is not State.KEYING:
        assert deadline is not None, "no deadline"
        assert not isnan(deadline), "not a time"
        bounded("the deadline", deadline, now + _LONGEST_WAIT + 1)


def _check_statistics(client: SessionClient) -> None:
    for name, value in asdict(client.statistics).items():
        assert value is None or value >= 0, f"{name} is negative: {value}"


def _check_members(client: SessionClient, number: int) -> None:
    members = client.members
    # The client itself is always a member.
    bounded("members", len(members), MAX_MEMBERS + 1)
    assert all(member.number == n for n, member in members.items()), "a wrong number"
    assert members[number].nick == client.nick, "the client has two nicks"
