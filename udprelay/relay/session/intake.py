"""From session datagrams to fan-outs of DATA and a queue of control datagrams."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

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
from udprelay.relay.room import Listener
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
_PRIVATE_OVERHEAD = UP_PAYLOAD_OFFSET + 16
"""Bytes before the payload of PRIVATE: header, own sequence, identity of the receiver."""

_MAX_RELIABLE = UP_PAYLOAD_OFFSET + MAX_RELIABLE_PAYLOAD
_MAX_QUEUED = 1024
_HEADER_AND_OWN = f"{HEADER_SIZE}sI"


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
        self._sessions = sessions
        self._schedule = sessions.schedule
        self._fan_outs = fan_outs
        self.control_queue: deque[tuple[Listener, Source, bytes]] = deque()
        self.moved: dict[SessionMember, tuple[Listener, Source]] = {}
        state.census.add("queues.control", self.control_queue.__len__)
        state.census.add("queues.moved", self.moved.__len__)

    def receive(self, listener: Listener, source: Source, segments: Segments, now: float) -> bool:
        """
        Receive datagrams of one source, the first of which has the signature.

        :return: whether they are control datagrams with one header, or DATA with one header that
            can all be relayed; if not, nothing has been done. A single one always is received.
        """
        data, count = segments.data, segments.count
        header = bytes(data[:HEADER_SIZE])
        session: SessionMember | None = listener.sessions.get(header[ID])
        own = _own_sequences(segments, header)
        if count > 1:
            too_long = segments.size > _MAX_RELIABLE and header[FLAGS_OFFSET] & RELIABLE
            # Nobody knows how many bytes the first of a run have if not all have as many.
            limited = session is not None and session.allowance is not None
            if too_long or not own or (limited and len(data) % segments.size):
                return False
        if session is None or not own or header[_VERSION_TO_FLAGS] not in _DATA:
            self._receive_control(listener, session, source, segments, now)
            return True
        session.last_heard = now
        accepted = self._accept(session, count, len(data) - count * UP_PAYLOAD_OFFSET, now)
        if accepted < count:
            if not accepted:
                return True
            segments, own = segments[:accepted], own[:accepted]
        if session.source != source and segments.size >= MIN_PATH_DATAGRAM:
            self.moved[session] = listener, source
        if header[FLAGS_OFFSET] & RELIABLE:
            self._receive_reliable(session, segments, own, now)
        else:
            self._fan_outs.add(session, segments, header[FLAGS_OFFSET])
        return True

    def _receive_control(
        self,
        listener: Listener,
        session: SessionMember | None,
        source: Source,
        segments: Segments,
        now: float,
    ) -> None:
        """Queue datagrams; those of a session as far as the gate accepts them."""
        accepted = count = segments.count
        if session is not None:
            size, control = len(segments.data), segments.data[TYPE_OFFSET] != Type.PRIVATE_UP
            if not control:
                size = max(0, size - count * _PRIVATE_OVERHEAD)
            accepted = self._accept(session, count, size, now, control)
        queue = self.control_queue
        fitting = max(0, min(accepted, _MAX_QUEUED - len(queue)))
        queue += [(listener, source, datagram) for datagram in islice(segments, fitting)]
        if fitting < accepted:
            lost, room = accepted - fitting, listener.rules.room
            self._output.drop(listener.name, room, DropReason.CONTROL_LIMIT, now, lost)

    def _receive_reliable(
        self, session: SessionMember, segments: Segments, own: Sequence[int], now: float
    ) -> None:
        """Relay what can be relayed in its sender's order."""
        if segments.size > _MAX_RELIABLE:
            self._output.drop_from(session, DropReason.MALFORMED, now, segments.count)
            return
        self._schedule.acks[session] = None
        window = session.window
        first, count = own[0], len(own)
        in_row = own == tuple(range(first, first + count))
        if in_row and window.receive_run(first, count):
            self._fan_outs.add(session, segments, segments.data[FLAGS_OFFSET])
            return
        for sequence, datagram in zip(own, segments, strict=True):
            receive = self._sessions.receive_reliable
            self.release(session, receive(session, window, sequence, datagram, now))

    def release(self, session: SessionMember, datagrams: Sequence[bytes]) -> None:
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
