"""The session members that have left a room, and where each goes on if it comes back."""

from __future__ import annotations

from attrs import frozen

MAX_REMEMBERED = 1024
"""Identities."""


@frozen
class DepartedSession:
    """
    What is known of a session that has ended.

    :param reliable: its next own sequence of reliable DATA.
    :param private: its next own sequence of reliable PRIVATE.
    :param first: the first room sequence that it was to get.
    """

    reliable: int
    private: int
    first: int


class Departed:
    """The last :data:`MAX_REMEMBERED` identities that have left a room."""

    __slots__ = ("_sessions",)

    def __init__(self) -> None:
        self._sessions: dict[bytes, DepartedSession] = {}

    def add(self, identity: bytes, session: DepartedSession) -> None:
        """Remember an identity that leaves; forget the one that left first, if they are many."""
        # Remove it first: a dict keeps the order of the first insertion.
        self._sessions.pop(identity, None)
        self._sessions[identity] = session
        if len(self._sessions) > MAX_REMEMBERED:
            del self._sessions[next(iter(self._sessions))]

    def pop(self, identity: bytes) -> DepartedSession | None:
        """Return what is known of an identity that comes back, and forget it."""
        return self._sessions.pop(identity, None)
