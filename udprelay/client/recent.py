"""What one has said lately."""

from __future__ import annotations

from collections import OrderedDict

MOST_MESSAGES = 1024
MOST_BYTES = 1 << 20


class Recent:
    """Remembers the last messages, up to :data:`MOST_MESSAGES` and :data:`MOST_BYTES`."""

    def __init__(self) -> None:
        self._payloads: OrderedDict[int, bytes] = OrderedDict()
        self._size = 0

    def add(self, message: int, payload: bytes) -> None:
        self._payloads[message] = payload
        self._size += len(payload)
        while len(self._payloads) > MOST_MESSAGES or self._size > MOST_BYTES:
            self._size -= len(self._payloads.popitem(last=False)[1])

    def get(self, message: int) -> bytes | None:
        return self._payloads.get(message)
