"""What must be true of a client whatever has come."""

from __future__ import annotations

from itertools import pairwise
from math import isnan
from typing import Any

from fuzz.client_world import World
from fuzz.steps import bounded
from udprelay.protocol.wire.ranges import MOST_MISSED
from udprelay.session_client import assembly, held, identities, kept, unconfirmed
from udprelay.session_client import unknown_senders as strangers
from udprelay.session_client.active_session import Session
from udprelay.session_client.incoming import MOST_GAPS, Incoming
from udprelay.session_client.machine import Machine
from udprelay.session_client.numbers import MOST_FORMER
from udprelay.session_client.outgoing import EARLY, Outgoing
from udprelay.session_client.reports import MOST_TRIES
from udprelay.session_client.roster import MOST_MEMBERS, MOST_PAGES, Roster
from udprelay.session_client.sending import Sending
from udprelay.session_client.state import State
from udprelay.session_client.window import LARGEST, LEAST

_LONGEST_WAIT = 1.5 * 2**32 / 1000
"""Seconds that a relay can have a client wait."""


def check(world: World) -> None:
    """
    Check the tables of a client that has nothing left to do.

    :raises AssertionError: if one is wrong.
    """
    machine = world.membership._machine
    session = machine.session
    _check_state(world, machine)
    bounded("keys", len(machine.handshake._keys), 4)
    bounded("seals", len(machine._sealing._seals), 1024)
    bounded("PINGs that are measured", len(session.contact._sent), 16)
    bounded("the timeout", session.round_trip.timeout, 4)
    assert session.round_trip.timeout >= 0.1, "no timeout"
    _check_sending(session.sending)
    opened = session.sending._room.open | session.sending._private.open
    assert world.open == opened, "messages that have ended untold"
    _check_arrivals(session)
    if session.arrivals.tag is not None:
        _check_roster(session.arrivals._deliveries.roster)
        world.follow()


def _check_state(world: World, machine: Machine) -> None:
    state, session = machine.state, machine.session
    joined = state is State.JOINED
    halves = (session.arrivals, session.sending._room, session.sending._private)
    if state is not State.CLOSED:
        assert [half._in_session for half in halves] == [joined] * 3, "a member in parts"
    assert (session.sending._session_id is not None) == joined, "a session in parts"
    trying = state in (State.GREETING, State.JOINING)
    assert (machine.handshake._repeats is not None) == trying, "tries, or does not"
    assert (machine._farewell is not None) == (state is State.LEAVING), "leaves, or does not"
    deadline = world.membership.next_deadline()
    if state in (State.NEW, State.CLOSED):
        assert deadline is None, "something to wait for"
    elif state is not State.KEYING:
        assert deadline is not None, "nothing to wait for"
        assert not isnan(deadline), "no time"
        bounded("the deadline", deadline, world.now + _LONGEST_WAIT + 1)


# What it sends.


def _check_sending(sending: Sending) -> None:
    for outgoing in (sending._room, sending._private):
        _check_outgoing(outgoing)
    for left, rate in zip(sending._allowance._left, sending._allowance._rates, strict=True):
        assert -rate <= left <= rate, "an allowance beyond its bounds"
    assert sending.sent >= 0, "less than nothing was sent"


def _check_outgoing(outgoing: Outgoing) -> None:
    pieces, waiting = outgoing._pieces, outgoing._messages
    assert sorted(pieces) == [*range(outgoing.first, outgoing.next)], "pieces with gaps"
    bounded("unacknowledged", len(pieces), kept.MOST + EARLY + 1)
    assert all(own == piece.own for own, piece in pieces.items()), "a piece elsewhere"
    assert outgoing.backlog == sum(m.pieces_left(outgoing.room) for m in waiting), "the backlog"
    assert outgoing.backlog_bytes == sum(len(m.payload) for m in waiting), "bytes waiting"
    assert all(not message.cut for message in [*waiting][1:]), "two messages in one's place"
    owns = [piece.own for _, piece in outgoing._kept._pieces]
    assert owns == [*range(outgoing.first - len(owns), outgoing.first)], "kept with gaps"
    bounded("kept", len(owns), kept.MOST)
    size = sum(len(piece.payload) for _, piece in outgoing._kept._pieces)
    assert outgoing._kept._bytes == size, "bytes kept"
    bounded("bytes kept", size, kept.MOST_BYTES)
    window = outgoing._window
    bounded("under way", len(window._under_way), LARGEST)
    assert LEAST <= window._most <= LARGEST, "a window beyond its bounds"
    for own, piece in window._under_way.items():
        assert pieces.get(own) is piece, "under way, and forgotten"
        assert not piece.acknowledged, "under way, and acknowledged"
    if outgoing._in_session:
        unsent = {own for own, piece in pieces.items() if not piece.acknowledged}
        assert unsent <= {*outgoing._to_send, *window._under_way}, "never to be repeated"
    bounded("origins", len(outgoing.origins._messages), 4096)


