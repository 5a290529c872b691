"""How much a member may be sent in answer to NACK and ROSTER."""

from __future__ import annotations

_PER_BYTE_HEARD = 4
"""Bytes of answers to NACK for each byte heard: enough where 80 % of all datagrams are lost."""
_PER_BYTE_ASKED = 8
"""Bytes of answers for each byte of a NACK, whatever has been heard."""
_LARGEST = 2048
"""Bytes that a full budget allows at any rate; no answer is larger."""


class Repairs:
    """
    The budget of one member for repairs: a rate for all of them, and a credit for those by NACK.

    A NACK of 25 bytes can ask for hundreds of datagrams, again and again. So what others have said
    earns a credit, and who is alone in a room is not sent much more than it sends.

    :param rate: bytes gained per second, and the bytes at most.
    """

    __slots__ = ("_left", "_updated", "credit")

    def __init__(self, rate: int) -> None:
        self.credit = 0
        self._left: float = rate
        self._updated = 0.0

    def earn(self, heard: int, asked: int) -> None:
        """
        Gain credit.

        :param heard: bytes that others have sent since the last call.
        :param asked: bytes of a NACK.
        """
        self.credit += _PER_BYTE_HEARD * heard + _PER_BYTE_ASKED * asked

    def left(self, rate: int, now: float) -> int:
        """Return how many bytes the rate allows now."""
        if now > self._updated:
            self._left = min(rate, self._left + (now - self._updated) * rate)
            self._updated = now
        return int(self._left) if self._left < rate else max(rate, _LARGEST)

    def spend(self, size: int, rate: int) -> None:
        """Use bytes up, if necessary by a debt of a second at most."""
        self._left = max(self._left - size, -rate)
