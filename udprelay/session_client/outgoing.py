"""
One outgoing sequence: order, retransmission, and resubmission in a new session.

A client has one for the room and one for private messages. See "Messages to the room" in
``docs/protocol.rst``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from math import inf

from udprelay.protocol.wire.header import EARLY_WINDOW, MORE, RESUBMITTED
from udprelay.session_client.events import Delivered, Event, Failed
from udprelay.session_client.pieces import (
    ACKNOWLEDGED_LIFETIME,
    AcknowledgedPieces,
    Message,
    MessageIndex,
    Piece,
)
from udprelay.session_client.round_trip import RoundTripEstimator, SendWindow
from udprelay.session_client.settings import Statistics

REORDER_THRESHOLD = 3
"""Later pieces acknowledged before a piece counts as lost (RFC 9002, section 6.1.1)."""
ACK_TIMEOUT = 60.0
"""Seconds in a session without an acknowledgement after which a piece fails."""
TOTAL_ACK_TIMEOUT = 120.0
"""The same, with the seconds between sessions."""
TOTAL_ACKNOWLEDGED_LIFETIME = 150.0
"""Seconds after its acknowledgement in which a piece can be offered to a new session."""


class Outgoing:
    """
    Accepts messages, returns pieces to send, and reports the outcome of the messages.

    :param emit: receives events.
    :param statistics: counts transmissions.
    :param round_trip: gets samples from the acknowledgements.
    :param max_piece: bytes in the largest piece.
    :ivar first: the first unacknowledged own sequence.
    :ivar next: the own sequence of the piece that is sliced next.
    :ivar backlog: pieces that have not been sliced.
    :ivar backlog_bytes: bytes of the messages with pieces to be sliced.
    :ivar outstanding: the messages that are neither acknowledged nor failed.
    :ivar resubmitted: the messages that another relay had acknowledged, and this one has not.
    :ivar index: the messages of the own sequences.
    :ivar needs_new_session: whether the relay waits for a failed piece; JOIN lets it skip that.
    """

    def __init__(
        self,
        emit: Callable[[Event], None],
        statistics: Statistics,
        round_trip: RoundTripEstimator,
        max_piece: int,
    ) -> None:
        self.first = 1
        self.next = 1
        self.max_piece = max_piece
        self.backlog = 0
        self.backlog_bytes = 0
        self.outstanding: set[int] = set()
        self.resubmitted: set[int] = set()
        self.needs_new_session = False
        self.index = MessageIndex()
        self._emit = emit
        self._statistics = statistics
        self._round_trip = round_trip
        self._messages: deque[Message] = deque()
        self._pieces: dict[int, Piece] = {}
        self._acknowledged = AcknowledgedPieces()
        self._to_retransmit: list[int] = []
        self._window = SendWindow(round_trip)
        self._in_session = False
        self._offered = 1

    def append(self, message: Message) -> None:
        """Queue a message."""
        self.outstanding.add(message.id)
        self._messages.append(message)
        self.backlog += message.pieces_left(self.max_piece)
        self.backlog_bytes += len(message.payload)

    # Sessions.

    def offer(self, now: float) -> int:
        """Return, for JOIN, the first own sequence that can still be sent."""
        self._acknowledged.expire(now - TOTAL_ACKNOWLEDGED_LIFETIME)
        self._offered = self._acknowledged.first or self.first
        return self._offered

    def start_session(self, following: int, max_piece: int, new_room: bool, now: float) -> None:
        """
        Begin to send.

        :param following: the first own sequence that the relay lacks.
        :param max_piece: bytes in the largest piece from now on.
        :param new_room: the room is not that of the last session, so the relay does not know
            what was forwarded in that one.
        """
        self._in_session = True
        self._window.reset()
        if max_piece != self.max_piece:
            self.max_piece = max_piece
            self.backlog = sum(message.pieces_left(max_piece) for message in self._messages)
        recovered = self._acknowledged.pop_from(following)
        for piece in recovered:
            self._pieces[piece.own] = piece
            piece.since = now
            failed = self.index.get(piece.own) is None
            if not failed and piece.message not in self.outstanding:
                self.resubmitted.add(piece.message)
        self.first -= len(recovered)
        for piece in self._pieces.values():
            piece.acknowledged = False
            piece.transmissions = 0
            piece.fails_at = inf
            if new_room or recovered:
                piece.flags |= RESUBMITTED
        self._drop_before(following, now)
        self._to_retransmit = sorted(self._pieces)
        self.needs_new_session = following < self.first and self._offered < self.first

    def end_session(self, last_heard: float, now: float) -> None:
        """Stop sending until the next session; the relay was heard last at ``last_heard``."""
        if self._in_session:
            self._in_session = False
            self._window.reset()
            self.forget_old(last_heard)
            for message in self._messages:
                message.waiting_since = now

    def restart(self) -> None:
        """Restart with own sequence 1, for a new identity; messages sent in part fail."""
        while self.first < self.next or (self._messages and self._messages[0].sliced):
            self._fail_first()
        self.confirm()
        self.index.clear()
        self.first = self.next = 1

    @property
    def in_doubt(self) -> set[int]:
        """The delivered messages that a relay may lose if it dies: JOIN offers them again."""
        return (self._acknowledged.messages(self.index) | self.resubmitted) - self.outstanding

    def forget_old(self, last_heard: float) -> None:
        """Forget what the relay had acknowledged long before it was heard last."""
        self._acknowledged.expire(last_heard - ACKNOWLEDGED_LIFETIME)

    def confirm(self) -> None:
        """Forget what is in doubt: the relay that has acknowledged it is alive."""
        self._acknowledged.clear()
        self.resubmitted.clear()

    # Sending.

    @property
    def ready(self) -> bool:
        """Whether :meth:`pop_piece` has a piece to send."""
        if not self._in_session or self._window.full:
            return False
        while self._to_retransmit and self._is_acknowledged(self._to_retransmit[0]):
            heappop(self._to_retransmit)
        following = self._to_retransmit[0] if self._to_retransmit else self.next
        return following - self.first <= EARLY_WINDOW and bool(
            self._to_retransmit or self._messages
        )

    def pop_piece(self, now: float) -> Piece:
        """Return the piece that is :attr:`ready`; it is in flight from now on."""
        if self._to_retransmit:
            piece = self._pieces[heappop(self._to_retransmit)]
            self._statistics.repeated += 1
        else:
            piece = self._slice_piece(now)
            self._statistics.sent += 1
        if not piece.transmissions:
            piece.fails_at = now + ACK_TIMEOUT
        self._window.add(piece, now)
        return piece

    def receive_ack(self, following: int, bitmap: int, now: float) -> None:
        """Receive ACK: the relay lacks ``following``; bit n means it has ``following + 1 + n``."""
        acknowledged = [
            piece for piece in self._covered(following, bitmap) if not piece.acknowledged
        ]
        if not acknowledged:
            # What has waited in the relay is in order now.
            self._drop_before(following, now)
            return
        for piece in acknowledged:
            piece.acknowledged = True
            self._window.remove(piece.own)
        newest = acknowledged[-1]
        # Only the newest: the ACKs of earlier ones may be lost. Sent once: RFC 6298, section 3.
        if newest.transmissions == 1:
            self._round_trip.add_sample(now - newest.sent_at)
        self._window.widen(len(acknowledged))
        self._drop_before(following, now)
        self._retransmit_lost()

    def fail(self, own: int, reason: str) -> None:
        """Fail the message of a piece that the relay can't forward, if that is not known yet."""
        message = self.index.get(own)
        if message is None:
            return
        self.index.remove(message)
        # A failed message must not be delivered later, and JOIN offers pieces without gaps.
        self._acknowledged.drop_to(own)
        self._drop_unsliced(message)
        self.outstanding.discard(message)
        self.resubmitted.discard(message)
        self._emit(Failed(message, reason))

    def expire(self, now: float) -> bool:
        """Handle timeouts; return whether a piece has timed out that was retransmitted before."""
        timed_out = self._window.pop_timed_out(now)
        for piece in timed_out:
            heappush(self._to_retransmit, piece.own)
        while self._fails_at <= now:
            self._fail_first()
        return any(piece.transmissions > 1 for piece in timed_out)

    @property
    def deadline(self) -> float:
        """When to call :meth:`expire`; infinite without timers."""
        return min(self._window.deadline, self._fails_at)

    @property
    def receivers(self) -> set[bytes]:
        """The identities of the receivers of all unacknowledged messages."""
        pieces = {piece.receiver for piece in self._pieces.values()}
        return pieces | {message.receiver for message in self._messages}

    def _slice_piece(self, now: float) -> Piece:
        message = self._messages[0]
        flags, payload = message.slice_piece(self.max_piece)
        piece = Piece(self.next, message.id, flags, payload, message.receiver, since=now)
        self._pieces[piece.own] = piece
        self.index.add(piece.own, message.id)
        self.next += 1
        self.backlog -= 1
        if message.done:
            self._drop_unsliced(message.id)
        return piece

    def _covered(self, following: int, bitmap: int) -> Iterator[Piece]:
        for own in range(self.first, min(self.next, following + EARLY_WINDOW + 1)):
            ahead = own - following
            if ahead < 0 or (ahead and bitmap >> (ahead - 1) & 1):
                yield self._pieces[own]

    def _is_acknowledged(self, own: int) -> bool:
        return own < self.first or self._pieces[own].acknowledged

    def _drop_before(self, following: int, now: float) -> None:
        while self.first < min(following, self.next):
            piece = self._pieces.pop(self.first)
            self.first += 1
            self._acknowledged.append(piece, now)
            if piece.flags & MORE:
                continue
            self.resubmitted.discard(piece.message)
            if piece.message in self.outstanding:
                self.outstanding.remove(piece.message)
                self._emit(Delivered(piece.message))

    def _retransmit_lost(self) -> None:
        later = 0
        for own in range(min(self.next - 1, self.first + EARLY_WINDOW), self.first - 1, -1):
            piece = self._pieces[own]
            if piece.acknowledged:
                later += 1
            elif later >= REORDER_THRESHOLD and piece.transmissions == 1 and own in self._window:
                self._window.remove(own)
                heappush(self._to_retransmit, own)

    @property
    def _fails_at(self) -> float:
        if self.first < self.next:
            piece = self._pieces[self.first]
            in_session = piece.fails_at if self._in_session else inf
            return min(in_session, piece.since + TOTAL_ACK_TIMEOUT)
        if self._messages and not self._in_session:
            return self._messages[0].waiting_since + TOTAL_ACK_TIMEOUT
        return inf

    def _fail_first(self) -> None:
        """Fail the oldest message; drop acknowledged pieces, as JOIN offers them without gaps."""
        unacknowledged = self.first < self.next
        message = self._pieces[self.first].message if unacknowledged else self._messages[0].id
        if unacknowledged and self._pieces[self.first].receiver:
            # A later FAILED for one of its pieces must not report it a second time.
            self.index.remove(message)
        while self.first < self.next and self._pieces[self.first].message == message:
            del self._pieces[self.first]
            self._window.remove(self.first)
            self.first += 1
        if unacknowledged:
            self._acknowledged.drop_to(self.first)
            self.needs_new_session = self._in_session
        self._drop_unsliced(message)
        self.resubmitted.discard(message)
        if message in self.outstanding:
            self.outstanding.remove(message)
            self._emit(Failed(message, "unacknowledged"))

    def _drop_unsliced(self, message: int) -> None:
        if self._messages and self._messages[0].id == message:
            rest = self._messages.popleft()
            self.backlog -= rest.pieces_left(self.max_piece)
            self.backlog_bytes -= len(rest.payload)
