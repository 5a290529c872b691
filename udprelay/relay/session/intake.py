"""From session datagrams to fan-outs of DATA and a queue of control datagrams."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TypeAlias

from udprelay.protocol.wire.header import (
    FLAGS_OFFSET,
    HEADER_SIZE,
    ID,
    MAX_OWN,
    RELIABLE,
    SEALED,
    TYPE_OFFSET,
    UP_PAYLOAD_OFFSET,
    VERSION,
    Type,
)
from udprelay.relay.drops import DropReason
from udprelay.relay.fan_out import FanOutBatch
from udprelay.relay.gate import Charge
from udprelay.relay.room import Listener, Member
from udprelay.relay.session.control import MIN_PATH_DATAGRAM
from udprelay.relay.session.joining import MAX_RELIABLE_PAYLOAD
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.sessions import Sessions
from udprelay.relay.state import RelayState
from udprelay.segments import Segments, Source

_VERSION_TO_FLAGS = slice(3, 6)
_DATA = frozenset(
    bytes((VERSION, Type.DATA_UP, flags)) for flags in (0, SEALED, *range(RELIABLE, 32, 2))
)
_PAYLOADS: dict[int, tuple[Charge, int]] = {
    Type.DATA_UP: (Charge.PAYLOAD, UP_PAYLOAD_OFFSET),
    Type.PRIVATE_UP: (Charge.PRIVATE, UP_PAYLOAD_OFFSET + 16),
}
"""
The charge for a payload and the bytes before it, by the type of what has one: header, own sequence
and, in PRIVATE, the identity of the receiver.
"""
_NO_PAYLOAD = Charge.CONTROL, 0

_MAX_RELIABLE = UP_PAYLOAD_OFFSET + MAX_RELIABLE_PAYLOAD
_MAX_QUEUED = 1024
_HEADER_AND_OWN = f"{HEADER_SIZE}sI"


Payment: TypeAlias = tuple[Member | None, Charge]
"""Who has been charged for datagrams, and for what."""

NOTHING: Payment = (None, Charge.NOTHING)


class SessionIntake:
    """
    Receives datagrams with the signature.

    Control datagrams are queued: they may remove members, which is not possible before the
    fan-outs of the batch are delivered.

    :ivar control_queue: control datagrams, each with its listener and source.
    :ivar moved: sessions with DATA from a new address, and the last such address.
    """

    def __init__(self, state: RelayState, sessions: Sessions, fan_outs: FanOutBatch) -> None:
        self._output = state.output
        self._accept = state.gate.accept
        self._floods = state.floods
        self._flow = sessions.flow
        self._schedule = sessions.schedule
        self._fan_outs = fan_outs
        self.control_queue: deque[tuple[Listener, Source, bytes]] = deque()
        self.moved: dict[SessionMember, tuple[Listener, Source]] = {}
        state.census.add("queues.control", self.control_queue.__len__)
        state.census.add("queues.moved", self.moved.__len__)

    def receive(
        self,
        listener: Listener,
        source: Source,
        segments: Segments,
        now: float,
        paid: Payment = NOTHING,
    ) -> tuple[Segments | None, Payment]:
        """
        Receive datagrams of one source, the first of which has the signature.

        Before the others are looked at, the gate is asked for all as for the first.

        :param paid: for whom and what the gate has been asked already.
        :return: the accepted datagrams if several are to be received one by one, as they have
            different headers or are not all DATA that can be relayed, and what is paid now.
        """
        header = bytes(segments.data[:HEADER_SIZE])
        session: SessionMember | None = listener.sessions.get(header[ID])
        is_data = header[_VERSION_TO_FLAGS] in _DATA
        if session is not None:
            accepted, paid = self._pay(session, header, segments, now, paid)
            if accepted < segments.count:
                self._floods.exceeded(listener, source, session, now, header[ID])
            if not accepted:
                if is_data:
                    session.last_heard = now
                return None, paid
            if accepted < segments.count:
                segments = segments[:accepted]
        own = _own_sequences(segments, header)
        if segments.count > 1 and (
            not own or (segments.size > _MAX_RELIABLE and header[FLAGS_OFFSET] & RELIABLE)
        ):
            return segments, paid
        if session is None or not own or not is_data:
            self._receive_control(listener, source, segments, now, session is not None)
            return None, paid
        session.last_heard = now
        if session.source != source and segments.size >= MIN_PATH_DATAGRAM:
            self.moved[session] = listener, source
        if header[FLAGS_OFFSET] & RELIABLE:
            self._receive_reliable(session, segments, own, now)
        else:
            self._fan_outs.add(session, segments, header[FLAGS_OFFSET])
        return None, paid

    def _pay(
        self, session: SessionMember, header: bytes, segments: Segments, now: float, paid: Payment
    ) -> tuple[int, Payment]:
        """Ask the gate unless that has been paid; return how many datagrams it accepts."""
        count, size = segments.count, len(segments.data)
        charge, overhead = _PAYLOADS.get(header[TYPE_OFFSET], _NO_PAYLOAD)
        if paid == (session, charge):
            return count, paid
        size, each = max(0, size - count * overhead), max(0, segments.size - overhead)
        return self._accept(session, count, size, each, now, charge), (session, charge)

    def _receive_control(
        self, listener: Listener, source: Source, segments: Segments, now: float, known: bool
    ) -> None:
        """
        Queue datagrams.

        :param known: whether they are of a session.
        """
        if not known:
            self._floods.unknown(listener, source, segments, now)
        queue, count = self.control_queue, segments.count
        fitting = max(0, min(count, _MAX_QUEUED - len(queue)))
        queue += [(listener, source, datagram) for datagram in islice(segments, fitting)]
        if fitting < count:
            lost, room = count - fitting, listener.rules.room
            self._output.drop(listener.name, room, DropReason.CONTROL_LIMIT, now, lost)

    def _receive_reliable(
        self, session: SessionMember, segments: Segments, own: Sequence[int], now: float
    ) -> None:
        """Relay what can be relayed in its sender's order."""
        if segments.size > _MAX_RELIABLE:
            self._output.drop_from(session, DropReason.MALFORMED, now, segments.count)
            return
        self._schedule.acks[session] = None
        window, flow, control = session.window, session.flow, self._flow
        first, count = own[0], len(own)
        if own == tuple(range(first, first + count)):
            accepted = flow.accepted + count * flow.share(segments.size)
            fits = accepted <= flow.limit or control.fits(session, accepted)
            if fits and window.receive_run(first, count):
                flow.accepted = accepted
                self._fan_outs.add(session, segments, segments.data[FLAGS_OFFSET])
                return
        for sequence, datagram in zip(own, segments, strict=True):
            control.store(session, window, sequence, datagram, now)
            self.release(session, control.ready(session, now))

    def release_waiting(self, session: SessionMember, now: float) -> None:
        """Relay DATA of a session that has waited, and may be relayed now."""
        self.release(session, self._flow.ready(session, now))

    def release(self, session: SessionMember, datagrams: Iterable[bytes]) -> None:
        """Relay DATA of a session that was checked before."""
        for datagram in datagrams:
            one = Segments(datagram, len(datagram))
            self._fan_outs.add(session, one, datagram[FLAGS_OFFSET])


def _own_sequences(segments: Segments, header: bytes) -> Sequence[int]:
    """Return the own sequences of DATA; none if any is invalid, or has another header."""
    data = segments.data
    if segments.count == 1:
        own = (int.from_bytes(data[HEADER_SIZE:UP_PAYLOAD_OFFSET], "big"),)
        return own if len(data) > UP_PAYLOAD_OFFSET and 0 < own[0] <= MAX_OWN else ()
    if len(data) - segments.size * (segments.count - 1) <= UP_PAYLOAD_OFFSET:
        return ()
    fields = segments.unpack(_HEADER_AND_OWN, UP_PAYLOAD_OFFSET)
    own = fields[1::2]
    one_header = fields[::2].count(header) == len(own)
    return own if one_header and min(own) and max(own) <= MAX_OWN else ()
