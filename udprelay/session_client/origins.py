"""Which message an own sequence belongs to, for some time after it was sent."""

from __future__ import annotations

from udprelay.protocol.wire.ranges import Ranges

_MOST = 4096


class Origins:
    """The messages of the last own sequences; those are consecutive."""

    def __init__(self) -> None:
        self._messages: dict[int, int] = {}
        self._next = 1

    def add(self, own: int, message: int) -> None:
        """Remember the message of the next own sequence."""
        self._messages[own] = message
        self._messages.pop(own - _MOST, None)
        self._next = own + 1

    def get(self, own: int) -> int | None:
        """Return the message of an own sequence; None if it is not known any more."""
        return self._messages.get(own)

    def of(self, ranges: Ranges) -> list[int]:
        """Return the messages of all these own sequences, each once, in their order."""
        messages: dict[int, None] = {}
        for first, count in ranges:
            # The ranges are somebody else's, and may be long.
            for own in range(max(first, self._next - _MOST), min(first + count, self._next)):
                message = self._messages.get(own)
                if message is not None:
                    messages[message] = None
        return list(messages)

    def forget(self, message: int) -> None:
        """Forget all own sequences of a message."""
        self._messages = {own: m for own, m in self._messages.items() if m != message}

    def clear(self) -> None:
        """Forget everything."""
        self._messages.clear()
