"""The room sequences that the session members of the target ``relay`` are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from udprelay.protocol.wire import decode_from_relay
from udprelay.protocol.wire.from_relay import Heartbeat
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.sequenced import Data, Entry
from udprelay.relay.hub import Hub
from udprelay.relay.room import Member
from udprelay.relay.session.heartbeat_schedule import ROOM_STEPS
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.room_log import RoomLog, log_of
from udprelay.relay.session.schedule import ENTRIES_DELAY

_UNSORTED = 4
"""Entries that come in order if there are no more."""


class RoomSequences:
    """
    Checks that each session member is given all that its room gets after its WELCOME, in order.

    What a member has sent itself counts as given, as has the entry of its join.

    In a silent room, HEARTBEAT repeats the newest sequence.

    :param clock: returns the time.
    :ivar newest: the newest room sequences, by room tag.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.newest: dict[bytes, int] = {}
        self._given: dict[bytes, int] = {}
        self._new: set[bytes] = set()
        self._waiting_since: dict[bytes, float] = {}
        self._not_repeated_since: dict[bytes, float] = {}

    def welcomed(self, welcome: Welcome) -> None:
        """Note a WELCOME."""
        if welcome.session_id not in self._given:
            self._given[welcome.session_id] = welcome.newest
            self._new.add(welcome.session_id)

    def given(self, members: Sequence[Member], datagrams: Sequence[bytes]) -> None:
        """Check what the session members of one group are given in one fan-out."""
        log = members[0].room.log
        assert isinstance(log, RoomLog), "a fan-out of sessions without a log"
        read = [decode_from_relay(datagram) for datagram in datagrams]
        entries = [one for one in read if isinstance(one, Entry)]
        data = [one for one in read if isinstance(one, Data)]
        beats = [one for one in read if isinstance(one, Heartbeat)]
        assert [*entries, *data, *beats] == read, "not entries, DATA, HEARTBEAT in this order"
        tags = {one.tag for one in entries} | {one.tag for one in data} | {b.tag for b in beats}
        assert tags == {log.tag}, "another room"
        if len(entries) > _UNSORTED:
            entries.sort(key=lambda entry: entry.sequence)
        sequences = [one.sequence for one in entries] + [one.sequence for one in data]
        if beats:
            self._not_repeated_since.pop(log.tag, None)
        if sequences:
            self._not_repeated_since[log.tag] = self._clock()
            first, last = sequences[0], sequences[-1]
            assert sequences == [*range(first, first + len(sequences))], "a gap in the sequence"
            self.newest[log.tag] = last
            for member in members:
                self._follow(member, first, last)
        assert all(beat.newest == log.newest for beat in beats), "an old sequence in HEARTBEAT"
        self._waiting_since.pop(log.tag, None)

    def _follow(self, member: Member, first: int, last: int) -> None:
        assert isinstance(member, SessionMember), "a plain member is given DATA"
        assert member.id in self._given, "DATA before WELCOME"
        before = self._given[member.id]
        if member.id in self._new:
            # Entries from before its WELCOME may have waited.
            self._new.remove(member.id)
            assert first <= before + 1, "a gap after WELCOME"
        else:
            assert first == before + 1, "a gap between two fan-outs"
        self._given[member.id] = max(before, last)

    def check(self, hub: Hub, deadline: float | None) -> None:
        """Check that nothing is missing in a settled hub, but entries that wait."""
        now = self._clock()
        is_late = deadline is not None and deadline <= now
        for room in hub.roster.rooms.values():
            log = room.log
            if not isinstance(log, RoomLog):
                continue
            since = self._not_repeated_since.get(log.tag, now)
            if log.by_identity and not is_late:
                assert now <= since + ROOM_STEPS[-1], "a silent room has had no HEARTBEAT"
            if log.entries:
                since = self._waiting_since.setdefault(log.tag, now)
                assert deadline is not None, "entries wait without a deadline"
                assert deadline <= since + ENTRIES_DELAY, "entries wait for too long"
                continue
            for session in log.by_identity.values():
                assert log_of(session) is log, "a session in another room"
                assert self._given[session.id] == log.newest, "something was not delivered"