# What it receives.


def _check_arrivals(session: Session) -> None:
    arrivals = session.arrivals
    deliveries = arrivals._deliveries
    for incoming in (arrivals._room, arrivals._private):
        _check_incoming(incoming)
    assert not arrivals._questions, "something that is not asked"
    told = deliveries._suspicions._told
    bounded("suspicions", len(told), 1024)
    assert _ascending(entry.since for entry in told.values()), "suspicions out of order"
    messages = deliveries.messages
    _check_assembly(messages._assembly)
    bounded("identities", len(messages._identities), identities.MOST_IDENTITIES)
    for sender in messages._identities._senders.values():
        for window in (sender.reliable, sender.unreliable, sender.unreliable_private):
            bounded("own sequences seen", window.seen.bit_length(), identities.WINDOW)
    unknown = deliveries._strangers
    assert unknown._size == sum(w.size for w in unknown._waiting.values()), "strangers' bytes"
    bounded("strangers' bytes", unknown._size, strangers.MOST_BYTES)
    assert _ascending(w.until for w in unknown._waiting.values()), "strangers out of order"
    losses = deliveries.losses
    assert losses._open >= 0 <= losses._nameless, "less than nothing is lost"
    assert not losses._open or losses._until is not None, "a hole that is never told"
    reports = losses.reports
    bounded("reports", len(reports), 1024)
    for report in (*reports._waiting.values(), *reports._sent.values()):
        bounded("ranges in a report", len(report.ranges), MOST_MISSED)
        assert report.tries < MOST_TRIES, "told too often"


def _check_incoming(incoming: Incoming[Any]) -> None:
    gaps, waiting, doubtful = incoming._gaps, incoming._held, incoming._unconfirmed
    bounded("gaps", len(gaps), MOST_GAPS)
    ends = [0, *(number for gap in gaps for number in (gap.first, gap.end)), gaps.newest + 1]
    # Two gaps may touch: one was asked for, and the other was not.
    assert _ascending(ends), "gaps out of order"
    assert all(gap.count for gap in gaps), "an empty gap"
    assert gaps.asked == sum(gap.count for gap in gaps if gap.tries), "asked for"
    assert not len(gaps) or incoming._due is not None, "a gap that nobody looks at"
    assert not incoming._holes, "a hole that is not told"
    bounded("held", len(waiting._items), held.MOST)
    bounded("bytes held", waiting._bytes, held.MOST_BYTES)
    assert waiting._bytes == sum(size for _, size in waiting._items.values()), "bytes held"
    assert sorted(waiting._order) == sorted(waiting._items), "the order of what is held"
    assert all(gaps.settled < number <= gaps.newest for number in waiting._items), "held for long"
    bounded("unconfirmed", len(doubtful._items), unconfirmed.MOST)
    bounded("bytes unconfirmed", doubtful._bytes, unconfirmed.MOST_BYTES)
    assert doubtful._bytes == sum(size for _, size, _ in doubtful._items.values()), "unconfirmed"


def _check_assembly(whole: assembly.Assembly) -> None:
    partial = whole._partial.values()
    size = sum(p.size + 64 * len(p.pieces) for p in partial)
    assert whole._bytes == size, "bytes of messages in pieces"
    bounded("bytes of messages in pieces", size, assembly.MOST_BYTES)
    assert all(p.size == sum(map(len, p.pieces)) for p in partial), "bytes of a message"
    bounded("a message", max((p.size for p in partial), default=0), assembly.LARGEST_MESSAGE)
    assert _ascending(p.last for p in partial), "messages in pieces out of order"
    assert not whole._lost, "a message lost silently"


def _check_roster(roster: Roster) -> None:
    members, heard = roster._members, roster._numbers._heard
    # One's own place is always there.
    bounded("members", len(members), MOST_MEMBERS + 1)
    assert members[roster.number].identity == roster._identity, "the client is somebody else"
    assert all(member.number == number for number, member in members.items()), "a wrong number"
    former = roster._numbers._former
    bounded("former members", len(former), MOST_FORMER)
    assert heard.keys() == members.keys() | former.keys(), "numbers that nobody forgets"
    assert not members.keys() & former.keys(), "a member, and gone"
    for number, member in members.items():
        assert heard[number].member is member, "told as somebody else"
    # WELCOME is a page that was not asked for.
    bounded("pages", len(roster._pages), MOST_PAGES + 1)
    bounded("wanted", len(roster.questions._wanted), 64)


def _ascending(numbers: Any) -> bool:
    return all(before <= after for before, after in pairwise(numbers))
