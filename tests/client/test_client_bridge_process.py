"""``udprelay-client --bridge`` as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from client_programs import PATIENCE, Peer, client
from client_relay_process import RelayProcess

from free_port import free_port

StartClient = Callable[..., "subprocess.Popen[bytes]"]
Process = "subprocess.Popen[bytes]"


def next_event(bridge: subprocess.Popen[bytes], event: str) -> dict[str, Any]:
    assert bridge.stdout
    return next(told for told in map(json.loads, bridge.stdout) if told["event"] == event)


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
    program.knows(("127.0.0.1", port))
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
    assert bridge.wait(PATIENCE) == 143
    assert bridge.stdout
    assert bridge.stdout.read() == b""


def test_the_end_of_standard_input_means_nothing(
    start_client: StartClient, relay: RelayProcess, room: str, program: Peer
) -> None:
    arguments = ("-r", room, "--bridge", "127.0.0.1:0", "--json", relay.address)
    bridge = start_client(*arguments, stdin=subprocess.DEVNULL)
    local = next_event(bridge, "bridge.opened")["local"]
    next_event(bridge, "session.joined")
    relay.wait_for("member.joined", room=room)
    bridge.send_signal(signal.SIGINT)
    assert bridge.wait(PATIENCE) == 130
    assert local.startswith("127.0.0.1:")


def test_who_reads_no_notices_any_more_ends_it(
    start_client: StartClient, relay: RelayProcess, room: str
) -> None:
    bridge = start_client("-r", room, "--bridge", "127.0.0.1:0", "--json", relay.address)
    next_event(bridge, "session.joined")
    assert bridge.stdout
    bridge.stdout.close()
    somebody = start_client("-r", room, "-n", "somebody", relay.address)
    assert bridge.wait(PATIENCE) == 0
    somebody.terminate()


def test_notices_that_can_not_be_written_end_it(
    start_client: StartClient, relay: RelayProcess, room: str
) -> None:
    with open("/dev/full", "wb") as full:
        bridge = start_client(
            *("-r", room, "--bridge", "127.0.0.1:0", "--json", relay.address), stdout=full
        )
        assert bridge.wait(PATIENCE) == 1


def test_nobody_reading_notices_does_not_hold_it_up(
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
        program.knows(("127.0.0.1", port))
        program.send(b"state")
        assert bob.stdout
        assert bob.stdout.readline() == b"game: state\n"


@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("192.0.2.1:7000", "Cannot assign requested address"),
        ("no.such.host.invalid:7000", "the name is unknown"),
    ],
)
def test_an_address_that_can_not_be_had_is_an_error(
    relay: RelayProcess, address: str, cause: str
) -> None:
    status, output, errors = client("--bridge", address, relay.address)
    told = f"udprelay-client: {address} can't be used for the bridge: {cause}\n"
    assert (status, output, errors.decode()) == (1, b"", told)


def test_the_bridge_and_its_program_need_the_same_version(relay: RelayProcess) -> None:
    arguments = ("--bridge", "127.0.0.1:0", "--bridge-to", "[::1]:9000", relay.address)
    status, _, errors = client(*arguments)
    assert status == 1
    assert b"[::1]:9000 can't be used for the bridge: 127.0.0.1 has another IP version" in errors


def test_a_refusal_ends_it(bob: subprocess.Popen[bytes], relay: RelayProcess, room: str) -> None:
    arguments = ("--bridge", "127.0.0.1:0", "-q", "-r", room, "-n", "bob", relay.address)
    status, output, errors = client(*arguments)
    assert (status, output) == (3, b"")
    assert b"not admitted" in errors
