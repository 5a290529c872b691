"""
Programs as processes; all are ended after the test.

Nothing here sleeps: tests wait for output, an event of the relay, a datagram or an exit.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from installation import Installation

TIMEOUT = 60.0
"""Seconds for anything to happen; generous, as the machine may be loaded."""
PROGRAMS = Path(__file__).with_name("programs")


class Output:
    """The output of a process, read by a thread so that the process never blocks."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._text = ""
        self._seen = 0
        self._ended = False
        self._changed = Condition()
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        chunk = b"start"
        while chunk:
            try:
                chunk = os.read(self._descriptor, 65_536)
            except OSError:  # no process has the terminal open
                chunk = b""
            with self._changed:
                # One character per byte.
                self._text += chunk.decode("latin-1")
                self._ended = not chunk
                self._changed.notify_all()
        os.close(self._descriptor)

    def wait_until(self, condition: Callable[[str, bool], Any]) -> Any:
        """
        Wait until a condition returns a true value, and return it.

        :param condition: gets the text so far, and whether it has ended.
        """
        deadline = time.monotonic() + TIMEOUT
        with self._changed:
            while not (result := condition(self._text, self._ended)):
                left = deadline - time.monotonic()
                assert not self._ended, f"ended; the output is:\n{self._text}"
                assert left > 0, f"timed out; the output is:\n{self._text}"
                self._changed.wait(left)
        return result

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for a match after the last one."""

        def search(text: str, _: bool) -> re.Match[str] | None:
            return re.compile(pattern, re.MULTILINE).search(text, self._seen)

        found: re.Match[str] = self.wait_until(search)
        self._seen = found.end()
        return found

    def wait_for_line(self, line: str) -> None:
        """Wait for a whole line after the last match."""
        encoded = line.encode().decode("latin-1")
        self.wait_for(rf"^{re.escape(encoded)}\r?\n")

    def next_line(self) -> str:
        """Return the next line after the last match."""
        return self.wait_for(r"(?<![^\n])(.*)\n")[1]

    @property
    def so_far(self) -> str:
        """The text read so far."""
        with self._changed:
            return self._text

    @property
    def all(self) -> str:
        """The whole text, once the process has ended."""
        text: list[str] = self.wait_until(lambda text, ended: ended and [text])
        return text[0].encode("latin-1").decode("utf-8", "backslashreplace")

    @property
    def lines(self) -> list[str]:
        """All lines, once the process has ended."""
        return self.all.splitlines()


class Process:
    """A running program with its three streams."""

    def __init__(
        self,
        *command: str | Path,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: int = subprocess.PIPE,
    ) -> None:
        self._process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.stdout = Output(os.dup(self._process.stdout.fileno()))
        self.stderr = Output(os.dup(self._process.stderr.fileno()))
        self._process.stdout.close()
        self._process.stderr.close()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def type(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode("utf-8", "surrogateescape"))

    def close_input(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def status(self, timeout: float = TIMEOUT) -> int:
        """Wait for the end; return the exit status."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            lines = len(self.stdout.so_far.splitlines())
            output = f"{lines} lines of output, and:\n{self.stderr.so_far}"
            raise AssertionError(f"{error}; {output}") from None

    def end(self) -> None:
        """End it with SIGTERM, so that it can save its coverage."""
        self._process.terminate()
        try:
            self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()


class Terminal:
    """A program with a terminal of its own."""

    def __init__(self, *command: str | Path, cwd: Path) -> None:
        self._master, self._slave = os.openpty()
        self.screen = Output(os.dup(self._master))
        self._process = subprocess.Popen(
            ("setsid", "--ctty", *command),
            cwd=cwd,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
        )

    @property
    def blocks(self) -> bool:
        """Whether reading from it blocks, as a shell expects."""
        return os.get_blocking(self._slave)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def press_control_c(self) -> None:
        self.type("\x03")

    def status(self) -> int:
        return self._process.wait(TIMEOUT)

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._slave)
        os.close(self._master)


