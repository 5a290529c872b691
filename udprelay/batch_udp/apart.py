"""Which members of a group are not sent to like the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial

from udprelay.batch_udp.interfaces import Recipient, RecipientGroup
from udprelay.batch_udp.isolation import Isolation, Send
from udprelay.batch_udp.trouble import Kind
from udprelay.segments import Run, Source


class Apart:
    """
    The members of a group whose destinations are held back, at one time.

    :ivar isolation: whose troubles they are, and ``version``, that of these.
    :ivar codes: the errno for each unreachable member, by slot.
    :ivar waiting: slots of suspected and congested members.
    :ivar unreachable: slots of the unreachable members, by destination.
    """

    def __init__(
        self,
        group: RecipientGroup,
        peer_of: Callable[[Source], Hashable],
        isolation: Isolation,
        send: Send,
    ) -> None:
        members, troubles = group.members, isolation.troubles
        self.isolation = isolation
        self.version = troubles.version
        self._group = group
        self._peer_of = peer_of
        self._send = send
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
        count: int,
        failed: list[int],
    ) -> int:
        """
        Send runs to those of a group's first ``count`` members as far as they may have them.

        :param failed: gets an errno for each datagram that is not sent.
        :return: the number of all their datagrams.
        """
        group, own, number = self._group, Counter[Recipient](), 0
        for sender, segments, _ in runs:
            number += segments.count
            own[sender] += segments.count
        deliveries = 0
        for slot in self.waiting:
            if slot < count:
                source, payloads = group.members[slot].source, _payloads(runs, group, slot)
                deliveries += len(payloads)
                peer = self._peer_of(source)
                codes = self.isolation.send_waiting(peer, payloads, source, self._send)
                failed += filter(None, codes)
        refused = self._codes_of(count)
        deliveries += number * len(refused)
        failed += refused * number
        for sender, sent in own.items():
            if sender.group is group and sender.slot < count and sender.slot in self.codes:
                deliveries -= sent
                for _ in range(sent):
                    failed.remove(self.codes[sender.slot])
        self._send_probes(runs, count, failed)
        return deliveries

    def _send_probes(self, runs: Sequence[Run], count: int, failed: list[int]) -> None:
        for peer in self.isolation.probes if self.unreachable else ():
            for slot in self.unreachable.get(peer, ()):
                payloads = _payloads(runs, self._group, slot) if slot < count else []
                if not payloads:
                    break
                probe = partial(self._send, payloads[0], self._group.members[slot].source)
                if not self.isolation.try_probe(peer, probe):
                    break
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
