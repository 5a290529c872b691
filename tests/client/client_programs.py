"""The client as a process, and plain sockets for it to talk to."""

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

PATIENCE = 45.0
CLIENT = [sys.executable, "-m", "udprelay.client"]
_UNWANTED = ("NO_COLOR", "COLORTERM", "UDPRELAY_PASSPHRASE")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name not in _UNWANTED},
    "PYTHONPATH": str(Path(udprelay.__file__).parents[1]),
    "TERM": "xterm",
}


class Peer:
    """A UDP program that knows nothing of udprelay."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE)
        self._socket.bind((host, port))
        self._client: tuple[Any, ...] | None = None
        self.port: int = self._socket.getsockname()[1]
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def receive(self) -> bytes:
        payload, self._client = self._socket.recvfrom(70_000)
        return payload

    def knows(self, address: tuple[Any, ...]) -> None:
        """Send to this address."""
        self._client = address[:2]

    def send(self, *payloads: bytes) -> None:
        """Send to whom it knows, or to whom something was last received from."""
        assert self._client is not None
        for payload in payloads:
            self._socket.sendto(payload, self._client)

    @property
    def heard_from(self) -> tuple[Any, ...] | None:
        """Whom something was last received from."""
        return self._client

    def has_mail(self) -> bool:
        """Whether a datagram waits to be received."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def nothing_waits(self) -> bool:
        self._socket.setblocking(False)
        try:
            self._socket.recv(1)
        except BlockingIOError:
            return True
        finally:
            self._socket.settimeout(PATIENCE)
        return False

    def close(self) -> None:
        self._socket.close()


def echoing(peer: Peer, count: int) -> Thread:
    """Start a thread that sends the next ``count`` datagrams back; join it."""

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
        timeout=PATIENCE,
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
