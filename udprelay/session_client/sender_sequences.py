"""The own sequences received from each sender, for duplicates and gaps."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum

from attrs import define, field

from udprelay.protocol.seal import PRIVATE, RELIABLE

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
    The streams of one identity.

    :param expected: the next own sequence in streams that come in order, if it is known.
    :param windows: of the other streams.
    """

    expected: dict[int, int] = field(factory=dict)
    windows: dict[int, _Window] = field(factory=dict)


class SenderSequences:
    """
    The own sequences of the :data:`MAX_SENDERS` latest senders, by identity.

    They outlive the sessions of the senders and of the client, and the relay.

    Reliable private datagrams come in their sender's order. Where datagrams do not, the replay
    window finds duplicates.

    :param ordered: reliable datagrams to the room come in their sender's order, too.
    """

    def __init__(self, ordered: bool) -> None:
        self._ordered = (RELIABLE, PRIVATE) if ordered else (PRIVATE,)
        self._senders: OrderedDict[bytes, _Sender] = OrderedDict()

    def advance(self, identity: bytes, last: int) -> int:
        """
        Note that no reliable datagram to the room up to ``last`` will come any more.

        :return: how many of them were not received: the last ones up to ``last``. 0 if the
            sender was unknown: its sequence begins after ``last``.
        """
        expected = self._sender(identity).expected
        missing = last + 1 - expected.get(RELIABLE, last + 1)
        expected[RELIABLE] = max(expected.get(RELIABLE, 0), last + 1)
        return max(missing, 0)

    def add(self, identity: bytes, stream: int, own: int) -> Verdict:
        """
        Add a datagram; in a stream that comes in order, those before it will not come any more.

        :param stream: as seals number them.
        """
        sender = self._sender(identity)
        if stream not in self._ordered:
            return sender.windows.setdefault(stream, _Window()).add(own)
        if own < sender.expected.get(stream, 0):
            return Verdict.DUPLICATE
        sender.expected[stream] = own + 1
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
