"""From received datagrams to fan-outs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from udprelay.protocol.wire.header import HEADER_SIZE, RELIABLE, SIGNATURE
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.drops import DropReason
from udprelay.relay.fan_out import FanOut, FanOutBatch
from udprelay.relay.gate import Charge
from udprelay.relay.room import Listener, Member
from udprelay.relay.session.intake import NOTHING, Payment, SessionIntake
from udprelay.relay.session.schedule import Schedule
from udprelay.relay.state import RelayState
from udprelay.relay.strangers import Strangers, is_known
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
        self._floods = state.floods
        self._strangers = Strangers(state.rules.limits.stranger_rate)
        self._schedule = schedule
        self._fan_outs = fan_outs
        self._session_intake = session_intake

    def receive(self, listener: Listener, batch: Sequence[SourceRun], now: float) -> list[FanOut]:
        """Receive datagrams, in order; return their fan-outs."""
        fan_outs, accept = self._fan_outs, self._accept
        members, first_byte = listener.members, listener.first_byte
        room = None
        for source, segments in batch:
            member, data, size = members.get(source), segments.data, segments.size
            if member is None or (size and first_byte >= 0 and first_byte in data[::size]):
                # A new member seals the fan-out of its room.
                room = None
                self._receive_stranger(listener, source, segments, now)
                continue
            member.last_heard = now
            count = segments.count
            if not size:
                if not accept(member, 1, 0, 0, now, Charge.CONTROL):
                    self._floods.exceeded(listener, source, member, now)
                continue
            accepted = accept(member, count, len(data), size, now)
            if accepted < count:
                self._floods.exceeded(listener, source, member, now)
                if not accepted:
                    continue
                segments = segments[:accepted]
            if member.room is not room:
                room = member.room
                add = fan_outs.open(room).runs.append
            add((member, segments, RELIABLE))
        sealed, schedule = fan_outs.finish(listener, now), self._schedule
        if not schedule.acks and now < schedule.acks_from and not schedule.with_entries:
            return sealed
        schedule.send_acks(now)
        return sealed + fan_outs.finish(None, now, schedule.due_entries(now))

    def _receive_stranger(
        self, listener: Listener, source: Source, segments: Segments, now: float
    ) -> None:
        """Receive as many datagrams of one source as may be looked at; it may be a member."""
        if not is_known(listener, source, segments):
            accepted = self._strangers.accept(segments, now)
            if accepted < segments.count:
                room, ignored = listener.rules.room, segments.count - accepted
                self._output.drop(listener.name, room, DropReason.STRANGER_LIMIT, now, ignored)
                self._floods.unknown(listener, source, segments, now)
                if not accepted:
                    return
                segments = segments[:accepted]
        self._receive_any(listener, source, segments, now)

    def _receive_any(
        self, listener: Listener, source: Source, segments: Segments, now: float
    ) -> None:
        """Receive datagrams of one source that is no member, or of which some may be framed."""
        session_intake, paid = self._session_intake, NOTHING
        if listener.first_byte < 0:
            self._receive_plain(listener, source, segments, now)
            return
        if segments.data.startswith(SIGNATURE):
            rest, paid = session_intake.receive(listener, source, segments, now)
            if rest is None:
                return
            segments = rest
        elif (member := listener.plain_at(source)) is not None:
            member.last_heard = now
            accepted = self._accept(member, segments.count, len(segments.data), segments.size, now)
            if accepted < segments.count:
                self._floods.exceeded(listener, source, member, now)
            if not accepted:
                return
            segments, paid = segments[:accepted], (member, Charge.PAYLOAD)
        for run in _by_header(segments):
            if not run.data.startswith(SIGNATURE):
                self._receive_plain(listener, source, run, now, paid)
                continue
            part, charged = session_intake.receive(listener, source, run, now, paid)
            for datagram in part or ():
                one = Segments(datagram, len(datagram))
                session_intake.receive(listener, source, one, now, charged)

    def _receive_plain(
        self,
        listener: Listener,
        source: Source,
        segments: Segments,
        now: float,
        paid: Payment = NOTHING,
    ) -> None:
        """Receive payloads, the first of which may make their source a member."""
        member, first = listener.plain_at(source), 0
        if member is not None and member.source != source:
            listener.follow(member, source)
        while member is None and first < segments.count:
            member, relay = self._admit(listener, source, segments[first], now)
            first += not relay
        if member is None:
            self._floods.unknown(listener, source, segments, now)
            return
        member.last_heard = now
        if first < segments.count:
            rest = segments[first:] if first else segments
            accepted, size = rest.count, rest.size
            if not size:
                accepted = self._accept(member, 1, 0, 0, now, Charge.CONTROL)
            elif paid[0] is not member:
                accepted = self._accept(member, accepted, len(rest.data), size, now)
            if accepted < rest.count:
                self._floods.exceeded(listener, source, member, now)
            if size and accepted:
                self._fan_outs.add(member, rest[:accepted])

    def _admit(
        self, listener: Listener, source: Source, payload: bytes, now: float
    ) -> tuple[Member | None, bool]:
        """Decide on a datagram of an unknown source; return its member and whether to relay it."""
        address = listener.transport.endpoint(source)
        decision = self._state.admission.decide(listener, source, address, payload, now)
        room_name = listener.rules.room
        reason = decision.reason
        if reason is None or decision.reply is not None:
            # Nobody is challenged for a place that there is not.
            quotas = self._state.quotas
            full = self._roster.full(room_name, now)
            if full is None and not decision.trusted:
                full = quotas.refusal(address, False, now)
            reason = full or reason
        if reason is not None:
            if decision.reply is not None and reason is decision.reason:
                self._output.reply(listener.transport, source, decision.reply)
            self._output.reject(listener, room_name, address, reason, now)
            return None, False
        # A new member does not get earlier datagrams, those of the same batch included.
        room = self._roster.rooms.get(room_name)
        if room is not None:
            self._fan_outs.seal_room(room, listener, now)
        kind = MemberKind.PLAIN
        transport = listener.transport
        member = self._roster.join(room_name, kind, None, listener, source, transport, now)
        listener.add_plain(member)
        if not decision.trusted:
            self._state.quotas.admit(member, False, now)
        self._state.expiry.watch(member)
        return member, decision.relay


def _by_header(segments: Segments) -> Iterator[Segments]:
    """Yield datagrams in runs that begin with the same bytes, as many as a header has."""
    for _, run in groupby(segments, lambda datagram: datagram[:HEADER_SIZE]):
        for _, part in runs_by_source((0, datagram) for datagram in run):
            yield part
