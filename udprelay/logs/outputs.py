"""A log file that is rotated, and syslog, as outputs of a ``LineWriter``."""

from __future__ import annotations

import os
import stat
import syslog
from contextlib import suppress
from pathlib import Path

from udprelay.line_writer import write_some

_MODE = 0o640
# A FIFO without a reader is an error and does not block the start.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


class LogFile:
    """
    A file with mode 0640, which is rotated at a size.

    A file that another program has renamed is used until :meth:`reopen`. One that was deleted,
    perhaps with its directory, is created again.

    :param rotate_size: bytes after which it is renamed; 0 is never.
    :param rotate_keep: number of renamed files.
    :raises OSError: if it cannot be opened.
    """

    def __init__(self, path: str, rotate_size: int, rotate_keep: int) -> None:
        # A daemon changes its directory.
        self._path = Path(path).absolute()
        self.name = str(self._path)
        self._rotate_size = rotate_size
        self._rotate_keep = rotate_keep
        self._size = 0
        self._descriptor = self._open()

    def prepare(self, at_line_start: bool) -> bool:
        status = os.fstat(self._descriptor)
        self._size = status.st_size
        if not status.st_nlink:
            self.reopen()
            return True
        if at_line_start and 0 < self._rotate_size <= self._size and stat.S_ISREG(status.st_mode):
            # The log goes on in the large file if it cannot be renamed.
            with suppress(OSError):
                self._rotate()
                return True
        return False

    def write(self, data: bytes) -> int:
        if self._rotate_size:
            # Up to the end of the line that makes the file large enough.
            end = data.find(b"\n", max(0, self._rotate_size - self._size - 1)) + 1
            data = data[: end or len(data)]
        return write_some(self._descriptor, data)

    def reopen(self) -> None:
        opened = self._open()
        os.close(self._descriptor)
        self._descriptor = opened
        self._size = os.fstat(opened).st_size

    def _open(self) -> int:
        descriptor = os.open(self._path, _FLAGS, _MODE)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            # The umask may have taken away a bit. The file may belong to another user.
            with suppress(OSError):
                os.fchmod(descriptor, _MODE)
        return descriptor

    def _rotate(self) -> None:
        # Not if it was renamed already: by another program, or when no new one could be opened.
        if self._has_its_name():
            for number in range(self._rotate_keep, 0, -1):
                before = self._path if number == 1 else self._numbered(number - 1)
                with suppress(FileNotFoundError):
                    before.replace(self._numbered(number))
        self.reopen()

    def _has_its_name(self) -> bool:
        with suppress(FileNotFoundError):
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        return False

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


class Syslog:
    """
    The system's log. Its lines begin with their priority.

    :param prefix: the name before each message.
    """

    name = "syslog"

    def __init__(self, prefix: str) -> None:
        syslog.openlog(prefix, 0, syslog.LOG_USER)

    def prepare(self, at_line_start: bool) -> bool:
        return False

    def write(self, data: bytes) -> int:
        line, _, _ = data.partition(b"\n")
        priority, _, text = line[1:].partition(b">")
        # The message of the C library ends at a zero byte.
        syslog.syslog(int(priority), text.replace(b"\0", b"\\0").decode("utf-8", "replace"))
        return len(line) + 1

    def reopen(self) -> None:
        """Do nothing: the C library connects again by itself."""
