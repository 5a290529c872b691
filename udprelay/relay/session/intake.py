"""The way of what comes in with the signature: data into fan-outs, all else put aside."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter

from udprelay.protocol.wire.header import (
    FLAGS_AT,
    HEADER,
    OWN_SIZE,
    RELIABLE,
    SEALED,
    SIGNATURE,
    UP_DATA,
    VERSION,
    Type,
)
from udprelay.relay.drops import DropReason
from udprelay.relay.fan_out import SessionFanOut
from udprelay.relay.fan_outs import FanOuts
from udprelay.relay.listener import Listener, Source
from udprelay.relay.session.control import LEAST_PATH
from udprelay.relay.session.joining import LARGEST_PAYLOAD
from udprelay.relay.session.member import Session
from udprelay.relay.session.sessions import Sessions
from udprelay.relay.state import Shared
from udprelay.segments import Joined, join_if_alike

# Slices that are made once, sets of the bytes there: this is done for each datagram.
_BEGINNING = slice(6)
_KIND = slice(3, 6)
_ID = slice(6, HEADER)
_HEADER = slice(HEADER)
_OWN = slice(HEADER, UP_DATA)
_UNRELIABLE = frozenset(bytes((VERSION, Type.DATA_UP, flags)) for flags in (0, SEALED))
_STREAM = frozenset(SIGNATURE + kind for kind in _UNRELIABLE)
_DATA = _UNRELIABLE | {bytes((VERSION, Type.DATA_UP, flags)) for flags in range(RELIABLE, 32, 2)}
_NO_OWN = frozenset((b"\0\0\0\0", b"\xff\xff\xff\xff"))
# Own sequences that there are not end with these; the other ones that do cost a closer look.
_END_OF_OWN = UP_DATA - 1
_ENDS_OF_NO_OWN = (0, 255)
_header_of = itemgetter(_HEADER)
_said_of = itemgetter(slice(HEADER, None))
_end_of_own_of = itemgetter(_END_OF_OWN)
_LARGEST = UP_DATA + LARGEST_PAYLOAD
_MOST_WAITING = 1024


class SessionIntake:
    """
    Takes datagrams that have the signature.

    What is put aside may change who is a member, and a fan-out that is not yet delivered relies
    on nobody leaving.

    :ivar waiting: datagrams that are no data of a session.
    :ivar moved: sessions whose data came from a new address, with the last such address.
    """

    def __init__(self, shared: Shared, sessions: Sessions, fan_outs: FanOuts) -> None:
        self._output = shared.output
        self._sessions = sessions
        self._fan_outs = fan_outs
        self.waiting: deque[tuple[Listener, Source, bytes]] = deque()
        self.moved: dict[Session, tuple[Listener, Source]] = {}

    def take_stream(
        self, listener: Listener, source: Source, datagrams: list[bytes] | Joined, now: float
    ) -> bool:
        """
        Take what one source has sent in a row, if it is unreliable data of one member.

        :param datagrams: more than one.
        :return: whether it is; if not, nothing has been taken.
        """
        # Of one buffer, the first bytes are those of the first datagram.
        first = datagrams[0] if isinstance(datagrams, list) else datagrams.data
        header = bytes(first[_HEADER])
        session = listener.sessions.get(header[_ID])
        if (
            session is None
            or session.source != source
            or session.allowance is not None
            or header[_BEGINNING] not in _STREAM
        ):
            return False
        joined = join_if_alike(datagrams) if isinstance(datagrams, list) else datagrams
        said = _all_said(header, datagrams) if joined is None else _all_said_alike(header, joined)
        if not said:
            return False
        session.last_heard = now
        size = 0 if joined is None else joined.size - HEADER
        self._fan_outs.open_for(session).add_stream(session, said, header[FLAGS_AT], size)
        return True

    def take(self, listener: Listener, source: Source, datagram: bytes, now: float) -> None:
        """Take a datagram that has the signature."""
        session = listener.sessions.get(datagram[_ID])
        if session is not None and _is_ordinary(session, source, datagram):
            session.last_heard = now
            self._fan_outs.open_for(session).add_data(datagram, session)
        else:
            self._take_one(listener, session, source, datagram, now)

    def take_single(
        self, listener: Listener, source: Source, datagram: bytes, now: float
    ) -> SessionFanOut | None:
        """
        Take a datagram that came alone, if it is unreliable data of a member.

        :return: None if it is something else.
        """
        session = listener.sessions.get(datagram[_ID])
        if (
            session is None
            or datagram[:3] != SIGNATURE
            or not _is_ordinary(session, source, datagram)
        ):
            return None
        session.last_heard = now
        return self._fan_outs.single_data(datagram, session, now)

    def _take_one(
        self,
        listener: Listener,
        session: Session | None,
        source: Source,
        datagram: bytes,
        now: float,
    ) -> None:
        """
        Take a datagram; put it aside if it is no data of a member.

        :param session: the one with its id.
        """
        kind = datagram[_KIND]
        is_data = kind in _DATA and len(datagram) > UP_DATA and datagram[_OWN] not in _NO_OWN
        if session is None or not is_data:
            self._put_aside(listener, source, datagram, now)
            return
        session.last_heard = now
        if session.source != source and len(datagram) >= LEAST_PATH:
            self.moved[session] = listener, source
        if session.allowance is not None and not self._allowed(session, datagram, now):
            return
        ready: Sequence[bytes] = (datagram,)
        if kind not in _UNRELIABLE:
            ready = self._reliable(session, listener, datagram, now)
        if ready:
            fan_out = self._fan_outs.open_for(session)
            for one in ready:
                fan_out.add_data(one, session)

    def _put_aside(self, listener: Listener, source: Source, datagram: bytes, now: float) -> None:
        if len(self.waiting) < _MOST_WAITING:
            self.waiting.append((listener, source, datagram))
        else:
            room = listener.rules.room
            self._output.drop(listener.name, room, DropReason.CONTROL_LIMIT, now)

    def _allowed(self, session: Session, datagram: bytes, now: float) -> bool:
        size = len(datagram) - UP_DATA
        if session.allowance is None or session.allowance.take(1, size, now):
            return True
        self._output.drop_from(session, DropReason.MEMBER_LIMIT, now)
        return False

    def _reliable(
        self, session: Session, listener: Listener, datagram: bytes, now: float
    ) -> Sequence[bytes]:
        """Return what can be relayed in its sender's order, now that this has come."""
        if len(datagram) > _LARGEST:
            self._drop(listener, session, DropReason.MALFORMED, now)
            return ()
        self._sessions.acks[session] = None
        window, own = session.window, int.from_bytes(datagram[_OWN], "big")
        held = window.held_bytes
        if own != window.next and not self._sessions.may_hold(len(datagram)):
            self._drop(listener, session, DropReason.EARLY_LIMIT, now)
            return ()
        ready = window.take(own, datagram)
        if window.held_bytes != held:
            self._sessions.holds(window.held_bytes - held)
        elif not ready:
            self._drop(listener, session, DropReason.REPEATED, now)
        return ready

    def _drop(self, listener: Listener, session: Session, reason: DropReason, now: float) -> None:
        self._output.drop(listener.name, session.room.name, reason, now)


