from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from client_programs import CLIENT, ENVIRONMENT, TIMEOUT, Peer, client, start_echo

import udprelay
from free_port import free_port
from udprelay.protocol.endpoint import MAX_PAYLOAD

StartClient = Callable[..., "subprocess.Popen[bytes]"]

# Small datagrams that fit into a socket's buffer by default (208 KiB on Linux, 768 bytes for
# each), so that none is lost if the reader gets no processor time.
LINES = 200


def events(output: bytes) -> list[dict[str, object]]:
    found = [json.loads(line) for line in output.splitlines()]
    for event in found:
        assert event.pop("time").endswith("Z")
    return found


def test_an_invalid_option_is_one_line_and_status_1() -> None:
    errors = b"udprelay-client: -c/--count: 'x' is not a number of messages (1 or more)\n"
    assert client("--plain", "-c", "x") == (1, b"", errors)


def test_the_version_is_shown_on_request() -> None:
    assert client("--version") == (0, b"udprelay-client %s\n" % udprelay.__version__.encode(), b"")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_line_is_a_message_each_way(host: str) -> None:
    with closing(Peer(host)) as peer:
        echo = start_echo(peer, 3)
        lines = b"hello\r\n \xff\x00\xe9\nlast"
        assert client("--plain", "-c3", "-winf", peer.address, stdin=lines) == (
            0,
            b"hello\n \xff\x00\xe9\nlast\n",
            b"",
        )
        echo.join()


def test_exactly_the_bytes_of_the_line_are_sent(peer: Peer) -> None:
    assert client("--plain", "-w0", peer.address, stdin=b"hello\r\nback\\slash\n") == (0, b"", b"")
    assert [peer.receive(), peer.receive()] == [b"hello", b"back\\slash"]
    assert not peer.is_readable()


def test_a_newline_is_sent_on_request(peer: Peer) -> None:
    assert client("--plain", "--newline", "-w0", peer.address, stdin=b"hello\r\n")[0] == 0
    assert peer.receive() == b"hello\n"


def test_many_lines_at_once_come_back_in_order(peer: Peer) -> None:
    lines = b"".join(b"line %d\n" % number for number in range(LINES))
    echo = start_echo(peer, LINES)
    arguments = ("--plain", f"-c{LINES}", "-winf", peer.address)
    assert client(*arguments, stdin=lines) == (0, lines, b"")
    echo.join()


def test_a_line_that_can_not_be_a_datagram_is_reported_and_the_others_are_sent(peer: Peer) -> None:
    longest = b"x" * MAX_PAYLOAD
    lines = b"one\n\n" + longest + b"x\r\n" + longest + b"\r\n" + b"y" * 5_000_000 + b"\nlast\n"
    assert client("--plain", "-w0", peer.address, stdin=lines) == (
        0,
        b"",
        (
            b"udprelay-client: line 2 not sent: an empty datagram is no message\n"
            b"udprelay-client: line 3 not sent: a line of 65508 bytes (at most 65507)\n"
            b"udprelay-client: line 5 not sent: a line of 5000000 bytes (at most 65507)\n"
        ),
    )
    assert [peer.receive() for _ in range(3)] == [b"one", longest, b"last"]
    assert not peer.is_readable()


def test_quiet_suppresses_notices(peer: Peer) -> None:
    assert client("--plain", "-q", "-w0", peer.address, stdin=b"\n") == (0, b"", b"")


def test_verbose_reports_the_addresses(peer: Peer) -> None:
    status, output, errors = client("--plain", "-v", "-w0", peer.address)
    assert (status, output) == (0, b"")
    assert errors.startswith(b"udprelay-client: sending to %s from 127." % peer.address.encode())


def test_without_input_the_client_waits_and_prints_what_it_receives(
    peer: Peer, start_client: StartClient
) -> None:
    process = start_client(
        "--plain", "-w", "0.5", "--keepalive", "60", peer.address, stdin=subprocess.DEVNULL
    )
    assert peer.receive() == b""
    peer.send(b"two\nlines\n", b"", b"one")
    output, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, output, errors) == (0, b"two\\nlines\none\n", b"")


