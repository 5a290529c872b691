"""Standard input, output and error as descriptors that others share."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

STDIN, STDOUT, STDERR = 0, 1, 2

# Milliseconds; a notice is not worth more.
_STDERR_PATIENCE = 1000


def open_missing() -> None:
    """Open those that the caller closed, lest the socket take their numbers."""
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            # Gets the lowest free number: this one.
            os.open(os.devnull, os.O_RDWR)


@contextmanager
def blocking_restored() -> Iterator[None]:
    """
    Leave each as blocking as it was.

    Twisted makes them non-blocking, and with them those of the shell and of every program
    that shares the terminal or pipe.
    """
    before = [(fd, os.get_blocking(fd)) for fd in (STDIN, STDOUT, STDERR)]
    try:
        yield
    finally:
        for descriptor, blocking in before:
            with suppress(OSError):
                os.set_blocking(descriptor, blocking)


def write_stderr(line: bytes) -> None:
    """Write a line to standard error, which may be non-blocking, full or gone."""
    rest = line + b"\n"
    while rest:
        try:
            rest = rest[os.write(STDERR, rest) :]
        except BlockingIOError:
            writable = select.poll()
            writable.register(STDERR, select.POLLOUT)
            if not writable.poll(_STDERR_PATIENCE):
                return
        except OSError:
            return


def write_unless_full(descriptor: int, line: bytes) -> bool:
    """
    Write a line, unless its reader does not keep up: nothing may wait for that.

    :returns: whether there is a reader.
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
    """Whether a write that fails means only that whoever read has read enough."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
