"""Reliable datagrams of one member, put back into the member's order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

WINDOW = 64
"""How far behind the next own sequence a datagram may be early: the bits of an ACK's bitmap."""


class ReceiveWindow(Generic[T]):
    """
    Takes each own sequence once and hands them out in order.

    :param next: the own sequence expected first.
    :param size: tells how many bytes an item that has to wait takes.
    :ivar next: the own sequence expected next; all before it have come.
    :ivar held_bytes: bytes in the items that wait for a gap to close.
    """

    __slots__ = ("_early", "_size", "held_bytes", "next")

    def __init__(self, next: int, size: Callable[[T], int]) -> None:  # noqa: A002
        self.next = next
        self.held_bytes = 0
        self._size = size
        self._early: dict[int, T] = {}

    @property
    def bitmap(self) -> int:
        """What has come early: bit *i* stands for ``next + 1 + i``."""
        if not self._early:
            return 0
        base = self.next + 1
        return sum(1 << (own - base) for own in self._early)

    def take(self, own: int, item: T) -> list[T]:
        """
        Take what has come with the own sequence ``own``.

        :return: what is in order now; nothing if ``own`` is early, has come before, or is too far
            ahead.
        """
        expected = self.next
        if own == expected:
            self.next = own + 1
            return [item, *self._in_order()] if self._early else [item]
        if expected < own <= expected + WINDOW and own not in self._early:
            self._early[own] = item
            self.held_bytes += self._size(item)
        return []

    def skip_to(self, own: int) -> list[T]:
        """
        Wait no longer for what is before ``own``.

        :return: what came early and is in order now.
        """
        before = sorted(early for early in self._early if early < own)
        items = [self._release(early) for early in before]
        self.next = max(self.next, own)
        return items + self._in_order()

    def _in_order(self) -> list[T]:
        items = []
        while self.next in self._early:
            items.append(self._release(self.next))
            self.next += 1
        return items

    def _release(self, own: int) -> T:
        item = self._early.pop(own)
        self.held_bytes -= self._size(item)
        return item
