"""Events to any number of consumers, none of which can hold up the relay or another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from udprelay.relay.events import DatagramRelayed, Event, EventsLost, RelayStatistics

EVENT_SIZE = 512
"""Bytes that an event without a payload or a table has at most, in memory."""
_COUNT_SIZE = 160
DEFAULT_LIMIT = 4096 * EVENT_SIZE
"""Bytes in a queue."""


class EventQueue:
    """
    The events that one consumer has not read yet. A full queue loses the oldest ones.

    :ivar wake: is called after each event; None for a consumer that reads when it can.
    :ivar lost: events lost in all.
    """

    def __init__(self, name: str, wake: Callable[[], object] | None, limit: int) -> None:
        self.name = name
        self.wake = wake
        self.lost = 0
        self._reported = 0
        self._limit = limit
        self._size = 0
        self._events: deque[Event] = deque()

    def __len__(self) -> int:
        return len(self._events)

    def add(self, event: Event) -> None:
        """Add an event."""
        self._events.append(event)
        self._size += _size(event)
        while self._size > self._limit:
            self._size -= _size(self._events.popleft())
            self.lost += 1

    def drain(self) -> list[Event]:
        """Return the events since the last call; ``events.lost`` stands for those lost."""
        drained, self._size = list(self._events), 0
        self._events.clear()
        lost, self._reported = self.lost - self._reported, self.lost
        return [EventsLost(consumer=self.name, count=lost), *drained] if lost else drained


def _size(event: Event) -> int:
    if isinstance(event, RelayStatistics):
        return EVENT_SIZE + _COUNT_SIZE * len(event.counts)
    # A character has up to 4 bytes.
    return EVENT_SIZE + 4 * len(event.payload if isinstance(event, DatagramRelayed) else "")


class EventStream:
    """
    Gives every event to every consumer.

    :param failed: is called with the name of a consumer whose ``wake`` has raised, while the
        exception is handled.
    """

    def __init__(self, failed: Callable[[str], object]) -> None:
        self._failed = failed
        self.queues: tuple[EventQueue, ...] = ()

    def open(
        self, name: str, wake: Callable[[], object] | None = None, limit: int = DEFAULT_LIMIT
    ) -> EventQueue:
        """Return the queue of a new consumer, which gets all events from now on."""
        queue = EventQueue(name, wake, limit)
        self.queues = (*self.queues, queue)
        return queue

    def waiting(self) -> dict[str, int]:
        """Return by consumer how many events it has not read yet."""
        return {queue.name: len(queue) for queue in self.queues}

    def lost(self) -> dict[str, int]:
        """Return by consumer how many events it has lost."""
        return {queue.name: queue.lost for queue in self.queues}

    def publish(self, event: Event) -> None:
        """Add an event to all queues, then wake their consumers."""
        queues = self.queues
        # All queues first: a consumer may cause another event, which comes later for all.
        for queue in queues:
            queue.add(event)
        for queue in queues:
            if queue.wake is not None:
                try:
                    queue.wake()
                except Exception:
                    self._failed(queue.name)