def _is_ordinary(session: Session, source: Source, datagram: bytes) -> bool:
    """Return whether there is nothing to do about a datagram of a session but to pass it on."""
    return (
        session.source == source
        and session.allowance is None
        and datagram[_KIND] in _UNRELIABLE
        and len(datagram) > UP_DATA
        and datagram[_OWN] not in _NO_OWN
    )


def _all_said_alike(header: bytes, datagrams: Joined) -> Sequence[bytes]:
    """Return what :func:`_all_said` would; hardly a step of the interpreter is for one of them."""
    size, number = datagrams.size, len(datagrams)
    if size <= UP_DATA:
        return ()
    columns = _headers_and_said(number, size - HEADER).unpack(datagrams.data)
    said = columns[1::2]
    ends = datagrams.data[_END_OF_OWN::size]
    return said if columns[::2].count(header) == number and _all_own(said, ends) else ()


def _all_said(header: bytes, datagrams: Sequence[bytes]) -> Sequence[bytes]:
    """Return own sequences and payloads, or nothing if any is no datagram with that header."""
    if min(map(len, datagrams)) <= UP_DATA:
        return ()
    if [*map(_header_of, datagrams)].count(header) != len(datagrams):
        return ()
    said, ends = [*map(_said_of, datagrams)], bytes(map(_end_of_own_of, datagrams))
    return said if _all_own(said, ends) else ()


@lru_cache(maxsize=256)
def _headers_and_said(number: int, size: int) -> struct.Struct:
    return struct.Struct(f"{HEADER}s{size}s" * number)


def _all_own(said: Sequence[bytes], ends: bytes | bytearray) -> bool:
    """Return whether each has an own sequence; their last bytes tell of most."""
    for end in _ENDS_OF_NO_OWN:
        at = ends.find(end)
        while at >= 0:
            if said[at][:OWN_SIZE] in _NO_OWN:
                return False
            at = ends.find(end, at + 1)
    return True
