"""Network namespaces as machines: ``needs_namespaces`` skips a test where there can be none."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Thread
from typing import Any

import pytest

_CLONE_NEWNET = 0x40000000


def _why_not() -> str:
    if os.geteuid():
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need ip (iproute2)"
    made = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return "" if made.returncode == 0 else "network namespaces are not permitted here"


_WHY_NOT = _why_not()
needs_namespaces = pytest.mark.skipif(bool(_WHY_NOT), reason=_WHY_NOT or "never")


class Machine:
    """A network namespace; ``enter`` is the beginning of a command that runs in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.enter = ("ip", "netns", "exec", name)

    def ip(self, arguments: str) -> None:
        """Run ``ip`` in it."""
        subprocess.run(["ip", "-n", self.name, *arguments.split()], check=True)

    def index(self, device: str) -> int:
        """Return the index of a network interface."""
        command = ["ip", "-n", self.name, "-o", "link", "show", device]
        shown = subprocess.run(command, check=True, capture_output=True, text=True)
        return int(shown.stdout.partition(":")[0])

    def socket(self, family: int) -> socket.socket:
        """Return a UDP socket in it."""
        made: list[Any] = []

        def make() -> None:
            # Of this thread only, which ends.
            descriptor = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(descriptor, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
                made.append(socket.socket(family, socket.SOCK_DGRAM))
            finally:
                os.close(descriptor)

        thread = Thread(target=make)
        thread.start()
        thread.join()
        (opened,) = made
        assert isinstance(opened, socket.socket)
        return opened


@contextmanager
def machines(*names: str) -> Iterator[list[Machine]]:
    """Make namespaces whose loopback is up; remove them, and what is in them, at the end."""
    with ExitStack() as stack:
        made = []
        for name in names:
            machine = Machine(f"udprelay-{os.getpid()}-{name}")
            subprocess.run(["ip", "netns", "add", machine.name], check=True)
            stack.callback(subprocess.run, ["ip", "netns", "del", machine.name], check=False)
            machine.ip("link set lo up")
            made.append(machine)
        yield made
