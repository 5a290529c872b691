"""Standard input, output and error as descriptors shared with other processes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache

from udprelay.line_writer import Descriptor, LineWriter

STDIN, STDOUT, STDERR = 0, 1, 2

MAX_WAITING = 1 << 20
"""Bytes of notices that wait for a slow reader."""
READ_TIMEOUT = 1.0
"""Seconds in which a reader must read something, for this program to wait for it at the end."""


def open_missing() -> None:
    """Open the standard streams that are closed, so that no socket gets their numbers."""
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)


@contextmanager
def blocking_restored() -> Iterator[None]:
    """
    Restore whether each standard stream blocks.

    Twisted makes them non-blocking, also for the shell and for every program that shares the
    terminal or pipe.
    """
    before = [(number, os.get_blocking(number)) for number in (STDIN, STDOUT, STDERR)]
    try:
        yield
    finally:
        for descriptor, blocking in before:
            with suppress(OSError):
                os.set_blocking(descriptor, blocking)


def open_writer(
    descriptor: int,
    lost: Callable[[int], bytes],
    failed: Callable[[OSError], object] = lambda error: None,
    limit: int = MAX_WAITING,
) -> LineWriter:
    """
    Return a writer to a standard stream, which holds up nobody if the stream is not read.

    :param lost: makes the line that stands for lost ones, from their number.
    :param failed: is called in the writer's thread if nothing can be written.
    :param limit: bytes that may wait.
    """

    def lost_line(count: int, since: float) -> bytes:
        return lost(count) + b"\n"

    writer = LineWriter(Descriptor(descriptor, "output"), lost_line, failed, limit)
    writer.start()
    return writer


@lru_cache(maxsize=1)
def stderr() -> LineWriter:
    """Return the writer of this process to standard error; errors are ignored."""
    return open_writer(STDERR, lambda count: b"udprelay-client: %d lines are missing here" % count)


def finish(writer: LineWriter) -> None:
    """Wait until all is written, as long as it is read; the reactor must have stopped."""
    before = -1
    while not writer.flush(READ_TIMEOUT) and writer.written > before:
        before = writer.written


def write_stderr(line: bytes) -> None:
    """Write a line to standard error, and wait as :func:`finish`; without a reactor."""
    stderr().write(line + b"\n")
    finish(stderr())


def reader_may_leave(descriptor: int) -> bool:
    """Return whether a failed write means only that the reader has stopped reading."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
