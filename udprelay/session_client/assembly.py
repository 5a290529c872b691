"""Messages put together from their pieces."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Generic, TypeVar

from attrs import define

from udprelay.protocol.wire.header import CONTINUED, MORE

LARGEST_MESSAGE = 65_536
MOST_BYTES = 8 * 1024 * 1024
PATIENCE = 60.0

# What a piece takes up besides its bytes, so that tiny ones can't grow without bound.
_PIECE = 64


Sender = TypeVar("Sender")


@define
class _Partial(Generic[Sender]):
    pieces: list[bytes]
    size: int
    next_own: int
    last: float
    sender: Sender


class Assembly(Generic[Sender]):
    """
    The messages of which some pieces have come.

    A sender's pieces are given in the order of its own sequence; a stream is one such sequence,
    under any name. What can't become whole is told by :meth:`take_lost`.
    """

    def __init__(self) -> None:
        self._partial: OrderedDict[bytes, _Partial[Sender]] = OrderedDict()
        self._bytes = 0
        self._lost: list[Sender] = []
        self._given_up: list[tuple[bytes, Sender, int]] = []

    @property
    def deadline(self) -> float | None:
        """When :meth:`expire` should be called next."""
        for partial in self._partial.values():
            return partial.last + PATIENCE
        return None

    def take(
        self,
        stream: bytes,
        own: int,
        flags: int,
        payload: bytes,
        now: float,
        sender: Sender,
    ) -> bytes | None:
        """
        Take a piece.

        :param sender: for :meth:`take_lost`.
        :return: the message, if it is whole now.
        """
        partial = self._partial.pop(stream, None)
        if partial is not None:
            self._bytes -= _cost(partial)
            if not flags & CONTINUED or partial.next_own != own:
                self._lost.append(partial.sender)
                partial = None
        if not flags & CONTINUED:
            if not flags & MORE:
                return payload
            partial = _Partial([], 0, own, now, sender)
        if partial is None:
            return None
        partial.pieces.append(payload)
        partial.size += len(payload)
        partial.next_own = own + 1
        partial.last = now
        if partial.size > LARGEST_MESSAGE:
            self._lost.append(sender)
            return None
        if not flags & MORE:
            return b"".join(partial.pieces)
        self._partial[stream] = partial
        self._bytes += _cost(partial)
        while self._bytes > MOST_BYTES:
            self._lose_oldest()
        return None

    def broken(self, stream: bytes) -> bool:
        """Forget what has come of a message; return whether there was something."""
        partial = self._partial.pop(stream, None)
        if partial is None:
            return False
        self._bytes -= _cost(partial)
        return True

    def expire(self, now: float) -> None:
        """Forget messages of which no piece has come for a minute."""
        while self._partial and next(iter(self._partial.values())).last + PATIENCE <= now:
            self._lose_oldest()

    def resume(self, now: float) -> None:
        """Wait again: nothing could come for some time."""
        for partial in self._partial.values():
            partial.last = now

    def take_lost(self) -> list[Sender]:
        """Return the sender of each message that was lost since the last call."""
        lost, self._lost = self._lost, []
        return lost

    def take_given_up(self) -> list[tuple[bytes, Sender, int]]:
        """
        Return which of them were no fault of their senders, who may think that all is well.

        :return: stream, sender, and the own sequence of the last piece that has come.
        """
        given_up, self._given_up = self._given_up, []
        return given_up

    def _lose_oldest(self) -> None:
        stream, partial = self._partial.popitem(last=False)
        self._bytes -= _cost(partial)
        self._lost.append(partial.sender)
        self._given_up.append((stream, partial.sender, partial.next_own - 1))


def _cost(partial: _Partial[Any]) -> int:
    return partial.size + _PIECE * len(partial.pieces)