def test_regular_files_are_input_and_output(peer: Peer, tmp_path: Path) -> None:
    output, lines = tmp_path / "output", tmp_path / "lines"
    lines.write_bytes(b"".join(b"line %d\n" % number for number in range(LINES)))
    echo = start_echo(peer, LINES)
    with lines.open("rb") as source, output.open("wb") as sink:
        done = subprocess.run(
            [*CLIENT, "--plain", f"-c{LINES}", "-winf", peer.address],
            stdin=source,
            stdout=sink,
            env=ENVIRONMENT,
            timeout=TIMEOUT,
            check=False,
        )
    echo.join()
    assert (done.returncode, output.read_bytes()) == (0, lines.read_bytes())


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_standard_streams_may_be_closed(peer: Peer, closed: str) -> None:
    command = f'exec "$@" {closed}'
    arguments = ["/bin/sh", "-c", command, "sh", *CLIENT, "--plain", "-w0", peer.address]
    done = subprocess.run(
        arguments, input=b"", env=ENVIRONMENT, timeout=TIMEOUT, check=False, capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_reader_that_closes_the_output_ends_the_client_quietly(
    peer: Peer, start_client: StartClient
) -> None:
    process = start_client("--plain", peer.address)
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"hello\n")
    peer.receive()
    peer.send(b"one\n")
    assert process.stdout.readline() == b"one\n"
    process.stdout.close()
    assert process.wait(TIMEOUT) == 0
    assert process.stderr
    assert process.stderr.read() == b""


def test_output_that_can_not_be_written_is_an_error(peer: Peer) -> None:
    echo = start_echo(peer, 1)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*CLIENT, "--plain", "-winf", peer.address],
            input=b"hello\n",
            stdout=full,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            timeout=TIMEOUT,
            check=False,
        )
    echo.join()
    assert done.returncode == 1
    assert done.stderr == b"udprelay-client: cannot write to standard output\n"


def test_while_output_is_blocked_the_socket_is_not_read_and_nothing_is_lost(
    peer: Peer, start_client: StartClient
) -> None:
    process = start_client("--plain", "-c40", peer.address)
    assert process.stdin
    process.stdin.write(b"hello\n")
    peer.receive()
    lines = [b"%02d" % number + b"x" * 8000 for number in range(40)]
    # More than a pipe holds (64 KiB), and the test does not read it yet.
    for payload in lines:
        peer.send(payload)
    output, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, errors) == (0, b"")
    assert output == b"".join(line + b"\n" for line in lines)


@pytest.mark.parametrize("wait", ["0", "0.1"])
def test_an_unreachable_peer_is_reported_once_and_is_status_2(wait: str) -> None:
    peer = f"127.0.0.1:{free_port()}"
    assert client("--plain", "-w", wait, peer, stdin=b"one\ntwo\nthree\n") == (
        2,
        b"",
        b"udprelay-client: no program listens at %s\n" % peer.encode(),
    )


def test_an_unknown_name_is_status_2() -> None:
    errors = b"udprelay-client: unknown host name name.invalid\n"
    assert client("--plain", "-q", "name.invalid", stdin=b"hello\n") == (2, b"", errors)


def test_a_peer_that_returns_gets_the_next_line_and_the_status_is_0(
    start_client: StartClient,
) -> None:
    port = free_port()
    address = b"127.0.0.1:%d" % port
    process = start_client("--plain", "-c1", address.decode())
    assert process.stdin
    assert process.stderr
    process.stdin.write(b"lost\n")
    assert process.stderr.readline() == b"udprelay-client: no program listens at %s\n" % address
    with closing(Peer(port=port)) as peer:
        process.stdin.write(b"found\n")
        assert peer.receive() == b"found"
        peer.send(b"welcome")
        output, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, output) == (0, b"welcome\n")
    assert errors == b"udprelay-client: %s is reachable again\n" % address


def test_json_output_has_messages_and_notices(peer: Peer) -> None:
    lines = b'{"text": "h\\u00e9"}\n{"base64": "/w=="}\nhello\n\n{"text": "last"}\n'
    echo = start_echo(peer, 3)
    status, output, errors = client("--plain", "--json", "-c3", "-winf", peer.address, stdin=lines)
    echo.join()
    assert (status, errors) == (0, b"")
    found = events(output)
    assert [event for event in found if event["event"] == "message"] == [
        {"event": "message", "text": "hé", "bytes": 3},
        {"event": "message", "text": "\\xff", "bytes": 1, "base64": "/w=="},
        {"event": "message", "text": "last", "bytes": 4},
    ]
    assert [event for event in found if event["event"] != "message"] == [
        {
            "event": "line.rejected",
            "line": 3,
            "reason": "invalid",
            "bytes": 5,
            "detail": "line 3 not sent: not JSON: Expecting value: line 1 column 1 (char 0)",
        },
        {
            "event": "line.rejected",
            "line": 4,
            "reason": "empty",
            "bytes": 0,
            "detail": "line 4 not sent: an empty datagram is no message",
        },
    ]


