"""The way of what comes in: batches to fan-outs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from udprelay.protocol.wire.header import HEADER, SIGNATURE
from udprelay.relay.admission import Refused
from udprelay.relay.bursts import Burst
from udprelay.relay.drops import DropReason
from udprelay.relay.fan_out import FanOut
from udprelay.relay.fan_outs import FanOuts
from udprelay.relay.listener import Listener, Source
from udprelay.relay.room import Kind, Member
from udprelay.relay.session.intake import SessionIntake
from udprelay.relay.session.sessions import Sessions
from udprelay.relay.state import Shared
from udprelay.segments import Joined

_first_byte_of = itemgetter(0)
_header_of = itemgetter(slice(HEADER))


class Intake:
    """
    Takes batches of datagrams: what plain members say, and who becomes one.

    :param session_intake: takes all that has the signature.
    """

    def __init__(
        self,
        shared: Shared,
        sessions: Sessions,
        fan_outs: FanOuts,
        session_intake: SessionIntake,
    ) -> None:
        self._shared = shared
        self._roster = shared.roster
        self._output = shared.output
        self._sessions = sessions
        self._fan_outs = fan_outs
        self._session_intake = session_intake

    def receive(self, listener: Listener, batch: Sequence[Burst], now: float) -> list[FanOut]:
        """Take in datagrams, in order; return what to deliver."""
        if len(batch) == 1 and len(batch[0][1]) == 1:
            source, (datagram,) = batch[0]
            single = self._single(listener, source, datagram, now)
            if single is not None:
                return [single]
        self._fan_outs.begin()
        members, first = listener.members, listener.first_byte
        room = None
        for source, datagrams in batch:
            member = members.get(source)
            if member is None or not _are_payloads(datagrams, first):
                # It may close the fan-out that is open.
                room = None
                self._take(listener, source, datagrams, now)
                continue
            member.last_heard = now
            if member.room is not room:
                room = member.room
                add = self._fan_outs.open(room).add
            add(datagrams, member)
        return self._fan_outs.finish(listener, now)

    def _take(
        self, listener: Listener, source: Source, datagrams: list[bytes] | Joined, now: float
    ) -> None:
        """Take what one source has sent in a row, whatever it is."""
        if listener.first_byte < 0:
            for datagram in datagrams:
                self._take_plain(listener, source, datagram, now)
            return
        session_intake = self._session_intake
        many = not isinstance(datagrams, list) or len(datagrams) > 1
        if many and session_intake.take_stream(listener, source, datagrams, now):
            return
        for _, group in groupby(datagrams, _header_of):
            alike = [*group]
            if len(alike) > 1 and session_intake.take_stream(listener, source, alike, now):
                continue
            for datagram in alike:
                if datagram.startswith(SIGNATURE):
                    session_intake.take(listener, source, datagram, now)
                else:
                    self._take_plain(listener, source, datagram, now)

    def _take_plain(self, listener: Listener, source: Source, payload: bytes, now: float) -> None:
        member = listener.members.get(source)
        if member is None:
            member, payload = self._admit(listener, source, payload, now)
            if member is None:
                return
        member.last_heard = now
        if payload:
            self._fan_outs.open(member.room).add((payload,), member)

    def _single(
        self, listener: Listener, source: Source, payload: bytes, now: float
    ) -> FanOut | None:
        """
        Take what a member says alone, if it is in the ordinary way.

        As at light load all comes, and finds the processor's caches cold.

        :return: None if there is more to do about it.
        """
        if not payload or now >= self._sessions.acks_from:
            return None
        if payload[0] == listener.first_byte:
            return self._session_intake.take_single(listener, source, payload, now)
        member = listener.members.get(source)
        if member is None or member.room.sessions is not None:
            return None
        member.last_heard = now
        return self._fan_outs.single(listener, payload, member, now)

    def _admit(
        self, listener: Listener, source: Source, payload: bytes, now: float
    ) -> tuple[Member | None, bytes]:
        """Decide on a datagram of an unknown address; return its member and what to relay."""
        address = listener.endpoint(source)
        decision = self._shared.admission.decide(listener, address, payload, now)
        room_name = listener.rules.room
        full = self._full(room_name)
        if isinstance(decision, Refused):
            if decision.reply is None:
                full = None
            elif full is None:
                self._output.reply(listener, source, decision.reply)
            self._output.reject(listener, room_name, address, full or decision.reason, now)
            return None, b""
        if full is not None:
            self._output.reject(listener, room_name, address, full, now)
            return None, b""
        # Whoever joins now does not get what was said before, also within one batch.
        room = self._roster.rooms.get(room_name)
        if room is not None:
            self._fan_outs.seal_room(room, listener, now)
        member = self._roster.join(room_name, Kind.PLAIN, None, listener, source, listener, now)
        listener.members[source] = member
        self._shared.expiry.watch(member)
        return member, payload if decision.relay else b""

    def _full(self, room_name: str) -> DropReason | None:
        room = self._roster.rooms.get(room_name)
        if room is not None and len(room) >= room.rules.max_members:
            return DropReason.ROOM_FULL
        if self._roster.member_count >= self._shared.rules.max_members:
            return DropReason.RELAY_FULL
        return None


def _are_payloads(datagrams: list[bytes] | Joined, first_byte: int) -> bool:
    """Return whether no datagram is empty, and none may have the signature."""
    # Not whether it is a Joined: that is an abstract class's question, which takes long.
    if not isinstance(datagrams, list):
        return first_byte < 0 or first_byte not in datagrams.data[:: datagrams.size]
    if len(datagrams) == 1:
        return bool(datagrams[0]) and datagrams[0][0] != first_byte
    return all(datagrams) and first_byte not in map(_first_byte_of, datagrams)
