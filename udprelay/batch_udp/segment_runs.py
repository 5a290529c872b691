"""Payloads that go to each member as one message, which the kernel cuts up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from udprelay.batch_udp import mmsg
from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.relay.room import Group, Member
from udprelay.segments import Joined


class Run:
    """Payloads that go as one message: of one size, the last may be shorter."""

    __slots__ = ("count", "group", "payloads", "senders")

    def __init__(
        self, payloads: Sequence[bytes], senders: Sequence[Member], group: Group, count: int
    ) -> None:
        self.payloads = payloads
        self.senders = senders
        self.group = group
        self.count = count

    @property
    def data(self) -> bytes | bytearray:
        """All payloads, one behind the other."""
        payloads = self.payloads
        return payloads.data if type(payloads) is Joined else b"".join(payloads)

    def is_segmented(self, slot: int) -> bool:
        """Return whether the member in ``slot`` gets its payloads as one message of many."""
        return len(self.payloads_for(slot)) > 1

    def payloads_for(self, slot: int) -> list[bytes]:
        """Return what the member in ``slot`` gets: all but its own."""
        member = self.group.members[slot]
        return [p for p, s in zip(self.payloads, self.senders, strict=True) if s is not member]

    def spans(self) -> dict[Member, list[tuple[int, int]]]:
        """Return where the payloads of each speaker of the group stand: starts and ends."""
        spans: dict[Member, list[tuple[int, int]]] = {}
        last, start = self.senders[0], 0
        for index, sender in enumerate(self.senders):
            if sender is not last:
                if last.group is self.group:
                    spans.setdefault(last, []).append((start, index))
                last, start = sender, index
        if last.group is self.group:
            spans.setdefault(last, []).append((start, len(self.senders)))
        return spans


def end_of_run(payloads: Sequence[bytes], start: int) -> int:
    """Return the end of the payloads that can go as segments of one message."""
    count = len(payloads)
    # Not isinstance(): of an abstract class that takes long.
    if type(payloads) is Joined:
        return min(count, start + mmsg.MOST_SEGMENTS, start + max(1, MAX_PAYLOAD // payloads.size))
    size = total = len(payloads[start])
    # What nearly always comes: everything fits, and has one size.
    fits = start == 0 and count <= mmsg.MOST_SEGMENTS and size * count <= MAX_PAYLOAD
    if fits and len(set(map(len, payloads))) == 1:
        return count
    end = start + 1
    for payload in islice(payloads, end, start + mmsg.MOST_SEGMENTS):
        length = len(payload)
        total += length
        if length > size or total > MAX_PAYLOAD:
            break
        end += 1
        if length < size:
            break
    return end
