"""The terminal as a file for the line editor; it does not block if the terminal is stopped."""

from __future__ import annotations

import sys
from typing import TextIO, cast

from udprelay.client.descriptors import STDOUT, finish, open_writer

FLUSH_TIMEOUT = 0.05
"""Seconds that a flush waits, in which a terminal that is not stopped has drawn everything."""


class Screen:
    """
    Standard output, written by a thread.

    What a stopped terminal (Ctrl-S, a connection that has stalled) does not draw, waits.
    """

    def __init__(self) -> None:
        self.encoding = sys.stdout.encoding
        self._error: OSError | None = None
        # Nothing is lost here, which would tear the screen: the front end bounds what is drawn.
        self._writer = open_writer(STDOUT, lambda count: b"", self._failed, sys.maxsize)

    @property
    def file(self) -> TextIO:
        """The same for the line editor, which needs the methods below only."""
        return cast(TextIO, self)

    @property
    def stopped(self) -> bool:
        """Whether the terminal draws nothing at present."""
        return self._error is None and not self._writer.flush(0)

    def write(self, text: str) -> None:
        self._writer.write(text.encode(self.encoding or "utf-8", "replace"))

    def flush(self) -> None:
        """
        Wait for the terminal, but only for a moment.

        :raises OSError: if the terminal is closed.
        """
        self._writer.flush(FLUSH_TIMEOUT)
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Wait for the terminal, as long as it draws; the reactor has stopped."""
        finish(self._writer)

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return STDOUT

    def _failed(self, error: OSError) -> None:
        self._error = error
