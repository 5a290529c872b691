"""From session datagrams to fan-outs of DATA and a queue of control datagrams."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import cast

from udprelay.protocol.wire.header import (
    FLAGS_OFFSET,
    HEADER_SIZE,
    OWN_SIZE,
    RELIABLE,
    SEALED,
    SIGNATURE,
    UP_PAYLOAD_OFFSET,
    VERSION,
    Type,
)
from udprelay.relay.drops import DropReason
from udprelay.relay.fan_out import FanOut
from udprelay.relay.fan_out_batch import FanOutBatch
from udprelay.relay.room import Listener, Room
from udprelay.relay.session.control import MIN_PATH_DATAGRAM
from udprelay.relay.session.fan_out import SessionFanOut
from udprelay.relay.session.joining import MAX_RELIABLE_PAYLOAD
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.sessions import Sessions
from udprelay.relay.state import RelayState
from udprelay.segments import Segments, Source, segments_of

# Slices of a datagram, and sets of their bytes; constants, as they are used per datagram.
_SIGNATURE_TO_FLAGS = slice(6)
_VERSION_TO_FLAGS = slice(3, 6)
_ID = slice(6, HEADER_SIZE)
_HEADER = slice(HEADER_SIZE)
_OWN = slice(HEADER_SIZE, UP_PAYLOAD_OFFSET)
_UNRELIABLE = frozenset(bytes((VERSION, Type.DATA_UP, flags)) for flags in (0, SEALED))
_UNRELIABLE_DATA = frozenset(SIGNATURE + kind for kind in _UNRELIABLE)
_DATA = _UNRELIABLE | {bytes((VERSION, Type.DATA_UP, flags)) for flags in range(RELIABLE, 32, 2)}
_RESERVED_OWN = frozenset((b"\0\0\0\0", b"\xff\xff\xff\xff"))
# The reserved own sequences 0 and 2**32-1 end in 0x00 or 0xff; others that do need the full
# comparison.
_END_OF_OWN = UP_PAYLOAD_OFFSET - 1
_ENDS_OF_RESERVED = (0, 255)
_header_of = itemgetter(_HEADER)
_body_of = itemgetter(slice(HEADER_SIZE, None))
_end_of_own_of = itemgetter(_END_OF_OWN)
_MAX_RELIABLE = UP_PAYLOAD_OFFSET + MAX_RELIABLE_PAYLOAD
_MAX_QUEUED = 1024


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
        self._sessions = sessions
        self._schedule = sessions.schedule
        self._fan_outs = fan_outs
        # The room of a session member has a log, and so only fan-outs of this kind.
        self._open = cast(Callable[[Room], SessionFanOut], fan_outs.open)
        self._new_fan_out = cast(Callable[[Room], SessionFanOut], sessions.new_fan_out)
        self.control_queue: deque[tuple[Listener, Source, bytes]] = deque()
        self.moved: dict[SessionMember, tuple[Listener, Source]] = {}
        state.census.add("queues.control", self.control_queue.__len__)
        state.census.add("queues.moved", self.moved.__len__)

    def receive_run(
        self, listener: Listener, source: Source, datagrams: list[bytes] | Segments, now: float
    ) -> bool:
        """
        Receive a run of one source, if all of it is unreliable data of one member.

        :param datagrams: more than one.
        :return: whether it is; if not, nothing has been done.
        """
        # The first bytes of a buffer are those of its first datagram.
        first = datagrams[0] if isinstance(datagrams, list) else datagrams.data
        header = bytes(first[_HEADER])
        session: SessionMember | None = listener.sessions.get(header[_ID])
        if (
            session is None
            or session.source != source
            or session.allowance is not None
            or header[_SIGNATURE_TO_FLAGS] not in _UNRELIABLE_DATA
        ):
            return False
        segments = segments_of(datagrams) if isinstance(datagrams, list) else datagrams
        if segments is None:
            bodies, size = _bodies(header, datagrams), 0
        else:
            bodies, size = _uniform_bodies(header, segments), segments.size - HEADER_SIZE
        if not bodies:
            return False
        session.last_heard = now
        self._open(session.room).add_run(session, bodies, header[FLAGS_OFFSET], size)
        return True

    def receive(self, listener: Listener, source: Source, datagram: bytes, now: float) -> None:
        """Receive a datagram with the signature."""
        session: SessionMember | None = listener.sessions.get(datagram[_ID])
        if session is not None and _needs_no_check(session, source, datagram):
            session.last_heard = now
            self._open(session.room).add_data(datagram, session)
        else:
            self._receive_checked(listener, session, source, datagram, now)

    def receive_single(
        self, listener: Listener, source: Source, datagram: bytes, now: float
    ) -> FanOut | None:
        """
        Receive the only datagram of a batch, if it is unreliable data of a member.

        :return: None if it is something else.
        """
        session: SessionMember | None = listener.sessions.get(datagram[_ID])
        if (
            session is None
            or datagram[:3] != SIGNATURE
            or not _needs_no_check(session, source, datagram)
        ):
            return None
        session.last_heard = now
        return self.release(session, (datagram,), now)

    def release(self, session: SessionMember, datagrams: Sequence[bytes], now: float) -> FanOut:
        """Return the fan-out of one member's DATA outside a batch."""
        fan_out = self._new_fan_out(session.room)
        for datagram in datagrams:
            fan_out.add_data(datagram, session)
        self._fan_outs.seal(fan_out, session.listener, now)
        if self._schedule.acks:
            self._schedule.send_acks(now)
        return fan_out

    def _receive_checked(
        self,
        listener: Listener,
        session: SessionMember | None,
        source: Source,
        datagram: bytes,
        now: float,
    ) -> None:
        """Receive a datagram; ``session`` is the one with its id."""
        kind = datagram[_VERSION_TO_FLAGS]
        is_data = (
            kind in _DATA
            and len(datagram) > UP_PAYLOAD_OFFSET
            and datagram[_OWN] not in _RESERVED_OWN
        )
        if session is None or not is_data:
            self._queue_control(listener, source, datagram, now)
            return
        session.last_heard = now
        if session.source != source and len(datagram) >= MIN_PATH_DATAGRAM:
            self.moved[session] = listener, source
        if session.allowance is not None:
            size = len(datagram) - UP_PAYLOAD_OFFSET
            if not session.allowance.try_consume(1, size, now):
                self._output.drop_from(session, DropReason.MEMBER_LIMIT, now)
                return
        ready: Sequence[bytes] = (datagram,)
        if kind not in _UNRELIABLE:
            ready = self._receive_reliable(session, listener, datagram, now)
        if ready:
            fan_out = self._open(session.room)
            for one in ready:
                fan_out.add_data(one, session)

    def _queue_control(
        self, listener: Listener, source: Source, datagram: bytes, now: float
    ) -> None:
        if len(self.control_queue) < _MAX_QUEUED:
            self.control_queue.append((listener, source, datagram))
        else:
            room = listener.rules.room
            self._output.drop(listener.name, room, DropReason.CONTROL_LIMIT, now)

    def _receive_reliable(
        self, session: SessionMember, listener: Listener, datagram: bytes, now: float
    ) -> Sequence[bytes]:
        """Return what can be relayed in its sender's order after this datagram."""
        if len(datagram) > _MAX_RELIABLE:
            self._drop(listener, session, DropReason.MALFORMED, now)
            return ()
        self._schedule.acks[session] = None
        window, own = session.window, int.from_bytes(datagram[_OWN], "big")
        buffered = window.buffered_bytes
        if own != window.next and not self._sessions.can_buffer(len(datagram)):
            self._drop(listener, session, DropReason.EARLY_LIMIT, now)
            return ()
        ready = window.receive(own, datagram)
        if window.buffered_bytes != buffered:
            self._sessions.add_buffered(window.buffered_bytes - buffered)
        elif not ready:
            self._drop(listener, session, DropReason.REPEATED, now)
        return ready

    def _drop(
        self, listener: Listener, session: SessionMember, reason: DropReason, now: float
    ) -> None:
        self._output.drop(listener.name, session.room.name, reason, now)


