"""The file in which ``twistd`` notes its process id: none in the foreground, and no stale one."""

from __future__ import annotations

import os
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any


def settle(twistd: MutableMapping[str, Any], foreground: bool, arguments: Sequence[str]) -> None:
    """
    Change the options of ``twistd`` before it reads or writes the file.

    In the foreground there is none by default: it would keep a second relay from starting in the
    same directory, and a container for ever, where each relay is process 1.

    :param twistd: the options.
    :param foreground: whether it does not become a daemon.
    :param arguments: the command line, which tells whether the file was asked for.
    :raises OSError: if the file cannot be written.
    """
    # getopt accepts abbreviations; "--pi" is the shortest.
    asked_for = any(argument.startswith("--pi") for argument in arguments)
    if foreground and not asked_for:
        twistd["pidfile"] = ""
    if not twistd.get("pidfile"):
        return
    path = Path(twistd["pidfile"])
    with suppress(FileNotFoundError):
        if _is_stale(path.read_text("ascii", "replace")):
            path.unlink()
    if not twistd.get("chroot"):
        _check_writable(path)


def _check_writable(path: Path) -> None:
    existed = path.exists()
    path.open("ab").close()
    if not existed:
        path.unlink()


def _is_stale(text: str) -> bool:
    """Return whether the process is not a ``twistd``; its number may be used again since."""
    if not text.strip().isdecimal():
        # Written half, as the disk was full or the machine stopped.
        return True
    number = int(text)
    if number == os.getpid():
        return True
    try:
        command = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return not _exists(number)
    # An interpreter, perhaps options of it, and the program: "twistd3" on Debian, or a module.
    names = [os.path.basename(argument) for argument in command]
    return not any(n.startswith(b"twistd") or n == b"twisted.scripts.twistd" for n in names)


def _exists(number: int) -> bool:
    """Return whether there is a process, also where /proc hides those of others."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
