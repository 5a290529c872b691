"""What each recipient gets as one message, which the kernel slices into datagrams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from udprelay.batch_udp.interfaces import MAX_PAYLOAD, Recipient, RecipientGroup
from udprelay.segments import Run


class GroupMessage:
    """
    What the first ``count`` members of a group get in one message each, without what is their own.

    :param runs: together one message: all datagrams but the last have one size.
    :ivar data: all datagrams, one after the other.
    :ivar size: bytes of each datagram but the last.
    :ivar number: of datagrams.
    """

    __slots__ = ("count", "data", "group", "number", "runs", "size")

    def __init__(self, runs: Sequence[Run], group: RecipientGroup, count: int) -> None:
        self.runs = runs
        self.group = group
        self.count = count
        self.data = b"".join([segments.data for _, segments, _ in runs])
        self.size = runs[0][1].size
        self.number = sum([segments.count for _, segments, _ in runs])

    @property
    def deliveries(self) -> int:
        """Datagrams that all members together get."""
        own = [segments.count for sender, segments, _ in self.runs if sender.group is self.group]
        return self.count * self.number - sum(own)

    def payloads_for(self, slot: int) -> list[bytes]:
        """Return the payloads for the member in ``slot``."""
        member = self.group.members[slot]
        return [
            payload
            for sender, segments, _ in self.runs
            if sender is not member
            for payload in segments
        ]

    def own_spans(self) -> dict[Recipient, list[tuple[int, int]]]:
        """Return where each sender in the group finds its own bytes: starts and ends, in order."""
        spans: dict[Recipient, list[tuple[int, int]]] = {}
        start = 0
        for sender, segments, _ in self.runs:
            end = start + len(segments.data)
            if sender.group is self.group:
                own = spans.setdefault(sender, [])
                if own and own[-1][1] == start:
                    start = own.pop()[0]
                own.append((start, end))
            start = end
        return spans


def messages(runs: Sequence[Run], max_segments: int) -> Sequence[Sequence[Run]]:
    """
    Divide runs into messages.

    :param max_segments: datagrams in one message, at most.
    """
    size = runs[0][1].size
    if [segments.size for _, segments, _ in runs].count(size) == len(runs):
        # The most frequent case: all have one size and fit.
        number = sum([segments.count for _, segments, _ in runs])
        total = sum([len(segments.data) for _, segments, _ in runs])
        if number <= max_segments and 0 < total == number * size <= MAX_PAYLOAD:
            return (runs,)
    return list(_divided(runs, max_segments))


def _divided(runs: Sequence[Run], max_segments: int) -> Iterator[list[Run]]:
    message: list[Run] = []
    size = space = 0
    for sender, segments, flags in runs:
        begin, count = 0, segments.count
        while begin < count:
            # Only the last datagram of a message may be shorter, and an empty one is no segment.
            ends = segments.size < size and count - begin > 1
            if not space or segments.size > size or ends or not segments.size:
                if message:
                    yield message
                message, size = [], segments.size
                space = max(1, min(max_segments, MAX_PAYLOAD // size)) if size else 1
            number = min(space, count - begin)
            part = segments[begin : begin + number]
            message.append((sender, part, flags))
            begin += number
            space = space - number if len(part.data) == number * size else 0
    if message:
        yield message
