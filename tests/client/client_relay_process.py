"""A relay as a process, for clients that are processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from client_programs import ENVIRONMENT, TIMEOUT

from free_port import free_port
from udprelay.protocol.access_key import AccessKey

TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
PASSPHRASE = "correct horse battery staple"
CONFIG = f"""\
[listener:main]
interface = 127.0.0.1
[room:*]
session_timeout = 2s
[room:sealed]
access_key = {AccessKey.make(PASSPHRASE, bytes(16))}
"""


class RelayProcess:
    """A relay that can be restarted on the same port."""

    def __init__(self, place: Path, port: int = 0) -> None:
        self._place = place
        self._config = place / "udprelay.ini"
        self._config.write_text(CONFIG)
        self._config.chmod(0o600)
        self.port = port or free_port()
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        command = (*TWISTD, "-n", "--pidfile=", "udprelay", "--log-format", "json")
        flags = ("--config", self._config, "-p", str(self.port))
        self._process = subprocess.Popen(
            (*command, *flags), cwd=self._place, stdout=subprocess.PIPE, env=ENVIRONMENT
        )
        assert self._process.stdout is not None
        self._events: Iterator[dict[str, Any]] = map(json.loads, self._process.stdout)
        self.port = self.wait_for("listener.opened")["port"]

    def wait_for(self, event: str, **fields: object) -> dict[str, Any]:
        """Wait for the next event with this id and these fields."""
        return next(
            found
            for found in self._events
            if found["event"] == event and all(found[name] == fields[name] for name in fields)
        )

    def close(self) -> None:
        if self._process.poll() is None:
            self.stop()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(TIMEOUT)
        if self._process.stdout is not None:
            self._process.stdout.close()
