"""What can go wrong when one is, or wants to be, a member of a room."""

from __future__ import annotations


class JoinError(Exception):
    """The room could not be joined; the text says why."""


class UnreachableError(JoinError):
    """The relay's name is unknown, or the relay did not answer in time."""


class RefusedError(JoinError):
    """
    The relay does not want this member, or not any more.

    :ivar code: why, as in ``REFUSED`` and ``BYE`` of the protocol.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence or code)
        self.code = code


class UndeliveredError(Exception):
    """
    A message did not reach the relay; parts of it may have.

    :ivar reason: ``unacknowledged``, ``not-joined`` (and not reliable), ``absent`` or ``plain``
        (so is the receiver), or ``closed`` (the membership is over).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"not delivered: {reason}")
        self.reason = reason
