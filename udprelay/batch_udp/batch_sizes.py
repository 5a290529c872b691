"""How many datagrams were read at once: a histogram in powers of two."""

from __future__ import annotations

BATCH = 64
"""Most datagrams read in one turn of the reactor, so that a flood starves nobody."""


class BatchSizes:
    """Counts batches of 1, of 2 to 3, of 4 to 7, and so on up to :data:`BATCH`."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts = [0] * BATCH.bit_length()

    def count(self, size: int) -> None:
        """Count one batch of ``size`` datagrams, at least one."""
        self._counts[size.bit_length() - 1] += 1

    def as_fields(self) -> dict[str, int]:
        """Return the counts by range: ``{"1": 12, "2-3": 4, ...}``, without the empty ones."""
        fields = {}
        for power, count in enumerate(self._counts):
            least = 1 << power
            most = min(2 * least - 1, BATCH)
            if count:
                fields[str(least) if least == most else f"{least}-{most}"] = count
        return fields
