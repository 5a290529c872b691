"""
What a client sends reliably: in order, repeated until it is acknowledged, and kept for a while.

One of these for the room, one for private messages. See "Messages to the room" in
``docs/protocol.rst``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from math import inf

from udprelay.protocol.wire.header import AGAIN
from udprelay.session_client.kept import AGE, AGE_AT_ALL, Kept
from udprelay.session_client.origins import Origins
from udprelay.session_client.pieces import Message, Piece
from udprelay.session_client.round_trip import RoundTrip
from udprelay.session_client.window import Window

EARLY = 64
"""How many datagrams behind a missing one the relay keeps."""
OVERTAKEN = 3
PATIENCE = 60.0
"""Seconds in a session after which an unacknowledged datagram has failed."""
PATIENCE_AT_ALL = 120.0


class Outgoing:
    """
    Takes messages; gives pieces to send, and tells what became of the messages.

    :param round_trip: learns from the acknowledgements.
    :ivar first: the own sequence of the first piece that is not acknowledged.
    :ivar next: the own sequence of the piece that is cut next.
    :ivar room: bytes in the largest piece.
    :ivar backlog: pieces that have not been cut yet.
    :ivar backlog_bytes: bytes of the messages that have pieces to be cut.
    :ivar open: the messages that are neither acknowledged nor failed.
    :ivar repeated: how many pieces were sent another time.
    :ivar origins: which message an own sequence belongs to.
    :ivar stuck: the relay waits for what won't come; it takes a new session to tell it so.
    """

    def __init__(self, round_trip: RoundTrip, room: int) -> None:
        self.first = 1
        self.next = 1
        self.room = room
        self.backlog = 0
        self.backlog_bytes = 0
        self.open: set[int] = set()
        self.repeated = 0
        self.stuck = False
        self.origins = Origins()
        self._round_trip = round_trip
        self._messages: deque[Message] = deque()
        self._pieces: dict[int, Piece] = {}
        self._kept = Kept()
        self._to_send: list[int] = []
        self._window = Window(round_trip)
        self._in_session = False
        self._offered = 1
        self._delivered: list[int] = []
        self._failed: list[int] = []

    def append(self, message: Message) -> None:
        """Take a message; it goes when its turn comes."""
        self.open.add(message.id)
        self._messages.append(message)
        self.backlog += message.pieces_left(self.room)
        self.backlog_bytes += len(message.payload)

    # Sessions.

    def offer(self, now: float) -> int:
        """Return, for JOIN, the own sequence of the first piece that can still be sent."""
        self._kept.expire(now - AGE_AT_ALL)
        self._offered = self._kept.first or self.first
        return self._offered

    def begin(self, following: int, room: int, another: bool, now: float) -> None:
        """
        Go on in a session.

        :param following: the next own sequence that the relay has not got.
        :param room: bytes in the largest piece from now on.
        :param another: the room is another than in the last session, so the relay does not
            know what that one has forwarded.
        """
        self._in_session = True
        self._window.open()
        if room != self.room:
            self.room = room
            self.backlog = sum(message.pieces_left(room) for message in self._messages)
        kept = self._kept.take_from(following)
        for piece in kept:
            self._pieces[piece.own] = piece
            piece.born = now
        self.first -= len(kept)
        for piece in self._pieces.values():
            piece.acknowledged = False
            piece.times = 0
            piece.hopeless = inf
            if another or kept:
                piece.flags |= AGAIN
        self._drop_before(following, now)
        self._to_send = sorted(self._pieces)
        self.stuck = following < self.first and self._offered < self.first

    def end(self, heard: float, now: float) -> None:
        """
        Stop sending until the next session.

        :param heard: when the relay was heard last.
        """
        if self._in_session:
            self._in_session = False
            self._window.open()
            self._kept.expire(heard - AGE)
            for message in self._messages:
                message.since = now

    def renew(self) -> None:
        """Begin with own sequence 1 again, as somebody else; what is half sent has failed."""
        while self.first < self.next or (self._messages and self._messages[0].cut):
            self._give_up()
        self._kept.drop_to(self.first)
        self.origins.clear()
        self.first = self.next = 1

    # Sending.

    @property
    def ready(self) -> bool:
        """Whether there is a piece that may go now."""
        if not self._in_session or self._window.full:
            return False
        while self._to_send and self._settled(self._to_send[0]):
            heappop(self._to_send)
        following = self._to_send[0] if self._to_send else self.next
        return following - self.first <= EARLY and bool(self._to_send or self._messages)

    def take(self, now: float) -> Piece:
        """Return the piece that is ready, to be sent now."""
        if self._to_send:
            piece = self._pieces[heappop(self._to_send)]
            self.repeated += 1
        else:
            piece = self._cut(now)
        if not piece.times:
            piece.hopeless = now + PATIENCE
        self._window.send(piece, now)
        return piece

    def acknowledge(self, following: int, bitmap: int, now: float) -> None:
        """Take what ACK says: the relay has all before ``following``, and what the bitmap has."""
        acknowledged = [
            piece for piece in self._covered(following, bitmap) if not piece.acknowledged
        ]
        if not acknowledged:
            return
        for piece in acknowledged:
            piece.acknowledged = True
            self._window.remove(piece.own)
        newest = acknowledged[-1]
        # The newest, as an ACK for others may have been lost; sent once, as in RFC 6298, 3.
        if newest.times == 1:
            self._round_trip.sample(now - newest.sent)
        self._window.widen(len(acknowledged))
        self._drop_before(following, now)
        self._repeat_overtaken()

    def fail(self, own: int) -> int | None:
        """
        Drop a message that the relay can't pass on, as it has said of one of its pieces.

        :returns: the message, the first time; None if it is not known.
        """
        message = self.origins.get(own)
        if message is None:
            return None
        self.origins.forget(message)
        # What has failed once must not be delivered later; what is offered has no gaps.
        self._kept.drop_to(own)
        self._drop_rest(message)
        self.open.discard(message)
        return message

    def expire(self, now: float) -> bool:
        """Repeat and give up what is due; return whether something goes for the third time."""
        overdue = self._window.take_overdue(now)
        for piece in overdue:
            heappush(self._to_send, piece.own)
        while self._gives_up <= now:
            self._give_up()
        return any(piece.times > 1 for piece in overdue)

    @property
    def deadline(self) -> float:
        """When to call :meth:`expire`; infinite if there is nothing to wait for."""
        return min(self._window.deadline, self._gives_up)

    def take_delivered(self) -> list[int]:
        """Return the messages that were acknowledged since the last call, in order."""
        delivered, self._delivered = self._delivered, []
        return delivered

    def take_failed(self) -> list[int]:
        """Return the messages that were given up since the last call, in order."""
        failed, self._failed = self._failed, []
        return failed

    @property
    def receivers(self) -> set[bytes]:
        """The identities of those whom something unacknowledged is for."""
        pieces = {piece.receiver for piece in self._pieces.values()}
        return pieces | {message.receiver for message in self._messages}

    def _cut(self, now: float) -> Piece:
        message = self._messages[0]
        flags, payload = message.next_piece(self.room)
        piece = Piece(self.next, message.id, flags, payload, message.receiver, born=now)
        self._pieces[piece.own] = piece
        self.origins.add(piece.own, message.id)
        self.next += 1
        self.backlog -= 1
        if message.done:
            self._drop_rest(message.id)
        return piece

    def _covered(self, following: int, bitmap: int) -> Iterator[Piece]:
        for own in range(self.first, min(self.next, following + EARLY + 1)):
            behind = own - following
            if behind < 0 or (behind and bitmap >> (behind - 1) & 1):
                yield self._pieces[own]

    def _settled(self, own: int) -> bool:
        return own < self.first or self._pieces[own].acknowledged

    def _drop_before(self, following: int, now: float) -> None:
        while self.first < min(following, self.next):
            piece = self._pieces.pop(self.first)
            self.first += 1
            self._kept.append(piece, now)
            if piece.last and piece.message in self.open:
                self.open.remove(piece.message)
                self._delivered.append(piece.message)

    def _repeat_overtaken(self) -> None:
        later = 0
        for own in range(min(self.next - 1, self.first + EARLY), self.first - 1, -1):
            piece = self._pieces[own]
            if piece.acknowledged:
                later += 1
            elif later >= OVERTAKEN and piece.times == 1 and own in self._window:
                self._window.remove(own)
                heappush(self._to_send, own)

    @property
    def _gives_up(self) -> float:
        if self.first < self.next:
            piece = self._pieces[self.first]
            in_session = piece.hopeless if self._in_session else inf
            return min(in_session, piece.born + PATIENCE_AT_ALL)
        if self._messages and not self._in_session:
            return self._messages[0].since + PATIENCE_AT_ALL
        return inf

    def _give_up(self) -> None:
        """Drop the oldest message, and with it what was kept: what is offered has no gaps."""
        unacknowledged = self.first < self.next
        message = self._pieces[self.first].message if unacknowledged else self._messages[0].id
        if unacknowledged and self._pieces[self.first].receiver:
            # What the relay says of its parts is no news then.
            self.origins.forget(message)
        while self.first < self.next and self._pieces[self.first].message == message:
            del self._pieces[self.first]
            self._window.remove(self.first)
            self.first += 1
        if unacknowledged:
            self._kept.drop_to(self.first)
            self.stuck = self._in_session
        self._drop_rest(message)
        if message in self.open:
            self.open.remove(message)
            self._failed.append(message)

    def _drop_rest(self, message: int) -> None:
        if self._messages and self._messages[0].id == message:
            rest = self._messages.popleft()
            self.backlog -= rest.pieces_left(self.room)
            self.backlog_bytes -= len(rest.payload)
