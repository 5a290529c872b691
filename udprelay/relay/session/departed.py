"""Who has left a room not long ago, and where it goes on if it comes back."""

from __future__ import annotations

from attrs import frozen

REMEMBERED = 1024
"""Identities at most."""


@frozen
class Left:
    """
    What is known of a session that is over.

    :param reliable: its next own sequence, of reliable DATA.
    :param private: its next own sequence, of reliable PRIVATE.
    :param first: the first room sequence that it was to have.
    """

    reliable: int
    private: int
    first: int


class Departed:
    """The last identities that left a room."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: dict[bytes, Left] = {}

    def __len__(self) -> int:
        return len(self._left)

    def remember(self, identity: bytes, left: Left) -> None:
        """Note an identity that leaves; the one that left first of too many is forgotten."""
        # Out and in again: a dict's order is that of the first insertion.
        self._left.pop(identity, None)
        self._left[identity] = left
        if len(self._left) > REMEMBERED:
            del self._left[next(iter(self._left))]

    def take(self, identity: bytes) -> Left | None:
        """Forget an identity that is back; return what was noted of it, or None."""
        return self._left.pop(identity, None)
