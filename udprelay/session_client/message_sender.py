"""The sending half of a client: reliable and unreliable messages, to the room and private."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.protocol.seal import PRIVATE, RELIABLE, SEAL_OVERHEAD, UNRELIABLE, UNRELIABLE_PRIVATE
from udprelay.protocol.token_bucket import TokenBucket
from udprelay.protocol.wire import header
from udprelay.protocol.wire.entries import FailedNotice
from udprelay.protocol.wire.from_client import DataUp, PrivateUp
from udprelay.protocol.wire.from_relay import Ack
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.ranges import Ranges
from udprelay.session_client.events import Event, Failed, Missed
from udprelay.session_client.outgoing import Outgoing
from udprelay.session_client.pieces import MAX_MESSAGE, Message, Piece
from udprelay.session_client.round_trip import RoundTripEstimator
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.settings import Settings, Statistics

MAX_UNRELIABLE = MAX_PAYLOAD - header.DOWN_PAYLOAD_OFFSET - SEAL_OVERHEAD
"""Bytes in the largest unreliable message to the room: it must fit a datagram of the relay."""
MAX_UNRELIABLE_PRIVATE = MAX_UNRELIABLE - 4
"""The same for a private one: the receiver's identity is longer than what replaces it."""
MAX_BACKLOG = 100_000
"""Pieces that have not been sent."""
MAX_BACKLOG_BYTES = 64 * 2**20
RECEIVER_GRACE_PERIOD = 10.0
"""Seconds for receivers of private messages to join again after a restart of the relay."""
_BURST_SECONDS = 0.25
"""How many seconds of the relay's allowance may be sent at once."""
_DEFAULT_PAYLOAD = 1200
_RECEIVER_SIZE = 16
"""Bytes of the receiver's identity, which make private pieces smaller."""


class MessageError(ValueError):
    """A message can't be sent; the text says why."""