def test_an_unreachable_peer_is_reported_in_json() -> None:
    peer = f"127.0.0.1:{free_port()}"
    status, output, errors = client("--plain", "--json", "-w0", peer, stdin=b'{"text": "hello"}\n')
    assert (status, errors) == (2, b"")
    assert events(output) == [
        {
            "event": "peer.unreachable",
            "peer": peer,
            "reason": "ECONNREFUSED",
            "detail": f"no program listens at {peer}",
        }
    ]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_client_after_all_output_is_written(
    peer: Peer, start_client: StartClient, number: signal.Signals, status: int
) -> None:
    process = start_client("--plain", peer.address)
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"hello\n")
    peer.receive()
    peer.send(b"one")
    assert process.stdout.readline() == b"one\n"
    process.send_signal(number)
    assert process.communicate(timeout=TIMEOUT) == (b"", b"")
    assert process.returncode == status


def test_a_signal_does_not_wait_for_a_stalled_reader(
    peer: Peer, start_client: StartClient
) -> None:
    process = start_client("--plain", peer.address)
    assert process.stdin
    process.stdin.write(b"hello\n")
    peer.receive()
    peer.send(*[b"x" * 60_000] * 3)
    process.stdin.write(b"after\n")
    peer.receive()
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT) == 143


@pytest.mark.parametrize("plain", [["--plain"], []])
def test_a_signal_does_not_wait_for_the_resolver(plain: list[str]) -> None:
    program = (
        "import socket, sys, threading\n"
        "def never(*_):\n"
        "    print('asked', flush=True)\n"
        "    threading.Event().wait()\n"
        "socket.getaddrinfo = never\n"
        "from udprelay.client.main import main\n"
        f"sys.exit(main([*{plain}, 'a.example']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
        bufsize=0,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"asked\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 143


def test_shared_descriptors_stay_blocking_and_notices_wait_for_space(peer: Peer) -> None:
    # As in a shell's "2>&1 |": output and errors are one pipe.
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    count = 2000
    with subprocess.Popen(
        [*CLIENT, "--plain", "-w0", peer.address],
        stdin=subprocess.PIPE,
        stdout=writing,
        stderr=writing,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdin
        process.stdin.write(b"\n" * count)
        process.stdin.close()
        errors = b""
        while errors.count(b"\n") < count:
            errors += os.read(reading, 65_536)
        assert process.wait(TIMEOUT) == 0
    assert os.get_blocking(writing)
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)
    assert errors.startswith(b"udprelay-client: line 1 not sent: an empty")


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_standard_error_that_nobody_reads_holds_up_no_message(peer: Peer, terminal: bool) -> None:
    reading, writing = os.openpty() if terminal else os.pipe()
    if terminal:
        # Ctrl-S.
        termios.tcflow(writing, termios.TCOOFF)
    # An empty message is a notice: more of them than fit anywhere.
    count = 50_000
    with subprocess.Popen(
        [*CLIENT, "--plain", "-w0", peer.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=writing,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdin
        process.stdin.write(b"\n" * count + b"hello\n")
        process.stdin.close()
        assert peer.receive() == b"hello"
        assert process.wait(TIMEOUT) == 0
    os.close(writing)
    os.close(reading)


def test_notices_that_were_not_read_are_counted(peer: Peer) -> None:
    reading, writing = os.pipe()
    count = 50_000
    with subprocess.Popen(
        [*CLIENT, "--plain", "-w60", peer.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=writing,
        env=ENVIRONMENT,
    ) as process:
        os.close(writing)
        assert process.stdin
        process.stdin.write(b"\n" * count + b"hello\n")
        process.stdin.close()
        assert peer.receive() == b"hello"
        with os.fdopen(reading, "rb") as reader:
            lines = [reader.readline()]
            while b"missing" not in lines[-1]:
                lines.append(reader.readline())
        process.terminate()
    missing = re.fullmatch(rb"udprelay-client: (\d+) lines are missing here\n", lines[-1])
    assert missing
    assert len(lines) - 1 + int(missing[1]) == count


def test_an_internal_error_is_reported_with_status_70(peer: Peer) -> None:
    program = (
        "import sys\n"
        "from udprelay.client import sockets\n"
        "def broken(*_): raise LookupError('oh')\n"
        "sockets.PeerSocket.send = broken\n"
        "from udprelay.client.main import main\n"
        f"sys.exit(main(['--plain', '{peer.address}']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=b"hello\n",
        capture_output=True,
        env=ENVIRONMENT,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 70
    assert b"LookupError: oh" in done.stderr
