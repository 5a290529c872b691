"""Inputs that are read as steps, for targets with a state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

Play: TypeAlias = "Sequence[tuple[str | int, ...] | bytes]"
"""Steps as tuples of name and arguments; bytes are data that follow a step."""

STEP = 8
"""Bytes of a step: the operation, its arguments, and how to corrupt its datagram."""

SECONDS = (
    0.0,
    0.001,
    0.02,
    0.1,
    0.25,
    0.5,
    1.0,
    2.0,
    4.0,
    10.0,
    12.5,
    31.0,
    46.0,
    61.0,
    130.0,
    301.0,
)
LAST = 400.0
"""Seconds that pass at the end of some inputs."""
SIZES = (1, 2, 8, 100, 255, 1183, 1184, 1185, 1200, 1201, 5000, 65_000)

_JUMPS = (63, 64, 65, 128, 255, 256, 1023, 1024, 1025, 4096, 65_534, 65_535, 65_536, 10**6)
_EXTREMES = (
    *(0, 1, 2, 64, 65, 2**16 - 1, 2**16, 2**31, 2**32 - 2**20, 2**32 - 3, 2**32 - 2),
    *(2**32 - 1, 2**32, 2**63, 2**64 - 65_536, 2**64 - 2, 2**64 - 1),
)
_FORWARD, _BACK = 160, 224


class Script:
    """
    An input: steps of 8 bytes, some of them followed by data.

    :cvar steps_read: the steps of all inputs so far.
    """

    steps_read = 0

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield the steps; the last one is padded with zeros."""
        while self._at < len(self._data):
            Script.steps_read += 1
            yield self.octets(STEP).ljust(STEP, b"\0")

    def octets(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end."""
        data = self._data[self._at : self._at + count]
        self._at += count
        return data


def near(base: int, choice: int, highest: int) -> int:
    """
    Return a number from 0 to ``highest``: near ``base`` or, rarely, an extreme one.

    :param choice: a byte; 0 is ``base`` itself.
    """
    if choice < _FORWARD:
        number = base + choice
    elif choice < _BACK:
        number = base - (choice - _FORWARD + 1)
    else:
        far = (*(base + jump for jump in _JUMPS), *_EXTREMES)
        number = far[(choice - _BACK) % len(far)]
    return max(0, min(number, highest))


def corrupted(datagram: bytes, at: int, change: int) -> bytes:
    """Return a datagram with one byte changed, truncated there, or unchanged."""
    if not change or not datagram:
        return datagram
    at %= len(datagram)
    if change == 1:
        return datagram[:at]
    return datagram[:at] + bytes((datagram[at] ^ change,)) + datagram[at + 1 :]


def corpus_files(operations: Mapping[str, int], plays: Mapping[str, Play]) -> dict[str, bytes]:
    """
    Return the files of a corpus by name.

    :param operations: the byte of each operation, by its name.
    :param plays: by name.
    """

    def encoded(step: tuple[str | int, ...] | bytes) -> bytes:
        if isinstance(step, bytes):
            return step
        numbers = (operations[part] if isinstance(part, str) else part for part in step)
        return bytes(numbers).ljust(STEP, b"\0")

    return {
        f"{name.replace(' ', '-')}.bin": b"".join(map(encoded, steps))
        for name, steps in plays.items()
    }


def write_corpus(place: Path, files: Mapping[str, bytes]) -> None:
    """Replace the files of a corpus."""
    place.mkdir(parents=True, exist_ok=True)
    for path in place.glob("*.bin"):
        path.unlink()
    for name, data in files.items():
        (place / name).write_bytes(data)


def bounded(table: str, size: float, limit: float) -> None:
    """
    Check a bound.

    :raises AssertionError: if it is exceeded.
    """
    assert size <= limit, f"{table}: {size}, more than {limit}"


def until_later(
    expire: Callable[[], None], next_deadline: Callable[[], float | None], now: float
) -> None:
    """
    Call ``expire`` until nothing is due, at most four times.

    :raises AssertionError: if something is still due.
    """
    for _ in range(4):
        expire()
        deadline = next_deadline()
        if deadline is None or deadline > now:
            return
    raise AssertionError(f"still due at {now}: {deadline}")
