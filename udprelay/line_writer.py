"""
Lines to a descriptor, a file or syslog, written by a thread of their own.

A pipe that nobody reads, a stopped terminal, a full disk and a file system that does not answer
hold up the thread alone.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

DEFAULT_LIMIT = 4 << 20
"""Bytes that wait."""
RETRY_DELAY = 1.0
"""Seconds from a failed attempt to write to the next one."""
_BATCH = 65_536


class Output(Protocol):
    """Where the thread writes. Each method may block."""

    name: str

    def prepare(self, at_line_start: bool) -> bool:
        """
        Prepare the next write.

        :return: whether all that follows goes to another file.
        :raises OSError: if nothing can be written now.
        """
        ...

    def write(self, data: bytes) -> int:
        """
        Write the beginning of ``data``, which is complete lines, or the rest of some.

        :return: the bytes written.
        :raises OSError: if nothing can be written now.
        """
        ...

    def reopen(self) -> None:
        """
        Open again what has a name.

        :raises OSError: if that is not possible; the old one is kept.
        """
        ...


class Descriptor:
    """An open descriptor, which other programs may share."""

    def __init__(self, number: int, name: str) -> None:
        self.name = name
        self._number = number

    def prepare(self, at_line_start: bool) -> bool:
        return False

    def write(self, data: bytes) -> int:
        return write_some(self._number, data)

    def reopen(self) -> None:
        """Do nothing: it has no name."""


def write_some(descriptor: int, data: bytes) -> int:
    """
    Write the beginning of ``data``, also to a descriptor that does not block.

    :return: the bytes written; perhaps 0.
    """
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        # Another user of the terminal or pipe may have made it non-blocking.
        waiting = select.poll()
        waiting.register(descriptor, select.POLLOUT)
        waiting.poll(RETRY_DELAY * 1000)
        return 0


class LineWriter:
    """
    Writes lines in order. When too many wait, it counts those that follow as lost.

    Its methods never block, :meth:`flush` excepted, and may be called in any thread.

    :param lost: makes the line that stands for lost ones, from their number and the time of the
        first (seconds since 1970).
    :param failed: is called in the thread when nothing can be written, with the error, once until
        something can.
    :param limit: bytes that may wait.
    :ivar lost: lines lost in all.
    :ivar written: bytes written in all.
    """

    def __init__(
        self,
        output: Output,
        lost: Callable[[int, float], bytes],
        failed: Callable[[OSError], object] = lambda error: None,
        limit: int = DEFAULT_LIMIT,
    ) -> None:
        self.lost = 0
        self.written = 0
        self._output = output
        self._lost_line = lost
        self._failed = failed
        self._limit = limit
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._unreported = 0
        self._lost_since = 0.0
        self._writing = False
        self._failing = False
        self._reopening = False
        self._hurry = False
        self._thread: threading.Thread | None = None
        # Re-entrant: garbage collected while it is held may log an error.
        self._changed = threading.Condition(threading.RLock())

    @property
    def waiting(self) -> int:
        """How many lines have not been written yet."""
        return len(self._lines)

    def start(self) -> None:
        """Start the thread. Not before a fork, which it would not survive."""
        if self._thread is None:
            # A daemon, so that a write that never returns does not keep the process.
            thread = threading.Thread(target=self._run, name="log", daemon=True)
            thread.start()
            self._thread = thread

    def write(self, line: bytes) -> None:
        """Write a line, or several that belong together, with their line breaks."""
        with self._changed:
            # After a loss nothing is accepted until the line about it has its place.
            if self._unreported or self._size + len(line) > self._limit:
                if not self._unreported:
                    self._lost_since = time.time()
                self._unreported += 1
                self.lost += 1
            else:
                self._lines.append(line)
                self._size += len(line)
            self._changed.notify_all()

    def reopen(self) -> None:
        """Let the thread open the file again before it writes anything else."""
        with self._changed:
            self._reopening = True
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """
        Wait until all lines are written, or one more attempt has failed.

        :param timeout: seconds.
        :return: whether they are.
        """
        if self._busy():
            try:
                self.start()
            except RuntimeError:
                # Since 3.12 Python starts no thread while it ends.
                self._write_directly()
                return not self._busy()
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(self._flushed, timeout)
            return not self._busy()

    def _write_directly(self) -> None:
        with suppress(OSError):
            while self._lines:
                line = self._lines.popleft()
                while line:
                    line = line[self._output.write(line) :]

    def _flushed(self) -> bool:
        return not self._busy() or (self._failing and not self._hurry)

    def _busy(self) -> bool:
        return self._writing or self._due()

    def _due(self) -> bool:
        return bool(self._lines or self._unreported or self._reopening)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(self._due)
                self._writing = True
            batch = b""
            try:
                with self._changed:
                    batch = self._next_batch()
                self._write(batch)
            except Exception as error:
                # A bug; the thread must go on.
                self.lost += batch.count(b"\n")
                self._report(OSError(0, repr(error)))

    def _next_batch(self) -> bytes:
        batch, size = [], 0
        while self._lines and size < _BATCH:
            line = self._lines.popleft()
            batch.append(line)
            size += len(line)
        self._size -= size
        # Half, so that a slow reader does not get as many lines about losses as others.
        if self._unreported and self._size <= self._limit // 2:
            line = self._lost_line(self._unreported, self._lost_since)
            self._unreported = 0
            self._lines.append(line)
            self._size += len(line)
        return b"".join(batch)

    def _write(self, data: bytes) -> None:
        done = 0
        while True:
            try:
                # Another file gets the whole line.
                if self._reopened():
                    done = data.rfind(b"\n", 0, done) + 1
                if done == len(data):
                    return
                line_start = data.rfind(b"\n", 0, done) + 1
                if self._output.prepare(at_line_start=done == line_start):
                    done = line_start
                count = self._output.write(data[done:] if done else data)
                done += count
                self.written += count
                self._failing = False
            except OSError as error:
                self._report(error)
                with self._changed:
                    self._hurry = False
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._reopening or self._hurry, RETRY_DELAY)

    def _reopened(self) -> bool:
        with self._changed:
            asked, self._reopening = self._reopening, False
        if asked:
            try:
                self._output.reopen()
            except OSError as error:
                self._report(error)
                return False
        return asked

    def _report(self, error: OSError) -> None:
        if not self._failing:
            self._failing = True
            # A bug there must not end the thread.
            with suppress(Exception):
                self._failed(error)
