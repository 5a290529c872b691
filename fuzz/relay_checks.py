"""What must be true of a relay whatever has come."""

from __future__ import annotations

from functools import cache

from fuzz.relay_world import World
from fuzz.steps import bounded
from udprelay.protocol import nick
from udprelay.protocol.wire.ranges import RANGE
from udprelay.relay.room import Kind, Room
from udprelay.relay.session.departed import REMEMBERED
from udprelay.relay.session.member import Session
from udprelay.relay.session.private_stream import KEPT
from udprelay.relay.session.receive_window import WINDOW
from udprelay.relay.session.room_log import RoomSessions

comparable = cache(nick.comparable)
_MOST_HELD = 16 * 1024 * 1024


def check(world: World) -> None:
    """
    Check the tables of a hub that has nothing left to do.

    :raises AssertionError: if one is wrong.
    """
    hub = world.hub
    roster, limits = hub.roster, hub.rules
    assert roster.member_count == sum(map(len, roster.rooms.values())), "members"
    joining = [
        member
        for room in roster.rooms.values()
        for member in room.members()
        if member.kind in (Kind.PLAIN, Kind.SESSION)
    ]
    bounded("members", len(joining), limits.max_members)
    # Those that the listeners, targets and console have are always there.
    bounded("rooms", len(roster.rooms), limits.max_rooms + 2 + len(world.targets) + 1)
    assert not hub.unsettled, "something is put aside"
    sessions = [member for member in joining if isinstance(member, Session)]
    known = [s for listener in world.listeners for s in listener.sessions.items()]
    assert {s.id: s for s in sessions} == dict(known), "sessions in rooms, and in listeners"
    plain = [m for listener in world.listeners for m in listener.members.items()]
    assert len(plain) == len(joining) - len(sessions), "plain members"
    assert all(m.source == source for source, m in plain), "a plain member elsewhere"
    assert hub._sessions._held == sum(s.held_bytes for s in sessions), "bytes held"
    bounded("bytes held", hub._sessions._held, _MOST_HELD)
    for session in sessions:
        _check_session(session)
    for name, room in roster.rooms.items():
        assert room.name == name, "a room under another name"
        assert len(room), "an empty room"
        _check_room(room)


def _check_session(session: Session) -> None:
    listener, room = session.listener, session.room
    assert listener.sessions[session.id] is session, "a session elsewhere"
    assert session.group is room.group(listener, Kind.SESSION), "a session in no group"
    assert room.sessions is session.side, "a session of another room"
    assert session.side.by_identity[session.identity] is session, "an identity twice"
    for window in (session.window, session.private_window):
        bounded("early", len(window._early), WINDOW)
        assert 0 < window.next < 2**32, "a window beyond its bounds"
        bounded("the bitmap", window.bitmap, 2**64 - 1)
    early = [*map(len, session.window._early.values())]
    early += [len(private.payload) for private in session.private_window._early.values()]
    assert session.held_bytes == sum(early), "bytes early"
    bounded("private", len(session.private._datagrams), KEPT)
    bounded("reports", len(session.reports), 64)
    bounded("own sequences told", len(session.own._told), RANGE.size * 512)
    waiting = RANGE.iter_unpack(session.own._waiting)
    assert session.own.pending == sum(count for _, count in waiting), "own sequences"
    assert 0 < session.first <= session.side.newest + 1, "the first room sequence"


def _check_room(room: Room) -> None:
    members = list(room.members())
    for group in room.groups.values():
        assert [m.slot for m in group.members] == [*range(len(group.members))], "slots"
        assert all(m.group is group and m.room is room for m in group.members), "a wrong group"
    joining = [m for m in members if m.kind in (Kind.PLAIN, Kind.SESSION)]
    bounded("members of a room", len(joining), room.rules.max_members)
    assert len({m.number for m in members}) == len(members), "a number twice"
    if room.sessions is not None:
        _check_side(room, room.sessions)


def _check_side(room: Room, side: RoomSessions) -> None:
    members = {m.number: m for m in room.members() if m.kind is not Kind.TARGET}
    assert side._members == members, "the roster"
    assert side._numbers == sorted(members), "the order of the roster"
    sessions = [m for m in members.values() if isinstance(m, Session)]
    assert len(side.by_identity) == len(sessions), "identities"
    forms = {comparable(s.name): s.number for s in sessions}
    assert side.nicks._numbers == forms, "nicks"
    assert (side.empty_since is None) == bool(sessions), "empty or not"
    assert not side.has_entries, "entries that are not delivered"
    history, rules = side.history, room.rules
    bounded("history", len(history), rules.history)
    bounded("history", history.size, rules.history_size)
    kept = [d for run in history._runs for d in run.datagrams]
    assert (len(kept), sum(map(len, kept))) == (len(history), history.size), "the history"
    assert history.first <= history.newest + 1, "the history begins later than it ends"
    bounded("departed", len(side.departed), REMEMBERED)
    assert not side.by_identity.keys() & side.departed._left.keys(), "there, and departed"
