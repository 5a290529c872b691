"""The errors of membership in a room."""

from __future__ import annotations


class JoinError(Exception):
    """A room was not joined; the text says why."""


class UnreachableError(JoinError):
    """The relay's name is unknown, or the relay did not answer in time."""


class RefusedError(JoinError):
    """
    The relay refused or ended the membership.

    :ivar code: the reason, as in ``REFUSED`` and ``BYE`` of the protocol.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence or code)
        self.code = code


class UndeliveredError(Exception):
    """
    A message was not delivered to the relay, or only parts of it.

    :ivar reason: ``unacknowledged``; ``not-joined``, for an unreliable one; ``absent`` or
        ``plain``, for its receiver; or ``closed``: the membership is over.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"not delivered: {reason}")
        self.reason = reason
