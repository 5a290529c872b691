"""Which members of a group are not sent to like the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence

from udprelay.batch_udp.interfaces import Recipient, RecipientGroup
from udprelay.batch_udp.isolation import Isolation, Send
from udprelay.batch_udp.trouble import Kind, Troubles
from udprelay.segments import Run, Source


class Apart:
    """
    The members of a group whose destinations are held back, at one time.

    :ivar version: that of the troubles.
    :ivar codes: the errno for each unreachable member, by slot.
    :ivar waiting: slots of suspected and congested members.
    :ivar unreachable: slots of the unreachable members, by destination.
    """

    def __init__(
        self,
        members: Sequence[Recipient],
        peer_of: Callable[[Source], Hashable],
        troubles: Troubles,
    ) -> None:
        self.version = troubles.version
        self._peer_of = peer_of
        self._size = len(members)
        self.codes: dict[int, int] = {}
        self.waiting: list[int] = []
        self.unreachable: dict[Hashable, list[int]] = {}
        self._ends: list[int] = []
        for slot, member in enumerate(members):
            peer = peer_of(member.source)
            trouble = troubles.held(peer)
            if trouble is None:
                continue
            self._ends.append(slot)
            if trouble.kind is Kind.UNREACHABLE:
                self.codes[slot] = trouble.code
                self.unreachable.setdefault(peer, []).append(slot)
            else:
                self.waiting.append(slot)

    def __bool__(self) -> bool:
        return bool(self._ends)

    def deliver(
        self,
        runs: Sequence[Run],
        group: RecipientGroup,
        count: int,
        isolation: Isolation,
        send: Send,
        failed: list[int],
    ) -> int:
        """
        Send runs to those of a group's first ``count`` members as far as they may have them.

        :param failed: gets an errno for each datagram that is not sent.
        :return: the number of all their datagrams.
        """
        own, number = Counter[Recipient](), 0
        for sender, segments, _ in runs:
            number += segments.count
            own[sender] += segments.count
        deliveries = 0
        for slot in self.waiting:
            if slot < count:
                source, payloads = group.members[slot].source, _payloads(runs, group, slot)
                deliveries += len(payloads)
                peer = self._peer_of(source)
                failed += filter(None, isolation.send_waiting(peer, payloads, source, send))
        codes = self._codes_of(count)
        deliveries += number * len(codes)
        failed += codes * number
        for sender, sent in own.items():
            if sender.group is group and sender.slot < count and sender.slot in self.codes:
                deliveries -= sent
                for _ in range(sent):
                    failed.remove(self.codes[sender.slot])
        self._send_probes(runs, group, count, isolation, send, failed)
        return deliveries

    def _send_probes(
        self,
        runs: Sequence[Run],
        group: RecipientGroup,
        count: int,
        isolation: Isolation,
        send: Send,
        failed: list[int],
    ) -> None:
        for peer in isolation.probes:
            for slot in self.unreachable.get(peer, ()):
                payloads = _payloads(runs, group, slot) if slot < count else []
                if not payloads or not isolation.try_probe(peer):
                    break
                if not send(payloads[0], group.members[slot].source):
                    failed.remove(self.codes[slot])

    def _codes_of(self, count: int) -> list[int]:
        """Return the errno for each unreachable member with a slot below ``count``."""
        if count >= self._size:
            return list(self.codes.values())
        return [code for slot, code in self.codes.items() if slot < count]

    def others(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges of all other slots in a range, each without its end."""
        for slot in self._ends:
            if slot >= end:
                break
            if slot > start:
                yield start, slot
            start = max(start, slot + 1)
        if start < end:
            yield start, end


def _payloads(runs: Sequence[Run], group: RecipientGroup, slot: int) -> list[bytes]:
    """Return the payloads for the member in ``slot``."""
    member = group.members[slot]
    parts = [segments for sender, segments, _ in runs if sender is not member]
    return [payload for segments in parts for payload in segments]
