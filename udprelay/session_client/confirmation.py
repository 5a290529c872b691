"""Asks, before the client leaves, whether the others have what only it could offer again."""

from __future__ import annotations

from math import inf

from udprelay.protocol.wire.from_relay import Members
from udprelay.protocol.wire.header import MAX_U32
from udprelay.session_client.retries import NEVER, Retries

CONFIRM_INTERVALS = (0.25,) * 8
"""Seconds between PINGs before the client leaves; after the last interval contact is lost."""
SETTLE_PATIENCE = 10.0
"""Seconds for the others to settle what the client has sent, while the relay answers."""
EVERYBODY = MAX_U32
"""The number in a ROSTER that asks what the others have settled."""


class Confirmation:
    """
    One question to one relay; it is repeated until the answer is good or time is up.

    A relay that lives repairs what others lack, but it may die after the client has left. A relay
    that does not tell what the others have settled only has to be alive.
    """

    def __init__(self) -> None:
        self._retries = NEVER
        self._since = inf
        self._settled_by = -inf
        # The newest room sequence when the relay answered first.
        self._newest: int | None = None

    def begin(self, now: float, *, asks: bool) -> None:
        """
        Begin to ask, unless that has begun.

        :param asks: the relay may know what the others have settled.
        """
        if self._retries is NEVER:
            self._retries = Retries(b"", CONFIRM_INTERVALS, now)
            self._since = now
            self._settled_by = now + SETTLE_PATIENCE if asks else -inf

    def stop(self) -> None:
        """Ask no more."""
        self._retries, self._since, self._newest = NEVER, inf, None

    @property
    def asks(self) -> bool:
        """Whether to ask what the others have settled, too."""
        return self._settled_by > -inf

    @property
    def exhausted(self) -> bool:
        """Whether the relay has not answered in time."""
        return self._retries.exhausted

    @property
    def deadline(self) -> float:
        """When to call :meth:`is_due`."""
        return self._retries.deadline

    def is_due(self, now: float) -> bool:
        """Return whether to send PING now, and ROSTER if it :attr:`asks`."""
        return bool(self._retries.drain_datagrams(now))

    def receive_pong(self, answered: float, now: float) -> bool:
        """
        Receive PONG; return whether the client may leave.

        :param answered: when the newest PING was sent that the relay has answered.
        """
        if answered < self._since:
            return False
        if now >= self._settled_by:
            return True
        # The relay lives, so it gets its time to answer again.
        following = min(self.deadline, now + CONFIRM_INTERVALS[0])
        self._retries = Retries(b"", CONFIRM_INTERVALS, following)
        return False

    def receive_members(self, members: Members) -> bool:
        """Receive the answer to ROSTER; return whether the client may leave."""
        if self._retries is NEVER or members.first != EVERYBODY:
            return False
        if members.settled is None:
            self._settled_by = -inf
            return False
        if self._newest is None:
            self._newest = members.newest
        return members.settled >= self._newest
