"""Payloads that each recipient gets as one message, which the kernel slices into datagrams."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.interfaces import MAX_PAYLOAD, Recipient, RecipientGroup
from udprelay.segments import Segments


class GroupMessage:
    """
    What the first ``count`` members of a group get in one message each.

    :param payloads: of one size; the last may be shorter.
    :param senders: one for each payload; they do not get their own.
    """

    __slots__ = ("count", "group", "payloads", "senders")

    def __init__(
        self,
        payloads: Sequence[bytes],
        senders: Sequence[Recipient],
        group: RecipientGroup,
        count: int,
    ) -> None:
        self.payloads = payloads
        self.senders = senders
        self.group = group
        self.count = count

    @property
    def data(self) -> bytes | bytearray:
        """All payloads in one buffer."""
        payloads = self.payloads
        return payloads.data if type(payloads) is Segments else b"".join(payloads)

    def is_segmented(self, slot: int) -> bool:
        """Return whether the member in ``slot`` gets more than one payload."""
        return len(self.payloads_for(slot)) > 1

    def payloads_for(self, slot: int) -> list[bytes]:
        """Return the payloads for the member in ``slot``."""
        member = self.group.members[slot]
        return [p for p, s in zip(self.payloads, self.senders, strict=True) if s is not member]

    def own_spans(self) -> dict[Recipient, list[tuple[int, int]]]:
        """Return starts and ends of each sender's own payloads, for those in the group."""
        spans: dict[Recipient, list[tuple[int, int]]] = {}
        last, start = self.senders[0], 0
        for index, sender in enumerate(self.senders):
            if sender is not last:
                if last.group is self.group:
                    spans.setdefault(last, []).append((start, index))
                last, start = sender, index
        if last.group is self.group:
            spans.setdefault(last, []).append((start, len(self.senders)))
        return spans


def end_of_message(payloads: Sequence[bytes], start: int) -> int:
    """Return the end of the payloads from ``start`` on that fit in one message."""
    count = len(payloads)
    # Not isinstance(): it is slow for an abstract base class such as Sequence.
    if type(payloads) is Segments:
        return min(count, start + mmsg.MAX_SEGMENTS, start + max(1, MAX_PAYLOAD // payloads.size))
    size = total = len(payloads[start])
    # Fast path for the most frequent case: all payloads have one size and fit.
    fits = start == 0 and count <= mmsg.MAX_SEGMENTS and 0 < size * count <= MAX_PAYLOAD
    if fits and len(set(map(len, payloads))) == 1:
        return count
    end = start + 1
    for payload in islice(payloads, end, start + mmsg.MAX_SEGMENTS):
        length = len(payload)
        total += length
        # An empty payload is no segment.
        if not length or length > size or total > MAX_PAYLOAD:
            break
        end += 1
        if length < size:
            break
    return end