class Relay(Process):
    """A relay with a JSON log: each line of its standard output is an event."""

    port: int

    def opened(self) -> Relay:
        """Wait until its listener is open."""
        self.port = self.event("listener.opened")["port"]
        return self

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events, once it has ended."""
        return [json.loads(line) for line in self.stdout.lines]

    def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """Wait for an event with these fields; return the first one."""

        def search(text: str, _: bool) -> dict[str, Any] | None:
            for line in text.splitlines(keepends=True):
                if line.endswith("\n"):
                    event = json.loads(line.encode("latin-1"))
                    if event["event"] == name and fields.items() <= event.items():
                        return dict(event)
            return None

        found: dict[str, Any] = self.stdout.wait_until(search)
        return found

    def stop(self, number: int = signal.SIGTERM) -> dict[str, Any]:
        """
        Stop it; return the totals.

        Only after a member has joined: twistd handles signals once its reactor runs, shortly
        after the listeners are open.
        """
        self.signal(number)
        self.status()
        return self.events[-1]


class Endpoint:
    """The socket of a plain UDP program."""

    def __init__(self, host: str, peer: int | None = None) -> None:
        """
        Open the socket.

        :param host: its own address.
        :param peer: the port to send to, at the loopback address of the same IP version.
        """
        version6 = ":" in host
        family = socket.AF_INET6 if version6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.settimeout(TIMEOUT)
        self._socket.bind((host, 0))
        if peer is not None:
            self._socket.connect(("::1" if version6 else "127.0.0.1", peer))
        name, number = self._socket.getsockname()[:2]
        self.address = f"[{name}]:{number}" if version6 else f"{name}:{number}"

    def send(self, *payloads: bytes) -> None:
        for payload in payloads:
            self._socket.send(payload)

    def receive(self) -> bytes:
        return self._socket.recv(70_000)

    @property
    def readable(self) -> bool:
        """Whether a datagram can be received."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        self._socket.close()


P = TypeVar("P", "Process", "Relay", "Terminal")


class Start:
    """Starts programs for one test, in one directory, and ends them after it."""

    def __init__(self, installation: Installation, place: Path, stack: ExitStack) -> None:
        self._installation = installation
        self._stack = stack
        self.place = place

    def twistd(self, *arguments: str | Path, before: tuple[str, ...] = ()) -> Process:
        """Start ``twistd`` with these arguments."""
        return self._started(
            Process(*before, self._installation.twistd, *arguments, cwd=self.place)
        )

    def relay(
        self,
        *flags: str,
        config: str = "",
        before: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
        stdin: int = subprocess.PIPE,
        command: tuple[str, ...] = ("twistd", "-n"),
    ) -> Relay:
        """Start a relay on a free port; return it once its listener is open."""
        relay = Relay(
            *before,
            self._installation.bin / command[0],
            *command[1:],
            "udprelay",
            *self.config(config),
            *("--port", "0", "--log-format", "json"),
            *flags,
            cwd=self.place,
            environment=environment,
            stdin=stdin,
        )
        return self._started(relay).opened()

    def config(self, text: str) -> list[str | Path]:
        """Write a configuration file; return its flag."""
        path = self.place / "udprelay.ini"
        path.write_text(text)
        return ["--config", path]

    def terminal(self, *flags: str) -> Terminal:
        """Start a relay under a terminal, with the default text log."""
        command = (self._installation.twistd, "-n", "udprelay", "--port", "0")
        return self._started(Terminal(*command, *flags, cwd=self.place))

    def client(self, *arguments: str) -> Process:
        """Start ``udprelay-client --plain``."""
        return self.command(self._installation.client, "--plain", *arguments)

    def session(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Process:
        """Start ``udprelay-client``."""
        client = Process(
            self._installation.client, *arguments, cwd=self.place, environment=environment
        )
        return self._started(client)

    def bad_network(
        self, relay: int, loss: float, duplication: float, reordering: float, seed: int
    ) -> int:
        """Start a bad network in front of a relay's port; return the port to use instead."""
        network = self.program("bad_network", relay, loss, duplication, reordering, seed)
        return int(network.stdout.next_line())

    def program(self, name: str, *arguments: object) -> Process:
        """Start one of the programs of these tests, which need the standard library only."""
        path = PROGRAMS / f"{name}.py"
        return self.command(sys.executable, "-I", "-S", path, *map(str, arguments))

    def command(self, *command: str | Path) -> Process:
        """Start any program."""
        return self._started(Process(*command, cwd=self.place))

    def endpoint(self, relay: int | None = None, host: str = "127.0.0.1") -> Endpoint:
        """Return a socket of ``host``, connected to a relay's port, but no member."""
        endpoint = Endpoint(host, relay)
        self._stack.callback(endpoint.close)
        return endpoint

    def member(self, relay: Relay, host: str = "127.0.0.1") -> Endpoint:
        """Return a socket that is a member of the room."""
        member = self.endpoint(relay.port, host)
        member.send(b"")
        relay.event("member.joined", address=member.address)
        return member

    def _started(self, process: P) -> P:
        self._stack.callback(process.end)
        return process
