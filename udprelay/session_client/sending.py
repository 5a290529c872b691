"""What a client sends: the room's messages, private ones, and those that are not repeated."""

from __future__ import annotations

from collections.abc import Collection
from math import inf

from udprelay.protocol.seal import OVERHEAD, PRIVATE, RELIABLE, UNRELIABLE, UNRELIABLE_PRIVATE
from udprelay.protocol.wire import header
from udprelay.protocol.wire.entries import FailedNotice
from udprelay.protocol.wire.from_client import DataUp, PrivateUp
from udprelay.protocol.wire.from_relay import Ack
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.ranges import Ranges
from udprelay.session_client.allowance import Allowance
from udprelay.session_client.events import Delivered, Event, Failed, Missed
from udprelay.session_client.outgoing import Outgoing
from udprelay.session_client.pieces import Message, Piece
from udprelay.session_client.round_trip import RoundTrip
from udprelay.session_client.sealing import Sealing

LARGEST_MESSAGE = 65_536
LARGEST_UNRELIABLE = 65_507 - header.DOWN_DATA - OVERHEAD
LARGEST_UNRELIABLE_PRIVATE = LARGEST_UNRELIABLE - 4
"""The identity of the receiver takes more than what the relay puts in its place."""
MOST_BACKLOG = 100_000
MOST_BACKLOG_BYTES = 64 * 2**20
ABSENCE = 10.0
"""Seconds for receivers of private messages to come back after the relay was restarted."""
LAST_OWN = 2**32 - 2**20
"""The own sequence at which a client begins a new identity."""
_USUAL_PAYLOAD = 1200
_RECEIVER = 16
"""Bytes by which private payloads are smaller."""


class MessageError(ValueError):
    """A message that can't be sent; says why."""


