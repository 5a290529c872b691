"""The own sequences received from each sender, for duplicates and gaps."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum

from attrs import define, field

MAX_SENDERS = 10_000
REPLAY_WINDOW = 1024
"""The last numbers of a sequence for which duplicates are recognised."""

_WINDOW_BITS = (1 << REPLAY_WINDOW) - 1


class Verdict(Enum):
    """Whether a datagram is delivered."""

    NEW = "new"
    """It is delivered."""
    DUPLICATE = "duplicate"
    """It was delivered before."""
    TOO_OLD = "too old"
    """It is older than the replay window."""


@define
class _Window:
    """
    The replay window of one sequence (compare RFC 4303, section 3.4.3).

    :param newest: the highest number so far.
    :param seen: bit *i* is set if ``newest - i`` was received.
    """

    newest: int = 0
    seen: int = 0

    def add(self, number: int) -> Verdict:
        age = self.newest - number
        if age >= REPLAY_WINDOW:
            return Verdict.TOO_OLD
        if age < 0:
            # A shift by more than the window would build a number as long as the jump.
            self.seen = (self.seen << min(-age, REPLAY_WINDOW)) & _WINDOW_BITS
            self.newest, age = number, 0
        if self.seen >> age & 1:
            return Verdict.DUPLICATE
        self.seen |= 1 << age
        return Verdict.NEW


@define
class _Sender:
    """
    The sequences of one identity.

    :param expected: its next reliable own sequence; 0 if unknown.
    :param private: its last reliable private own sequence.
    :param reliable: unused if reliable datagrams come in order.
    """

    expected: int = 0
    private: int = 0
    reliable: _Window = field(factory=_Window)
    unreliable: _Window = field(factory=_Window)
    unreliable_private: _Window = field(factory=_Window)


class SenderSequences:
    """
    The own sequences of the :data:`MAX_SENDERS` latest senders, by identity.

    They outlive the sessions of the senders and of the client, and the relay.

    :param ordered: reliable datagrams come in their sender's order; if not, the replay window
        finds duplicates.
    """

    def __init__(self, ordered: bool) -> None:
        self._ordered = ordered
        self._senders: OrderedDict[bytes, _Sender] = OrderedDict()

    def advance(self, identity: bytes, last: int) -> int:
        """
        Note that no reliable datagram up to ``last`` will come any more.

        :return: how many of them were not received: the last ones up to ``last``. 0 if the
            sender was unknown: its sequence begins after ``last``.
        """
        sender = self._sender(identity)
        if not sender.expected:
            sender.expected = last + 1
            return 0
        missing = last + 1 - sender.expected
        sender.expected = max(sender.expected, last + 1)
        return max(missing, 0)

    def add_reliable(self, identity: bytes, own: int) -> Verdict:
        """Add a reliable datagram; if ordered, those before it will not come any more."""
        sender = self._sender(identity)
        if not self._ordered:
            return sender.reliable.add(own)
        if own < sender.expected:
            return Verdict.DUPLICATE
        sender.expected = own + 1
        return Verdict.NEW

    def add_unreliable(self, identity: bytes, own: int) -> Verdict:
        """Add an unreliable datagram."""
        return self._sender(identity).unreliable.add(own)

    def add_private(self, identity: bytes, own: int, reliable: bool) -> Verdict:
        """Add a private datagram."""
        sender = self._sender(identity)
        if not reliable:
            return sender.unreliable_private.add(own)
        if own <= sender.private:
            return Verdict.DUPLICATE
        sender.private = own
        return Verdict.NEW

    def _sender(self, identity: bytes) -> _Sender:
        sender = self._senders.get(identity)
        if sender is None:
            sender = self._senders[identity] = _Sender()
            if len(self._senders) > MAX_SENDERS:
                self._senders.popitem(last=False)
        else:
            self._senders.move_to_end(identity)
        return sender
