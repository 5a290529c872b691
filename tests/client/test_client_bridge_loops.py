"""A bridge does not forward to itself, nor to its relay, and leaves its program's port alone."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import pytest_twisted
from client_relay import Members, until
from test_client_bridge import Begin, BridgeAndProgram, begin, members

from free_port import free_port
from udprelay.relay.events import LoopFound

__all__ = ["begin", "members"]


def udp(port: int = 0) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind(("127.0.0.1", port))
    return opened


def port_before_a_free_one() -> int:
    """Return a free port; the next one is free, too."""
    while True:
        with udp() as first:
            port: int = first.getsockname()[1]
            try:
                udp(port + 1).close()
            except OSError:
                continue
            return port


async def refused(members: Members, **options: Any) -> list[dict[str, Any]]:
    """Return how a bridge is refused."""
    bridge = BridgeAndProgram(members.relay, "game", **options)
    bridge.program.close()
    assert not await bridge.open(bridge.client)
    assert bridge.reported("bridge.opened") == []
    return bridge.reported("bridge.loop")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "127.0.0.3"])
@pytest_twisted.ensureDeferred
async def test_the_relay_is_no_program(members: Members, host: str) -> None:
    relay = members.relay.host, members.relay.port
    assert await refused(members, program=(host, relay[1]), peer=relay) == [
        {"program": f"{host}:{relay[1]}", "reason": "relay"}
    ]


@pytest.mark.parametrize("local", ["127.0.0.1", "localhost", "0.0.0.0"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
@pytest_twisted.ensureDeferred
async def test_the_bridge_itself_is_no_program(members: Members, local: str, host: str) -> None:
    port = free_port()
    assert await refused(members, address=(local, port), program=(host, port)) == [
        {"program": f"{host}:{port}", "reason": "bridge"}
    ]


@pytest.mark.parametrize("plain", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_relay_that_turns_out_to_be_the_program_ends_the_bridge(
    members: Members, plain: bool
) -> None:
    # As if its name had got the program's address after the start.
    bridge = BridgeAndProgram(
        members.relay, "game", plain=plain, program=(members.relay.host, members.relay.port)
    )
    await bridge.start()
    await until(lambda: bridge.status is not None)
    assert bridge.status == 1
    (loop,) = bridge.reported("bridge.loop")
    assert loop["reason"] == "relay"
    bridge.program.close()


@pytest_twisted.ensureDeferred
async def test_no_member_gets_the_port_of_a_program_that_starts_later(
    members: Members, begin: Begin
) -> None:
    port = port_before_a_free_one()
    bridge = await begin(
        "server", address=("127.0.0.1", port), program=("127.0.0.1", port + 1), per_member=True
    )
    await members.join("bob")
    await until(lambda: bridge.reported("bridge.member"))
    assert bridge.peer("bob")[1] > port + 1
    udp(port + 1).close()


@pytest_twisted.ensureDeferred
async def test_no_member_gets_the_port_of_a_program_that_starts_again(
    members: Members, begin: Begin
) -> None:
    port = port_before_a_free_one()
    bob = await members.join("bob")
    bridge = await begin("server", address=("127.0.0.1", port), per_member=True)
    await until(lambda: bridge.reported("bridge.member"))
    program = bridge.peer("bob")[1] + 1
    with udp(program) as first:
        first.sendto(b"here I am", ("127.0.0.1", port))
        await until(lambda: members.received("bob") == [b"here I am"])
    await members.join("carol")
    await until(lambda: len(bridge.reported("bridge.member")) == 2)
    udp(program).close()
    await bob.leave()


@pytest_twisted.ensureDeferred
async def test_no_member_gets_the_port_of_a_relay_that_starts_again(
    members: Members, begin: Begin
) -> None:
    relay = members.relay
    bridge = await begin("server", address=("127.0.0.1", relay.port - 1), per_member=True)
    await members.join("bob")
    await until(lambda: bridge.reported("bridge.member"))
    assert bridge.peer("bob")[1] != relay.port


@pytest_twisted.ensureDeferred
async def test_two_bridges_that_are_each_others_programs_are_a_loop(
    members: Members, begin: Begin
) -> None:
    port = port_before_a_free_one()
    bob = await members.join("bob")
    await begin("one", address=("127.0.0.1", port), program=("127.0.0.1", port + 1))
    await begin("two", address=("127.0.0.1", port + 1), program=("127.0.0.1", port))
    bob.send(b"once", reliable=False)
    relay = members.relay
    await until(lambda: any(isinstance(event, LoopFound) for event in relay.events))
    assert 1 <= members.received("bob").count(b"once") <= 20
    await bob.leave()
