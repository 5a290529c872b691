"""Standard input, output and error as descriptors shared with other processes."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

STDIN, STDOUT, STDERR = 0, 1, 2

# Milliseconds until a notice is given up.
_STDERR_TIMEOUT = 1000


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


def write_stderr(line: bytes) -> None:
    """Write a line to standard error; wait at most 1 s for space, and ignore errors."""
    rest = line + b"\n"
    while rest:
        try:
            rest = rest[os.write(STDERR, rest) :]
        except BlockingIOError:
            writable = select.poll()
            writable.register(STDERR, select.POLLOUT)
            if not writable.poll(_STDERR_TIMEOUT):
                return
        except OSError:
            return


def write_unless_full(descriptor: int, line: bytes) -> bool:
    """
    Write a line, or drop it if that would block.

    :return: ``False`` if the descriptor can't be written any more.
    """
    writable = select.poll()
    writable.register(descriptor, select.POLLOUT)
    try:
        if writable.poll(0):
            os.write(descriptor, line + b"\n")
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def reader_may_leave(descriptor: int) -> bool:
    """Return whether a failed write means only that the reader has stopped reading."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
