"""Reliable datagrams of one member, put back into the member's order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

WINDOW = 64
"""Own sequences after the next one that are accepted early: the bits of the bitmap in ACK."""


class ReceiveWindow(Generic[T]):
    """
    Accepts each own sequence once and returns the items in order.

    :param next: the first own sequence.
    :param size: returns the bytes of an item.
    :ivar next: the own sequence expected next; all before it have been received.
    :ivar buffered_bytes: bytes of the items that wait for an earlier one.
    """

    __slots__ = ("_early", "_size", "buffered_bytes", "next")

    def __init__(self, next: int, size: Callable[[T], int]) -> None:  # noqa: A002
        self.next = next
        self.buffered_bytes = 0
        self._size = size
        self._early: dict[int, T] = {}

    @property
    def bitmap(self) -> int:
        """The items received early: bit *i* stands for ``next + 1 + i``."""
        if not self._early:
            return 0
        base = self.next + 1
        return sum(1 << (own - base) for own in self._early)

    def receive(self, own: int, item: T) -> list[T]:
        """
        Add an item with the own sequence ``own``.

        :return: the items that are in order now; none if ``own`` is early, a duplicate, or
            outside the window.
        """
        expected = self.next
        if own == expected:
            self.next = own + 1
            return [item, *self._in_order()] if self._early else [item]
        if expected < own <= expected + WINDOW and own not in self._early:
            self._early[own] = item
            self.buffered_bytes += self._size(item)
        return []

    def skip_to(self, own: int) -> list[T]:
        """
        Wait for nothing before ``own`` any more.

        :return: the early items that are in order now.
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
        self.buffered_bytes -= self._size(item)
        return item
