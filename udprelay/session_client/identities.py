"""What has been received from whom, by the senders' own sequences."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum

from attrs import define, field

MOST_IDENTITIES = 10_000
WINDOW = 1024

_WINDOW_BITS = (1 << WINDOW) - 1


class Verdict(Enum):
    """What becomes of a datagram."""

    NEW = "new"
    """It is delivered."""
    REPEATED = "repeated"
    """It has been delivered before."""
    TOO_OLD = "too old"
    """Nobody knows whether it has been delivered before."""


@define
class _Window:
    """
    The last :data:`WINDOW` numbers, as bits.

    :param newest: the highest number so far.
    :param seen: bit *i* says that ``newest - i`` has come.
    """

    newest: int = 0
    seen: int = 0

    def take(self, number: int) -> Verdict:
        """Note a number."""
        age = self.newest - number
        if age >= WINDOW:
            return Verdict.TOO_OLD
        if age < 0:
            # A shift by more than the window would build a number as long as the jump.
            self.seen = (self.seen << min(-age, WINDOW)) & _WINDOW_BITS
            self.newest, age = number, 0
        if self.seen >> age & 1:
            return Verdict.REPEATED
        self.seen |= 1 << age
        return Verdict.NEW


@define
class _Sender:
    """
    What is known of one identity.

    :param expected: its next reliable own sequence; 0 if none is known yet.
    :param reliable: the last ones; unused if they are taken in order.
    :param private: the last own sequence of its reliable PRIVATE.
    """

    expected: int = 0
    private: int = 0
    reliable: _Window = field(factory=_Window)
    unreliable: _Window = field(factory=_Window)
    unreliable_private: _Window = field(factory=_Window)


class Identities:
    """
    The own sequences of the last identities heard of, so that each datagram counts once.

    They outlive the sessions of the senders and of the receiver, and the relay.

    :param ordered: reliable datagrams are taken in their sender's order. If not, those of the
        last 1,024 own sequences are taken as they come.
    """

    def __init__(self, ordered: bool = True) -> None:
        self._ordered = ordered
        self._senders: OrderedDict[bytes, _Sender] = OrderedDict()

    def __len__(self) -> int:
        return len(self._senders)

    def skipped(self, identity: bytes, last: int) -> int:
        """
        Note that all reliable datagrams up to ``last`` have had their turn.

        :return: how many of them have not come: they are the last ones up to ``last``. None of
            an identity of which nothing reliable was known: what to expect begins there.
        """
        sender = self._sender(identity)
        if not sender.expected:
            sender.expected = last + 1
            return 0
        missing = last + 1 - sender.expected
        sender.expected = max(sender.expected, last + 1)
        return max(missing, 0)

    def reliable(self, identity: bytes, own: int) -> Verdict:
        """Note a reliable datagram; in order, those before it have had their turn."""
        sender = self._sender(identity)
        if not self._ordered:
            return sender.reliable.take(own)
        if own < sender.expected:
            return Verdict.REPEATED
        sender.expected = own + 1
        return Verdict.NEW

    def unreliable(self, identity: bytes, own: int) -> Verdict:
        """Note an unreliable datagram."""
        return self._sender(identity).unreliable.take(own)

    def private(self, identity: bytes, own: int, reliable: bool = True) -> Verdict:
        """Note a private datagram."""
        sender = self._sender(identity)
        if not reliable:
            return sender.unreliable_private.take(own)
        if own <= sender.private:
            return Verdict.REPEATED
        sender.private = own
        return Verdict.NEW

    def _sender(self, identity: bytes) -> _Sender:
        sender = self._senders.get(identity)
        if sender is None:
            sender = self._senders[identity] = _Sender()
            if len(self._senders) > MOST_IDENTITIES:
                self._senders.popitem(last=False)
        else:
            self._senders.move_to_end(identity)
        return sender
