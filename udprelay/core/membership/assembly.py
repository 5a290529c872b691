"""Messages put together from their pieces."""

from __future__ import annotations

from collections import OrderedDict

from attrs import define

from udprelay.core.wire.header import CONTINUED, MORE

LARGEST_MESSAGE = 65_536
MOST_BYTES = 8 * 1024 * 1024
PATIENCE = 60.0

# What a piece takes up besides its bytes, so that tiny ones can't grow without bound.
_PIECE = 64


@define
class _Partial:
    pieces: list[bytes]
    size: int
    next_own: int
    last: float
    nick: str | None


class Assembly:
    """
    The messages of which some pieces have come.

    A sender's pieces are given in the order of its own sequence; a stream is one such sequence,
    under any name. What can't become whole is told by :meth:`take_lost`.
    """

    def __init__(self) -> None:
        self._partial: OrderedDict[bytes, _Partial] = OrderedDict()
        self._bytes = 0
        self._lost: list[str | None] = []

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
        nick: str | None = None,
    ) -> bytes | None:
        """
        Take a piece.

        :param nick: the sender's, for :meth:`take_lost`.
        :return: the message, if it is whole now.
        """
        partial = self._partial.pop(stream, None)
        if partial is not None:
            self._bytes -= _cost(partial)
            if not flags & CONTINUED or partial.next_own != own:
                self._lost.append(partial.nick)
                partial = None
        if not flags & CONTINUED:
            if not flags & MORE:
                return payload
            partial = _Partial([], 0, own, now, nick)
        if partial is None:
            return None
        partial.pieces.append(payload)
        partial.size += len(payload)
        partial.next_own = own + 1
        partial.last = now
        if partial.size > LARGEST_MESSAGE:
            self._lost.append(nick)
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

    def take_lost(self) -> list[str | None]:
        """Return the sender's nick for each message that was lost since the last call."""
        lost, self._lost = self._lost, []
        return lost

    def _lose_oldest(self) -> None:
        _, partial = self._partial.popitem(last=False)
        self._bytes -= _cost(partial)
        self._lost.append(partial.nick)


def _cost(partial: _Partial) -> int:
    return partial.size + _PIECE * len(partial.pieces)
