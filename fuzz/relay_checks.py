"""What must be true of a relay after any input: its tables agree and are within their bounds."""

from __future__ import annotations

from functools import cache

from fuzz.relay_world import World
from fuzz.steps import bounded
from udprelay.protocol import nick
from udprelay.protocol.wire.header import EARLY_WINDOW
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.room import Room
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.room_log import RoomLog, log_of
from udprelay.relay.session.sequences import MAX_DATAGRAMS
from udprelay.relay.session.waits import Wait

comparable = cache(nick.comparable)
_BOUNDS = {
    "early.bytes": 16 * 1024 * 1024,
    "tables.kicked": 1024,
    "tables.tags": 2048,
    **dict.fromkeys((f"queues.{q}" for q in ("control", "moved", "entries", "replies")), 0),
}

_MAX_OWN_RANGES = 512
_MAX_REPORTS = 64


def check(world: World) -> None:
    """
    Check the tables of a settled hub.

    :raises AssertionError: if one is wrong.
    """
    hub = world.hub
    roster, limits, census = hub.roster, hub.rules, hub.census.read()
    for name, bound in _BOUNDS.items():
        bounded(name, census[name], bound)
    assert roster.member_count == sum(map(len, roster.rooms.values())), "members"
    joining = [
        member
        for room in roster.rooms.values()
        for member in room.members()
        if member.kind in (MemberKind.PLAIN, MemberKind.SESSION)
    ]
    bounded("members", len(joining), limits.max_members)
    # Rooms of listeners, targets and the console can always be opened.
    bounded("rooms", len(roster.rooms), limits.max_rooms + 2 + len(world.targets) + 1)
    assert not hub.unsettled, "the hub is unsettled"
    sessions = [member for member in joining if isinstance(member, SessionMember)]
    known = [s for listener in world.listeners for s in listener.sessions.items()]
    assert {s.id: s for s in sessions} == dict(known), "rooms and listeners disagree on sessions"
    plain = [m for listener in world.listeners for m in listener.members.items()]
    assert len(plain) == len(joining) - len(sessions), "plain members"
    assert all(m.source == source for source, m in plain), "a plain member at another source"
    assert census["early.bytes"] == sum(s.buffered_bytes for s in sessions), "early bytes"
    assert census["members.session"] == len(sessions), "session members"
    assert census["members.plain"] == len(plain), "plain members"
    for session in sessions:
        _check_session(session)
    for name, room in roster.rooms.items():
        assert room.name == name, "a room under another name"
        assert len(room), "an empty room"
        _check_room(room)


def _check_session(session: SessionMember) -> None:
    listener, room, log = session.listener, session.room, log_of(session)
    assert listener.sessions[session.id] is session, "a session at another listener"
    assert session.group is room.group(session.transport, MemberKind.SESSION), (
        "a session in another group"
    )
    assert log.by_identity[session.identity] is session, "an identity twice"
    for window in (session.window, session.private_window):
        assert 0 < window.next < 2**32, "a window beyond its bounds"
        bounded("the bitmap", window.bitmap, 2**EARLY_WINDOW - 1)
        waits = window.first is not None
        assert (window.bitmap > 0 or waits) == (window.buffered_bytes > 0), "buffered bytes"
        assert not waits or any(session in wait.senders for wait in _waits(log)), "waits for ever"
    private = session.private
    bounded("private", len([*private.stored(1, private.newest)]), MAX_DATAGRAMS)
    bounded("reports", len(session.missed_tokens), _MAX_REPORTS)
    own = session.own_room.since(1)
    bounded("own ranges", len(own), _MAX_OWN_RANGES + session.own_room.pending)
    assert session.own_room.pending <= len(own), "own sequences"
    assert 0 < session.first <= log.newest + 1, "the first room sequence"


def _waits(log: RoomLog) -> list[Wait[SessionMember]]:
    """Return the waits in a room for a receiver."""
    private = [session.private_wait for session in log.by_identity.values()]
    return [wait for wait in (log.flow, *private) if wait is not None and wait.receivers]


def _check_room(room: Room) -> None:
    members = list(room.members())
    for group in room.groups.values():
        assert [m.slot for m in group.members] == [*range(len(group.members))], "slots"
        assert all(m.group is group and m.room is room for m in group.members), "a wrong group"
    joining = [m for m in members if m.kind in (MemberKind.PLAIN, MemberKind.SESSION)]
    bounded("members of a room", len(joining), room.rules.max_members)
    assert len({m.number for m in members}) == len(members), "a number twice"
    if isinstance(room.log, RoomLog):
        _check_log(room, room.log)


def _check_log(room: Room, log: RoomLog) -> None:
    members = {m.number: m for m in room.members() if m.kind is not MemberKind.TARGET}
    numbers = [record.number for record in log.records(0)]
    assert numbers == sorted(members), "the roster"
    assert all(log.member(number) is member for number, member in members.items()), "the roster"
    sessions = [m for m in members.values() if isinstance(m, SessionMember)]
    assert len(log.by_identity) == len(sessions), "identities"
    assert len({comparable(s.name) for s in sessions}) == len(sessions), "a nick twice"
    assert all(log.nicks.holder(s.name) == s.number for s in sessions), "nicks"
    assert (log.empty_since is None) == bool(sessions), "a log with members is empty"
    history, rules = log.history, room.rules
    stored = dict(history.stored(1, history.newest))
    bounded("history", len(stored), rules.history)
    bounded("bytes of the history", sum(map(len, stored.values())), rules.history_size)
    bounded("entries", len(log.entry_history), rules.history)
    kept = len(history), history.size
    assert kept == (len(stored), sum(map(len, stored.values()))), "counts of the history"
    assert all(history.first <= n <= history.newest for n in stored), "the bounds of the history"
    assert history.first <= history.newest + 1, "the history begins later than it ends"
