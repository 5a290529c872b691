"""Messages on their way out, a few at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

# So that what arrives is read in between, however much there is to send, and that the
# peer's buffer (by default of 208 KiB on Linux) is not filled faster than it can read.
BATCH = 64
BATCH_BYTES = 65_536
PAUSE = 0.001
# Seconds until the kernel is asked again after it had no room.
RETRY = 0.005


class Outbox:
    """
    Sends payloads in order, at most :data:`BATCH` of them or a little more than
    :data:`BATCH_BYTES` in one turn of the reactor.

    :param transmit: sends one; ``False``: not now, give it again.
    :param drained: called when the last one has been sent.
    """

    def __init__(
        self,
        clock: IReactorTime,
        transmit: Callable[[bytes], bool],
        drained: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._transmit = transmit
        self._drained = drained
        self._payloads: deque[bytes] = deque()
        self._turn: IDelayedCall | None = None

    def __len__(self) -> int:
        """How many wait to be sent."""
        return len(self._payloads)

    def put(self, payload: bytes) -> None:
        self._payloads.append(payload)
        if self._turn is None:
            self._turn = self._clock.callLater(0, self._send_some)

    def discard(self) -> None:
        """Forget what waits."""
        self._payloads.clear()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _send_some(self) -> None:
        self._turn = None
        count = size = 0
        while self._payloads and count < BATCH and size < BATCH_BYTES:
            if not self._transmit(self._payloads[0]):
                self._turn = self._clock.callLater(RETRY, self._send_some)
                return
            count += 1
            size += len(self._payloads.popleft())
        if self._payloads:
            self._turn = self._clock.callLater(PAUSE, self._send_some)
        else:
            self._drained()
