"""What each recipient gets as one message, which the kernel slices into datagrams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from udprelay.batch_udp.destinations import Destinations
from udprelay.batch_udp.interfaces import MAX_PAYLOAD, Recipient, RecipientGroup
from udprelay.segments import Run


class GroupMessage:
    """
    What the first ``count`` members of a group get in one message each, without what is their own.

    :param runs: together one message: all datagrams but the last have one size.
    :param destinations: the headers for the group.
    :param failed: gets an errno for each datagram that is not sent.
    :ivar data: all datagrams, one after the other.
    :ivar size: bytes of each datagram but the last.
    :ivar number: of datagrams.
    :ivar own_spans: where each sender in the group finds its own bytes: starts and ends, in order.
    :ivar deliveries: datagrams that all members together get.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        group: RecipientGroup,
        count: int,
        destinations: Destinations,
        failed: list[int],
    ) -> None:
        self.runs = runs
        self.group = group
        self.count = count
        self.destinations = destinations
        self.failed = failed
        self.size = runs[0][1].size
        self.own_spans: dict[Recipient, list[tuple[int, int]]] = {}
        parts, spans, number, own, start = [], self.own_spans, 0, 0, 0
        for sender, segments, _ in runs:
            data = segments.data
            parts.append(data)
            end = start + len(data)
            number += segments.count
            if sender.group is group:
                own += segments.count
                if sender in spans:
                    spans[sender].append((start, end))
                else:
                    spans[sender] = [(start, end)]
            start = end
        self.data = b"".join(parts)
        self.number = number
        self.deliveries = count * number - own

    def number_for(self, start: int, end: int) -> int:
        """Return how many datagrams the members in the slots of a range get."""
        own = [
            segments.count
            for sender, segments, _ in self.runs
            if sender.group is self.group and start <= sender.slot < end
        ]
        return self.number * (end - start) - sum(own)

    def payloads_for(self, slot: int) -> list[bytes]:
        """Return the payloads for the member in ``slot``."""
        member = self.group.members[slot]
        return [
            payload
            for sender, segments, _ in self.runs
            if sender is not member
            for payload in segments
        ]


def messages(runs: Sequence[Run], max_segments: int) -> Iterable[Sequence[Run]]:
    """
    Divide runs into messages.

    :param max_segments: datagrams in one message, at most.
    """
    size = runs[0][1].size
    number = total = 0
    for _, segments, _ in runs:
        if segments.size != size:
            return _divide(runs, max_segments)
        number += segments.count
        total += len(segments.data)
    # Full datagrams of one size, and few enough: no need to look at each.
    if number <= max_segments and 0 < total == number * size <= MAX_PAYLOAD:
        return (runs,)
    return _divide(runs, max_segments)


def _divide(runs: Sequence[Run], max_segments: int) -> Iterator[Sequence[Run]]:
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
            part = segments if number == count else segments[begin : begin + number]
            message.append((sender, part, flags))
            begin += number
            space = space - number if len(part.data) == number * size else 0
    if message:
        yield message