class MessageSender:
    """
    Turns messages into datagrams, and reports the outcome of the messages.

    :param sealing: seals, if there is a passphrase.
    :param round_trip: gets samples from the acknowledgements.
    :param statistics: counts transmissions, and unreliable messages that were dropped.
    :ivar datagrams: to be sent; the owner removes them.
    :ivar events: to be emitted; the owner removes them.
    """

    def __init__(
        self,
        settings: Settings,
        sealing: Sealing,
        round_trip: RoundTripEstimator,
        statistics: Statistics,
    ) -> None:
        self.datagrams: list[bytes] = []
        self.events: list[Event] = []
        self._sealing = sealing
        self._statistics = statistics
        self._overhead = SEAL_OVERHEAD if settings.keyed else 0
        self._sealed = header.SEALED if settings.keyed else 0
        self._last_own = settings.last_own
        self._bucket = TokenBucket((0, 0), (0, 0))
        max_piece = _DEFAULT_PAYLOAD - self._overhead
        emit = self.events.append
        self._room = Outgoing(emit, statistics, round_trip, max_piece)
        self._private = Outgoing(emit, statistics, round_trip, max_piece - _RECEIVER_SIZE)
        self._session_id: bytes | None = None
        self._last_message = 0
        self._next_unreliable = {UNRELIABLE: 1, UNRELIABLE_PRIVATE: 1}
        # Private messages wait until these receivers have joined again, or until that time.
        self._absent: set[bytes] = set()
        self._absent_until = inf

    # Messages.

    def send_reliable(self, payload: bytes, receiver: bytes, now: float) -> int:
        """
        Queue a message for the room, or for the member with the identity ``receiver``.

        :return: the message's number.
        :raises MessageError: if it is empty or too large, or the backlog is full.
        """
        _check(payload, MAX_MESSAGE)
        outgoing = self._private if receiver else self._room
        message = Message(self._last_message + 1, payload, receiver, now)
        if (
            self.backlog + message.pieces_left(outgoing.max_piece) > MAX_BACKLOG
            or self._room.backlog_bytes + self._private.backlog_bytes + len(payload)
            > MAX_BACKLOG_BYTES
        ):
            raise MessageError("too many messages are waiting to be sent")
        self._last_message += 1
        outgoing.append(message)
        return message.id

    def send_unreliable(self, payload: bytes, receiver: bytes, now: float) -> int:
        """
        Send a message now, or drop it outside a session; otherwise as :meth:`send_reliable`.

        :raises MessageError: if it is empty or too large.
        """
        _check(payload, MAX_UNRELIABLE_PRIVATE if receiver else MAX_UNRELIABLE)
        self._last_message += 1
        if self._session_id is None:
            self._statistics.unsent += 1
            self.events.append(Failed(self._last_message, "not-joined"))
            return self._last_message
        stream = UNRELIABLE_PRIVATE if receiver else UNRELIABLE
        own = self._next_unreliable[stream]
        self._next_unreliable[stream] += 1
        self._send_datagram(stream, own, self._sealed, receiver, payload, now)
        self._statistics.sent += 1
        return self._last_message

    @property
    def outstanding(self) -> int:
        """Reliable messages that are neither delivered nor failed."""
        return len(self._room.outstanding) + len(self._private.outstanding)

    @property
    def backlog(self) -> int:
        """Pieces that have not been sent."""
        return self._room.backlog + self._private.backlog

    # Sessions.

    def offer(self, now: float) -> tuple[int, int]:
        """Return, for JOIN, the first own sequences that can still be sent: room and private."""
        return self._room.offer(now), self._private.offer(now)

    def start_session(self, welcome: Welcome, new_room: bool, now: float) -> None:
        """
        Begin to send.

        :param new_room: the room is not that of the last session.
        """
        self._session_id = welcome.session_id
        rate, bandwidth = welcome.allowance
        bursts = rate * _BURST_SECONDS, bandwidth * _BURST_SECONDS
        self._bucket = TokenBucket(welcome.allowance, bursts, now)
        max_piece = welcome.largest - self._overhead
        following, following_private = welcome.next_own
        self._room.start_session(following, max_piece, new_room, now)
        self._private.start_session(following_private, max_piece - _RECEIVER_SIZE, new_room, now)
        if new_room:
            self._absent = self._private.receivers
            self._absent_until = now + RECEIVER_GRACE_PERIOD

    def end_session(self, last_heard: float, now: float) -> None:
        """Stop sending until the next session; the relay was heard last at ``last_heard``."""
        self._session_id = None
        self._room.end_session(last_heard, now)
        self._private.end_session(last_heard, now)

    def restart(self) -> None:
        """Restart all sequences with 1, for a new identity."""
        self._room.restart()
        self._private.restart()
        self._next_unreliable = dict.fromkeys(self._next_unreliable, 1)

    def close(self, *, left: bool) -> None:
        """
        Fail all outstanding messages.

        :param left: the user has left: fail also what is in doubt, as nobody will offer it again.
        """
        self._session_id = None
        doubtful = self.in_doubt if left else ()
        for message in sorted(self._room.outstanding | self._private.outstanding):
            self.events.append(Failed(message, "closed"))
        self.events += [Failed(message, "unconfirmed") for message in sorted(doubtful)]
        self._room.outstanding.clear()
        self._private.outstanding.clear()
        self.confirm()

    def forget_old(self, last_heard: float) -> None:
        """Forget what the relay had acknowledged long before it was heard last."""
        self._room.forget_old(last_heard)
        self._private.forget_old(last_heard)

    def confirm(self) -> None:
        """Forget what is in doubt: the relay that has acknowledged it is alive."""
        self._room.confirm()
        self._private.confirm()

    @property
    def in_doubt(self) -> set[int]:
        """The delivered messages that the relay may not have forwarded if it has died."""
        return self._room.in_doubt | self._private.in_doubt

    @property
    def resubmitting(self) -> bool:
        """Whether the relay still lacks messages that another one had acknowledged."""
        return bool(self._room.resubmitted or self._private.resubmitted)

    @property
    def needs_new_session(self) -> bool:
        """Whether the relay waits for a failed piece; JOIN lets it skip that."""
        return self._room.needs_new_session or self._private.needs_new_session

    @property
    def needs_new_identity(self) -> bool:
        """Whether the own sequences are nearly used up."""
        following = (self._room.next, self._private.next, *self._next_unreliable.values())
        return max(following) >= self._last_own

    # Reports from the relay, and time.

    def receive_ack(self, ack: Ack, now: float) -> None:
        """Receive the acknowledgement of pieces."""
        self._room.receive_ack(ack.next, ack.bitmap, now)
        self._private.receive_ack(ack.next_private, ack.private_bitmap, now)

    def receive_missed(self, ranges: Ranges, nick: str | None) -> None:
        """Receive the own sequences that the member with this nick has missed."""
        self.events.extend(Missed(message, nick) for message in self._room.index.find(ranges))

    def receive_failed(self, notice: FailedNotice) -> None:
        """Receive the failure of a private message."""
        self._private.fail(notice.own, notice.code)

    def update_members(self, identities: Iterable[bytes]) -> None:
        """Record who is in the room."""
        if self._absent:
            self._absent.difference_update(identities)

    def flush(self, now: float) -> None:
        """Send the pieces that may be sent now; the room and private ones take turns."""
        ready = [self._room, self._private]
        while ready and not self._bucket.in_debt(now):
            for outgoing in tuple(ready):
                if self._is_ready(outgoing):
                    self._send_piece(outgoing.pop_piece(now), now)
                else:
                    ready.remove(outgoing)

    def expire(self, now: float) -> bool:
        """Handle timeouts, before :meth:`flush`; return whether the relay may be unreachable."""
        if now >= self._absent_until:
            self._absent.clear()
        return any([self._room.expire(now), self._private.expire(now)])

    @property
    def deadline(self) -> float:
        """When to call :meth:`expire` and :meth:`flush`."""
        deadlines = [self._room.deadline, self._private.deadline]
        if self._absent:
            deadlines.append(self._absent_until)
        if self._is_ready(self._room) or self._is_ready(self._private):
            deadlines.append(self._bucket.available_at)
        return min(deadlines)

    def _is_ready(self, outgoing: Outgoing) -> bool:
        return outgoing.ready and not (outgoing is self._private and self._absent)

    def _send_piece(self, piece: Piece, now: float) -> None:
        stream = PRIVATE if piece.receiver else RELIABLE
        flags = piece.flags | header.RELIABLE | self._sealed
        self._send_datagram(stream, piece.own, flags, piece.receiver, piece.payload, now)

    def _send_datagram(
        self, stream: int, own: int, flags: int, receiver: bytes, payload: bytes, now: float
    ) -> None:
        if self._sealed:
            # Sealing is deterministic: a retransmission has the same bytes under the same key.
            payload = self._sealing.seal(stream, own, flags, payload, receiver)
        session_id = self._session_id or b""
        datagram = (
            PrivateUp(session_id, flags, own, receiver, payload)
            if receiver
            else DataUp(session_id, flags, own, payload)
        ).encode()
        self._bucket.consume(len(datagram), now)
        self.datagrams.append(datagram)


def _check(payload: bytes, max_size: int) -> None:
    if not payload:
        raise MessageError("the message is empty")
    if len(payload) > max_size:
        raise MessageError(f"the message has {len(payload)} bytes, more than {max_size}")
