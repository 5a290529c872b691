"""From received datagrams to fan-outs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from udprelay.protocol.wire.header import HEADER_SIZE, SIGNATURE
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.admission import Refused
from udprelay.relay.drops import DropReason
from udprelay.relay.fan_out import FanOut
from udprelay.relay.fan_out_batch import FanOutBatch
from udprelay.relay.room import Listener, Member
from udprelay.relay.session.intake import SessionIntake
from udprelay.relay.session.schedule import Schedule
from udprelay.relay.state import RelayState
from udprelay.segments import Segments, Source, SourceRun

_first_byte_of = itemgetter(0)
_header_of = itemgetter(slice(HEADER_SIZE))


class Intake:
    """
    Receives batches of datagrams; relays those of plain members and admits new ones.

    :param session_intake: receives all datagrams with the signature.
    """

    def __init__(
        self,
        state: RelayState,
        schedule: Schedule,
        fan_outs: FanOutBatch,
        session_intake: SessionIntake,
    ) -> None:
        self._state = state
        self._roster = state.roster
        self._output = state.output
        self._schedule = schedule
        self._fan_outs = fan_outs
        self._session_intake = session_intake

    def receive(self, listener: Listener, batch: Sequence[SourceRun], now: float) -> list[FanOut]:
        """Receive datagrams, in order; return their fan-outs."""
        if len(batch) == 1 and len(batch[0][1]) == 1:
            source, (datagram,) = batch[0]
            single = self._receive_single(listener, source, datagram, now)
            if single is not None:
                return [single]
        fan_outs = self._fan_outs
        fan_outs.begin()
        members, first = listener.members, listener.first_byte
        room = None
        for source, datagrams in batch:
            member = members.get(source)
            if member is None or not _are_payloads(datagrams, first):
                # A new member seals the fan-out of its room.
                room = None
                self._receive_run(listener, source, datagrams, now)
                continue
            member.last_heard = now
            if member.room is not room:
                room = member.room
                add = fan_outs.open(room).add
            add(datagrams, member)
        sealed, schedule = fan_outs.finish(listener, now), self._schedule
        if schedule.acks or now >= schedule.acks_from or self._roster.with_entries:
            schedule.send_acks(now)
            sealed += fan_outs.of_entries(now)
        return sealed

    def _receive_run(
        self, listener: Listener, source: Source, datagrams: list[bytes] | Segments, now: float
    ) -> None:
        """Receive the datagrams of one source, of any kind."""
        if listener.first_byte < 0:
            for datagram in datagrams:
                self._receive_plain(listener, source, datagram, now)
            return
        session_intake = self._session_intake
        many = not isinstance(datagrams, list) or len(datagrams) > 1
        if many and session_intake.receive_run(listener, source, datagrams, now):
            return
        for _, group in groupby(datagrams, _header_of):
            run = [*group]
            if len(run) > 1 and session_intake.receive_run(listener, source, run, now):
                continue
            for datagram in run:
                if datagram.startswith(SIGNATURE):
                    session_intake.receive(listener, source, datagram, now)
                else:
                    self._receive_plain(listener, source, datagram, now)

    def _receive_plain(
        self, listener: Listener, source: Source, payload: bytes, now: float
    ) -> None:
        member = listener.members.get(source)
        if member is None:
            member, payload = self._admit(listener, source, payload, now)
            if member is None:
                return
        member.last_heard = now
        if payload:
            self._fan_outs.open(member.room).add((payload,), member)

    def _receive_single(
        self, listener: Listener, source: Source, payload: bytes, now: float
    ) -> FanOut | None:
        """
        Fast path for a batch of one datagram.

        At low load every batch is one and runs with cold CPU caches.

        :return: None if the datagram needs the other path.
        """
        if not payload or now >= self._schedule.acks_from:
            return None
        if payload[0] == listener.first_byte:
            return self._session_intake.receive_single(listener, source, payload, now)
        member = listener.members.get(source)
        if member is None or member.room.log is not None:
            return None
        member.last_heard = now
        fan_out = FanOut(member.room)
        fan_out.payloads.append(payload)
        fan_out.senders.append(member)
        return self._fan_outs.seal(fan_out, listener, now)

    def _admit(
        self, listener: Listener, source: Source, payload: bytes, now: float
    ) -> tuple[Member | None, bytes]:
        """Decide on a datagram of an unknown address; return its member and what to relay."""
        address = listener.read_endpoint(source)
        decision = self._state.admission.decide(listener, address, payload, now)
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
        # A new member does not get earlier datagrams, those of the same batch included.
        room = self._roster.rooms.get(room_name)
        if room is not None:
            self._fan_outs.seal_room(room, listener, now)
        kind = MemberKind.PLAIN
        member = self._roster.join(room_name, kind, None, listener, source, listener, now)
        listener.members[source] = member
        self._state.expiry.watch(member)
        return member, payload if decision.relay else b""

    def _full(self, room_name: str) -> DropReason | None:
        room = self._roster.rooms.get(room_name)
        if room is not None and len(room) >= room.rules.max_members:
            return DropReason.ROOM_FULL
        if self._roster.member_count >= self._state.rules.max_members:
            return DropReason.RELAY_FULL
        return None


def _are_payloads(datagrams: list[bytes] | Segments, first_byte: int) -> bool:
    """Return whether no datagram is empty or may have the signature."""
    # Tests for list: isinstance() of an abstract class such as Segments is slow.
    if not isinstance(datagrams, list):
        return first_byte < 0 or first_byte not in datagrams.data[:: datagrams.size]
    if len(datagrams) == 1:
        return bool(datagrams[0]) and datagrams[0][0] != first_byte
    return all(datagrams) and first_byte not in map(_first_byte_of, datagrams)