class Sending:
    """
    Takes messages, puts datagrams out, and tells what became of the messages.

    :param sealing: seals, if ``keyed``.
    :param round_trip: learns from the acknowledgements.
    :ivar datagrams: to be sent; whoever sends them removes them.
    :ivar events: likewise.
    :ivar unsent: unreliable messages that were dropped.
    """

    def __init__(self, sealing: Sealing, keyed: bool, round_trip: RoundTrip) -> None:
        self.datagrams: list[bytes] = []
        self.events: list[Event] = []
        self.unsent = 0
        self._sealing = sealing
        self._overhead = OVERHEAD if keyed else 0
        self._sealed = header.SEALED if keyed else 0
        self._allowance = Allowance()
        self._room = Outgoing(round_trip, _USUAL_PAYLOAD - self._overhead)
        self._private = Outgoing(round_trip, _USUAL_PAYLOAD - _RECEIVER - self._overhead)
        self._session_id: bytes | None = None
        self._last_message = 0
        self._put_out = 0
        self._next_unreliable = {UNRELIABLE: 1, UNRELIABLE_PRIVATE: 1}
        # Who the oldest private messages wait for, and until when.
        self._absent: set[bytes] = set()
        self._absent_until = inf

    # Messages.

    def reliable(self, payload: bytes, receiver: bytes, now: float) -> int:
        """
        Take a message for the room, or for the member with the identity ``receiver``.

        :raises MessageError: if it is empty or too large, or too much is waiting already.
        """
        _check(payload, LARGEST_MESSAGE)
        outgoing = self._private if receiver else self._room
        message = Message(self._last_message + 1, payload, receiver, now)
        if (
            self.backlog + message.pieces_left(outgoing.room) > MOST_BACKLOG
            or self._backlog_bytes + len(payload) > MOST_BACKLOG_BYTES
        ):
            raise MessageError("too much is waiting to be sent")
        self._last_message += 1
        outgoing.append(message)
        return message.id

    def unreliable(self, payload: bytes, receiver: bytes, now: float) -> int:
        """
        Send a message now or not at all; parameters as for :meth:`reliable`.

        :raises MessageError: if it is empty or too large.
        """
        _check(payload, LARGEST_UNRELIABLE_PRIVATE if receiver else LARGEST_UNRELIABLE)
        self._last_message += 1
        if self._session_id is None:
            self.unsent += 1
            self.events.append(Failed(self._last_message, "not-joined"))
            return self._last_message
        stream = UNRELIABLE_PRIVATE if receiver else UNRELIABLE
        own = self._next_unreliable[stream]
        self._next_unreliable[stream] += 1
        self._put(stream, own, self._sealed, receiver, payload, now)
        return self._last_message

    @property
    def outstanding(self) -> int:
        """Messages, not the unreliable ones, that are neither delivered nor failed."""
        return len(self._room.open) + len(self._private.open)

    @property
    def backlog(self) -> int:
        """Datagrams that have not been sent yet."""
        return self._room.backlog + self._private.backlog

    @property
    def sent(self) -> int:
        """Datagrams with messages or pieces of them, each counted once."""
        return self._put_out - self.repeated

    @property
    def repeated(self) -> int:
        """How often a datagram was sent another time."""
        return self._room.repeated + self._private.repeated

    # Sessions.

    def offer(self, now: float) -> tuple[int, int]:
        """Return the first own sequences that the next session is to have, for JOIN."""
        return self._room.offer(now), self._private.offer(now)

    def begin(self, welcome: Welcome, another: bool, now: float) -> None:
        """Go on in a session; ``another``: the room is another than in the last one."""
        self._session_id = welcome.session_id
        self._allowance.allow(*welcome.allowance, now)
        room = welcome.largest - self._overhead
        following, following_private = welcome.next_own
        self._room.begin(following, room, another, now)
        self._private.begin(following_private, room - _RECEIVER, another, now)
        if another:
            self._absent = self._private.receivers
            self._absent_until = now + ABSENCE
        self._tell()

    def end(self, heard: float, now: float) -> None:
        """Stop sending until the next session; the relay was heard last at ``heard``."""
        self._session_id = None
        self._room.end(heard, now)
        self._private.end(heard, now)

    def renew(self) -> None:
        """Begin with own sequence 1 again, under another identity."""
        self._room.renew()
        self._private.renew()
        self._next_unreliable = dict.fromkeys(self._next_unreliable, 1)
        self._tell()

    def close(self) -> None:
        """Tell that all that is outstanding has failed."""
        self._session_id = None
        for message in sorted(self._room.open | self._private.open):
            self.events.append(Failed(message, "closed"))
        self._room.open.clear()
        self._private.open.clear()

    @property
    def stuck(self) -> bool:
        """Whether the relay waits for what has failed, and has to be told in a new session."""
        return self._room.stuck or self._private.stuck

    @property
    def worn(self) -> bool:
        """Whether so much was sent that it is time for another identity."""
        following = (self._room.next, self._private.next, *self._next_unreliable.values())
        return max(following) >= LAST_OWN

    # What comes, and time.

    def acknowledge(self, ack: Ack, now: float) -> None:
        """Take what the relay has."""
        self._room.acknowledge(ack.next, ack.bitmap, now)
        self._private.acknowledge(ack.next_private, ack.private_bitmap, now)
        self._tell()

    def missed(self, ranges: Ranges, nick: str | None) -> None:
        """Take what a member has not received."""
        self.events.extend(Missed(message, nick) for message in self._room.origins.of(ranges))

    def failed(self, notice: FailedNotice) -> None:
        """Take that a private message can't be passed on."""
        message = self._private.fail(notice.own)
        if message is not None:
            self.events.append(Failed(message, notice.code))

    def present(self, identities: Collection[bytes]) -> None:
        """Take note of who is in the room."""
        self._absent.difference_update(identities)

    @property
    def waits_for_members(self) -> bool:
        """Whether :meth:`present` makes a difference."""
        return bool(self._absent)

    def flush(self, now: float) -> None:
        """Put out what may go now."""
        streams = [self._room, self._private]
        while streams and self._allowance.ready(now):
            for outgoing in tuple(streams):
                if self._ready(outgoing):
                    self._send(outgoing.take(now), now)
                else:
                    streams.remove(outgoing)

    def expire(self, now: float) -> bool:
        """Do what is due, but for :meth:`flush`; return whether the relay may be gone."""
        if now >= self._absent_until:
            self._absent.clear()
        doubts = [self._room.expire(now), self._private.expire(now)]
        self._tell()
        return any(doubts)

    @property
    def deadline(self) -> float:
        """When to call :meth:`expire` and :meth:`flush`."""
        deadlines = [self._room.deadline, self._private.deadline]
        if self._absent:
            deadlines.append(self._absent_until)
        if self._ready(self._room) or self._ready(self._private):
            deadlines.append(self._allowance.when)
        return min(deadlines)

    @property
    def _backlog_bytes(self) -> int:
        return self._room.backlog_bytes + self._private.backlog_bytes

    def _ready(self, outgoing: Outgoing) -> bool:
        return outgoing.ready and not (outgoing is self._private and self._absent)

    def _send(self, piece: Piece, now: float) -> None:
        stream = PRIVATE if piece.receiver else RELIABLE
        flags = piece.flags | header.RELIABLE | self._sealed
        self._put(stream, piece.own, flags, piece.receiver, piece.payload, now)

    def _put(
        self, stream: int, own: int, flags: int, receiver: bytes, payload: bytes, now: float
    ) -> None:
        if self._sealed:
            # What is repeated comes to the same, unless the room has another key by now.
            payload = self._sealing.seal(stream, own, flags, payload, receiver)
        session_id = self._session_id or b""
        datagram = (
            PrivateUp(session_id, flags, own, receiver, payload)
            if receiver
            else DataUp(session_id, flags, own, payload)
        ).encode()
        self._allowance.spend(len(datagram), now)
        self.datagrams.append(datagram)
        self._put_out += 1

    def _tell(self) -> None:
        for outgoing in (self._room, self._private):
            self.events.extend(Delivered(message) for message in outgoing.take_delivered())
            self.events.extend(
                Failed(message, "unacknowledged") for message in outgoing.take_failed()
            )


def _check(payload: bytes, most: int) -> None:
    if not payload:
        raise MessageError("an empty message")
    if len(payload) > most:
        raise MessageError(f"{len(payload)} bytes, more than {most}")
