"""The client as a process, and plain sockets as its peers."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import udprelay

TIMEOUT = 45.0
"""Seconds for anything to happen; generous, as the machine may be loaded."""
CLIENT = [sys.executable, "-m", "udprelay.client"]
_UNWANTED = ("NO_COLOR", "COLORTERM", "UDPRELAY_PASSPHRASE")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name not in _UNWANTED},
    "PYTHONPATH": str(Path(udprelay.__file__).parents[1]),
    "TERM": "xterm",
}


class Peer:
    """
    A UDP program that knows nothing of udprelay.

    :ivar source: the source of the last datagram received, unless set otherwise.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.settimeout(TIMEOUT)
        self._socket.bind((host, port))
        self.source: tuple[Any, ...] | None = None
        self.port: int = self._socket.getsockname()[1]
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def receive(self) -> bytes:
        payload, self.source = self._socket.recvfrom(70_000)
        return payload

    def set_destination(self, address: tuple[Any, ...]) -> None:
        """Send to this address until the next datagram is received."""
        self.source = address[:2]

    def send(self, *payloads: bytes) -> None:
        """Send to the source of the last datagram, or to the destination set after it."""
        assert self.source is not None
        for payload in payloads:
            self._socket.sendto(payload, self.source)

    def is_readable(self) -> bool:
        """Return whether a datagram can be received."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        self._socket.close()


def start_echo(peer: Peer, count: int) -> Thread:
    """Start a thread that sends the next ``count`` datagrams back; the caller joins it."""

    def echo() -> None:
        for _ in range(count):
            peer.send(peer.receive())

    thread = Thread(target=echo)
    thread.start()
    return thread


def client(*arguments: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """Run the client to its end; return its status, output and errors."""
    done = subprocess.run(
        [*CLIENT, *arguments],
        input=stdin,
        capture_output=True,
        env=ENVIRONMENT,
        timeout=TIMEOUT,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def started(arguments: Sequence[str], **streams: object) -> Iterator[subprocess.Popen[bytes]]:
    """Start the client with pipes (or ``streams``); end it at the end of the test."""
    pipes: dict[str, object] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(
        [*CLIENT, *arguments],
        env=ENVIRONMENT,
        bufsize=0,
        **{**pipes, **streams},  # type: ignore[call-overload]
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