def _needs_no_check(session: SessionMember, source: Source, datagram: bytes) -> bool:
    """Return whether a datagram is unreliable data without a limit from a known address."""
    return (
        session.source == source
        and session.allowance is None
        and datagram[_VERSION_TO_FLAGS] in _UNRELIABLE
        and len(datagram) > UP_PAYLOAD_OFFSET
        and datagram[_OWN] not in _RESERVED_OWN
    )


def _uniform_bodies(header: bytes, datagrams: Segments) -> Sequence[bytes]:
    """Return what :func:`_bodies` would, in a constant number of interpreter steps."""
    size, number = datagrams.size, len(datagrams)
    if size <= UP_PAYLOAD_OFFSET:
        return ()
    columns = _headers_and_bodies(number, size - HEADER_SIZE).unpack(datagrams.data)
    bodies = columns[1::2]
    ends = datagrams.data[_END_OF_OWN::size]
    same_header = columns[::2].count(header) == number
    return bodies if same_header and _own_are_valid(bodies, ends) else ()


def _bodies(header: bytes, datagrams: Sequence[bytes]) -> Sequence[bytes]:
    """Return own sequences and payloads; none if any datagram is invalid or has another header."""
    if min(map(len, datagrams)) <= UP_PAYLOAD_OFFSET:
        return ()
    if [*map(_header_of, datagrams)].count(header) != len(datagrams):
        return ()
    bodies, ends = [*map(_body_of, datagrams)], bytes(map(_end_of_own_of, datagrams))
    return bodies if _own_are_valid(bodies, ends) else ()


@lru_cache(maxsize=256)
def _headers_and_bodies(number: int, size: int) -> struct.Struct:
    return struct.Struct(f"{HEADER_SIZE}s{size}s" * number)


def _own_are_valid(bodies: Sequence[bytes], ends: bytes | bytearray) -> bool:
    """Return whether no own sequence is reserved; their last bytes, ``ends``, exclude most."""
    for end in _ENDS_OF_RESERVED:
        at = ends.find(end)
        while at >= 0:
            if bodies[at][:OWN_SIZE] in _RESERVED_OWN:
                return False
            at = ends.find(end, at + 1)
    return True
