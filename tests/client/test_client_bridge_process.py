"""``udprelay-client --bridge`` as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from select import select
from typing import Any

import pytest
from client_programs import TIMEOUT, Peer, client
from client_relay_process import RelayProcess

from free_port import free_port

StartClient = Callable[..., "subprocess.Popen[bytes]"]
Process = "subprocess.Popen[bytes]"


def next_event(bridge: subprocess.Popen[bytes], event: str) -> dict[str, Any]:
    assert bridge.stdout
    return next(notice for notice in map(json.loads, bridge.stdout) if notice["event"] == event)


@pytest.fixture
def program() -> Iterator[Peer]:
    with closing(Peer()) as made:
        yield made


def test_datagrams_pass_both_ways_and_only_notices_are_written(
    start_client: StartClient,
    bob: subprocess.Popen[bytes],
    relay: RelayProcess,
    room: str,
    program: Peer,
) -> None:
    port = free_port()
    arguments = ("-n", "game", "-r", room, "--bridge", f"localhost:{port}", "-v")
    bridge = start_client(*arguments, relay.address)
    assert bridge.stderr
    assert bridge.stderr.readline() == (
        f"udprelay-client: the bridge is open at 127.0.0.1:{port}\n".encode()
    )
    assert bridge.stderr.readline() == f"udprelay-client: in {room} as game, with bob\n".encode()
    program.set_destination(("127.0.0.1", port))
    program.send(b"state")
    assert bob.stdout
    assert bob.stdin
    assert bob.stdout.readline() == b"game: state\n"
    bob.stdin.write(b"input\n")
    assert program.receive() == b"input"
    bridge.send_signal(signal.SIGTERM)
    assert bridge.stderr.read() == (
        b"udprelay-client: datagrams to the room: 1, to the program: 1, dropped: 0\n"
    )
    assert bridge.wait(TIMEOUT) == 143
    assert bridge.stdout
    assert bridge.stdout.read() == b""


def test_the_end_of_standard_input_is_ignored(
    start_client: StartClient, relay: RelayProcess, room: str, program: Peer
) -> None:
    arguments = ("-r", room, "--bridge", "127.0.0.1:0", "--json", relay.address)
    bridge = start_client(*arguments, stdin=subprocess.DEVNULL)
    local = next_event(bridge, "bridge.opened")["local"]
    next_event(bridge, "session.joined")
    relay.wait_for("member.joined", room=room)
    bridge.send_signal(signal.SIGINT)
    assert bridge.wait(TIMEOUT) == 130
    assert local.startswith("127.0.0.1:")


def test_a_reader_that_closes_the_output_ends_the_bridge(
    start_client: StartClient, relay: RelayProcess, room: str
) -> None:
    bridge = start_client("-r", room, "--bridge", "127.0.0.1:0", "--json", relay.address)
    next_event(bridge, "session.joined")
    assert bridge.stdout
    bridge.stdout.close()
    other = start_client("-r", room, "-n", "other", relay.address)
    assert bridge.wait(TIMEOUT) == 0
    other.terminate()


def test_notices_that_can_not_be_written_end_the_bridge(
    start_client: StartClient, relay: RelayProcess, room: str
) -> None:
    with open("/dev/full", "wb") as full:
        bridge = start_client(
            *("-r", room, "--bridge", "127.0.0.1:0", "--json", relay.address), stdout=full
        )
        assert bridge.wait(TIMEOUT) == 1


def test_a_stalled_reader_of_notices_does_not_block_the_bridge(
    start_client: StartClient,
    bob: subprocess.Popen[bytes],
    relay: RelayProcess,
    room: str,
    program: Peer,
) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with open(reader, "rb"), open(writer, "wb", buffering=0) as full:
        while full.write(bytes(65_536)):
            pass
        os.set_blocking(writer, True)
        port = free_port()
        arguments = ("-n", "game", "-r", room, "--bridge", f"127.0.0.1:{port}", "--json")
        start_client(*arguments, relay.address, stdout=full)
        relay.wait_for("member.joined", room=room, member="game")
        program.set_destination(("127.0.0.1", port))
        assert bob.stdout
        # The bridge opens its port some time after the relay has reported its join.
        program.send(b"state")
        while not select([bob.stdout], [], [], 0.2)[0]:
            program.send(b"state")
        assert bob.stdout.readline() == b"game: state\n"


@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("192.0.2.1:7000", "Cannot assign requested address"),
        ("no.such.host.invalid:7000", "unknown host name"),
    ],
)
def test_an_address_that_can_not_be_bound_is_an_error(
    relay: RelayProcess, address: str, cause: str
) -> None:
    status, output, errors = client("--bridge", address, relay.address)
    expected = f"udprelay-client: cannot use {address} for the bridge: {cause}\n"
    assert (status, output, errors.decode()) == (1, b"", expected)


def test_the_bridge_and_its_program_need_the_same_ip_version(relay: RelayProcess) -> None:
    arguments = ("--bridge", "127.0.0.1:0", "--bridge-to", "[::1]:9000", relay.address)
    status, _, errors = client(*arguments)
    assert status == 1
    assert b"cannot use [::1]:9000 for the bridge: 127.0.0.1 has another IP version" in errors


def test_a_refusal_ends_the_bridge(
    bob: subprocess.Popen[bytes], relay: RelayProcess, room: str
) -> None:
    arguments = ("--bridge", "127.0.0.1:0", "-q", "-r", room, "-n", "bob", relay.address)
    status, output, errors = client(*arguments)
    assert (status, output) == (3, b"")
    assert b"not admitted" in errors
