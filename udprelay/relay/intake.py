"""From received datagrams to fan-outs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from udprelay.protocol.wire.header import HEADER_SIZE, SIGNATURE
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.admission import Refused
from udprelay.relay.drops import DropReason
from udprelay.relay.fan_out import FanOut, FanOutBatch
from udprelay.relay.room import Listener, Member
from udprelay.relay.session.intake import SessionIntake
from udprelay.relay.session.schedule import Schedule
from udprelay.relay.state import RelayState
from udprelay.segments import Segments, Source, SourceRun, runs_by_source


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
        self._accept = state.gate.accept
        self._schedule = schedule
        self._fan_outs = fan_outs
        self._session_intake = session_intake

    def receive(self, listener: Listener, batch: Sequence[SourceRun], now: float) -> list[FanOut]:
        """Receive datagrams, in order; return their fan-outs."""
        fan_outs = self._fan_outs
        fan_outs.begin()
        members, first_byte = listener.members, listener.first_byte
        for source, segments in batch:
            member = members.get(source)
            if member is not None and not _may_have_signature(segments, first_byte):
                self._receive_payloads(member, segments, now)
            elif first_byte < 0 or not segments.size:
                self._receive_plain(listener, source, segments, now)
            else:
                self._receive_any(listener, source, segments, now)
        schedule = self._schedule
        if not schedule.acks and now < schedule.acks_from and not schedule.with_entries:
            return fan_outs.finish(listener, now)
        sealed = fan_outs.finish(listener, now)
        schedule.send_acks(now)
        return sealed + fan_outs.finish(None, now, schedule.due_entries(now))

    def _receive_any(
        self, listener: Listener, source: Source, segments: Segments, now: float
    ) -> None:
        """Receive the datagrams of one source, some with the signature."""
        for run in _by_header(segments):
            if run.data.startswith(SIGNATURE):
                self._session_intake.receive(listener, source, run, now)
            else:
                self._receive_plain(listener, source, run, now)

    def _receive_payloads(self, member: Member, segments: Segments, now: float) -> None:
        member.last_heard = now
        count = segments.count
        accepted = self._accept(member, count, len(segments.data), now, not segments.size)
        if accepted and segments.size:
            self._fan_outs.add(member, segments if accepted == count else segments[:accepted])

    def _receive_plain(
        self, listener: Listener, source: Source, segments: Segments, now: float
    ) -> None:
        """Receive the payloads of one source, which may not be a member."""
        member = listener.members.get(source)
        if member is not None:
            self._receive_payloads(member, segments, now)
            return
        for index, payload in enumerate(segments):
            member, relayed = self._admit(listener, source, payload, now)
            if member is not None:
                member.last_heard = now
                first = index if relayed else index + 1
                if first < segments.count:
                    self._receive_payloads(member, segments[first:], now)
                return

    def _admit(
        self, listener: Listener, source: Source, payload: bytes, now: float
    ) -> tuple[Member | None, bool]:
        """Decide on a datagram of an unknown source; return its member and whether to relay it."""
        address = listener.transport.endpoint(source)
        decision = self._state.admission.decide(listener, address, payload, now)
        room_name = listener.rules.room
        full = self._full(room_name)
        if isinstance(decision, Refused):
            if decision.reply is None:
                full = None
            elif full is None:
                self._output.reply(listener.transport, source, decision.reply)
            self._output.reject(listener, room_name, address, full or decision.reason, now)
            return None, False
        if full is not None:
            self._output.reject(listener, room_name, address, full, now)
            return None, False
        # A new member does not get earlier datagrams, those of the same batch included.
        room = self._roster.rooms.get(room_name)
        if room is not None:
            self._fan_outs.seal_room(room, listener, now)
        kind = MemberKind.PLAIN
        transport = listener.transport
        member = self._roster.join(room_name, kind, None, listener, source, transport, now)
        listener.members[source] = member
        self._state.expiry.watch(member)
        return member, decision.relay

    def _full(self, room_name: str) -> DropReason | None:
        room = self._roster.rooms.get(room_name)
        if room is not None and len(room) >= room.rules.max_members:
            return DropReason.ROOM_FULL
        if self._roster.member_count >= self._state.rules.max_members:
            return DropReason.RELAY_FULL
        return None


def _may_have_signature(segments: Segments, first_byte: int) -> bool:
    data = segments.data
    if segments.count == 1:
        return bool(data) and data[0] == first_byte
    return first_byte >= 0 and first_byte in data[:: segments.size]


def _by_header(segments: Segments) -> Iterator[Segments]:
    """Yield the datagrams in runs of which all begin with the same bytes, those of a header."""
    if segments.count == 1:
        yield segments
        return
    headers = {datagram[:HEADER_SIZE] for datagram in segments}
    if len(headers) == 1:
        yield segments
        return
    for _, run in groupby(segments, lambda datagram: datagram[:HEADER_SIZE]):
        for _, part in runs_by_source((0, datagram) for datagram in run):
            yield part
