"""All counters of a relay, and the sizes of all its tables, in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping


class Census:
    """
    Integers by dotted name.

    Who has a counter or a table adds it with one line. Names are stable: ``docs/events.rst`` lists
    them.
    """

    def __init__(self) -> None:
        self._readers: dict[str, Callable[[], int | Mapping[str, int]]] = {}

    def add(self, name: str, read: Callable[[], int | Mapping[str, int]]) -> None:
        """Add a counter or a size; the keys of a mapping follow the name and a dot."""
        self._readers[name] = read

    def read(self) -> dict[str, int]:
        """Return all of them as they are now; a counter is there from the start, at 0."""
        counts: dict[str, int] = {}
        for name, read in self._readers.items():
            value = read()
            if isinstance(value, int):
                counts[name] = value
            else:
                counts.update((f"{name}.{key}", number) for key, number in value.items())
        return counts
