"""The lines typed before, kept between runs where that is possible."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from prompt_toolkit.history import FileHistory


def history_file(environ: Mapping[str, str]) -> Path:
    """Return where the XDG base directory specification puts it."""
    state = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        # The specification: relative paths are to be ignored.
        state = os.path.join(os.path.expanduser("~"), ".local", "state")
    return Path(state, "udprelay", "history")


def open_history(path: Path) -> FileHistory:
    """
    Open the history for its owner alone, making what is missing.

    :raises OSError: if that is not possible.
    """
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    return _History(path)


class _History(FileHistory):
    def store_string(self, string: str) -> None:
        # A full disk must not end a conversation.
        with suppress(OSError):
            super().store_string(string)
