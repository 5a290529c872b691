"""Messages, and the pieces that they are cut into."""

from __future__ import annotations

from math import inf

from attrs import define, field

from udprelay.protocol.wire.header import CONTINUED, MORE


@define
class Message:
    """
    A reliable message, as far as it has not been cut yet.

    :param id: what its sender calls it.
    :param payload: the whole of it.
    :param receiver: the identity of whom it is for; empty if that is the room.
    :param since: when it began to wait for a session.
    :param cut: how many bytes have been cut off already.
    """

    id: int
    payload: bytes = field(repr=False)
    receiver: bytes
    since: float
    cut: int = 0

    def next_piece(self, room: int) -> tuple[int, bytes]:
        """Cut off at most ``room`` bytes; return them behind their flags."""
        piece = self.payload[self.cut : self.cut + room]
        flags = CONTINUED if self.cut else 0
        self.cut += len(piece)
        return (flags if self.done else flags | MORE), piece

    @property
    def done(self) -> bool:
        """Whether nothing is left to cut."""
        return self.cut == len(self.payload)

    def pieces_left(self, room: int) -> int:
        """Return how many pieces of ``room`` bytes at most are still to come."""
        return -((self.cut - len(self.payload)) // room)


@define
class Piece:
    """
    What goes in one reliable datagram.

    :param own: its own sequence.
    :param message: the message that it belongs to.
    :param flags: CONTINUED and MORE, and AGAIN once it is offered again.
    :param payload: as its sender gave it; it is sealed as it is sent.
    :param receiver: the identity of whom it is for; empty if that is the room.
    :param born: when it was sent first, or offered again.
    :ivar sent: when it was sent last.
    :ivar times: how often it was sent in this session.
    :ivar overdue: when it is to be repeated.
    :ivar hopeless: when it has failed, as it was in this session for so long.
    :ivar acknowledged: the relay has it; or nobody waits for that any more.
    """

    own: int
    message: int
    flags: int
    payload: bytes = field(repr=False)
    receiver: bytes
    born: float
    sent: float = 0.0
    times: int = 0
    overdue: float = 0.0
    hopeless: float = inf
    acknowledged: bool = False

    @property
    def last(self) -> bool:
        """Whether it is the last piece of its message."""
        return not self.flags & MORE
