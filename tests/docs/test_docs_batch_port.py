"""The examples of the page on the batched port run as shown."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from docs_sources import DOCS, code_blocks


@contextmanager
def running(program: str) -> Iterator[int]:
    """Run an example on a free port; yield the port."""
    program = program.replace("BatchPort(6000,", "port = BatchPort(0,")
    program = program.replace(").startListening()", ")\nport.startListening()")
    program = program.replace(
        "reactor.run()", "print(port.getHost().port, flush=True)\nreactor.run()"
    )
    command = (sys.executable, "-c", program)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def connected(stack: ExitStack, port: int) -> socket.socket:
    opened = stack.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
    opened.settimeout(60)
    opened.connect(("127.0.0.1", port))
    return opened


def examples() -> tuple[str, str]:
    echo, fan_out = code_blocks(DOCS / "batch-port.rst", "python")
    return echo, fan_out


def test_the_echo_example_runs() -> None:
    with running(examples()[0]) as port, ExitStack() as stack:
        peer = connected(stack, port)
        peer.send(b"hello")
        assert peer.recv(100) == b"hello"


def test_the_fan_out_example_runs() -> None:
    with running(examples()[1]) as port, ExitStack() as stack:
        first, second, third = [connected(stack, port) for _ in range(3)]
        first.send(b"first")
        second.send(b"second")
        assert first.recv(100) == b"second"
        third.send(b"third")
        assert first.recv(100) == b"third"
        # A new peer also receives the payloads of its first batch.
        while second.recv(100) != b"third":
            pass
        for number in range(50):
            second.send(b"%02d" % number)
        for peer in (first, third):
            assert [peer.recv(100) for _ in range(50)] == [b"%02d" % n for n in range(50)]
