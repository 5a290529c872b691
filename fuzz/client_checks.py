"""What must be true of a client, whatever it receives."""

from __future__ import annotations

from math import isnan

from attrs import asdict

from fuzz.client_world import World
from fuzz.steps import bounded
from udprelay.session_client.client import SessionClient
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
