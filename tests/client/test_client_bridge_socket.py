"""A local socket of a bridge, and which source counts as its program."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
import pytest_twisted
from client_fakes import ClockReactor
from client_programs import Peer
from client_relay import until
from twisted.internet import reactor

from udprelay.client.bridge_socket import PROGRAM_TIMEOUT, BridgeSocket
from udprelay.client.sockets import SocketAddress
from udprelay.protocol.endpoint import MAX_PAYLOAD


class Local:
    """A bridge's socket on a clock of its own, and what it received and rejected."""

    def __init__(self, host: str = "127.0.0.1", program: SocketAddress | None = None) -> None:
        self.clock = ClockReactor()
        self.received: list[bytes] = []
        self.rejected = 0
        local = (host, 0, 0, 0) if ":" in host else (host, 0)
        self.socket = BridgeSocket(self.clock, local, program, self.received.append, self._reject)

    def _reject(self) -> None:
        self.rejected += 1

    def close(self) -> None:
        self.socket.close()


Make = Callable[..., Peer]


@pytest.fixture
def local() -> Iterator[Local]:
    with closing(Local()) as made:
        yield made


@pytest.fixture
def program() -> Iterator[Make]:
    with ExitStack() as stack:

        def make(local: Local, host: str = "127.0.0.1") -> Peer:
            made = stack.enter_context(closing(Peer(host)))
            made.set_destination(local.socket.address)
            return made

        yield make


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_first_sender_is_answered(host: str, program: Make) -> None:
    with closing(Local(host)) as local:
        game = program(local, host)
        game.send(b"one", b"", bytes(MAX_PAYLOAD))
        await until(lambda: len(local.received) == 3)
        assert local.received == [b"one", b"", bytes(MAX_PAYLOAD)]
        assert local.socket.send(b"two", local.socket.program) is None
        assert game.receive() == b"two"
        assert str(local.socket).startswith(f"[{host}]:" if ":" in host else f"{host}:")


@pytest_twisted.ensureDeferred
async def test_a_stray_datagram_does_not_replace_the_program(local: Local, program: Make) -> None:
    game, stray = program(local), program(local)
    game.send(b"one")
    await until(lambda: local.received)
    stray.send(b"stray")
    await until(lambda: local.rejected)
    game.send(b"two")
    await until(lambda: len(local.received) == 2)
    assert local.received == [b"one", b"two"]
    assert local.socket.send(b"still", local.socket.program) is None
    assert game.receive() == b"still"


@pytest_twisted.ensureDeferred
async def test_another_program_replaces_a_silent_one_after_the_timeout(
    local: Local, program: Make
) -> None:
    silent, game = program(local), program(local)
    silent.send(b"one")
    await until(lambda: local.received)
    local.clock.advance(PROGRAM_TIMEOUT)
    game.send(b"too early")
    await until(lambda: local.rejected)
    local.clock.advance(1.0)
    game.send(b"two")
    await until(lambda: len(local.received) == 2)
    silent.send(b"late")
    await until(lambda: local.rejected == 2)
    assert local.received == [b"one", b"two"]


@pytest_twisted.ensureDeferred
async def test_another_program_replaces_one_that_has_ended_at_once(
    local: Local, program: Make
) -> None:
    first, second = program(local), program(local)
    first.send(b"one")
    await until(lambda: local.received)
    first.close()
    second.send(b"two")
    await until(lambda: len(local.received) == 2)
    assert local.socket.send(b"hi", local.socket.program) is None
    assert second.receive() == b"hi"
    assert local.rejected == 0


@pytest_twisted.ensureDeferred
async def test_with_a_given_program_any_source_may_send(
    program: Make,
) -> None:
    with closing(Peer()) as synth, closing(Local(program=("127.0.0.1", synth.port))) as local:
        keyboard, knob = program(local), program(local)
        keyboard.send(b"note")
        knob.send(b"volume")
        await until(lambda: len(local.received) == 2)
        assert local.socket.send(b"heard", local.socket.program) is None
        assert synth.receive() == b"heard"


@pytest_twisted.ensureDeferred
async def test_sending_to_a_program_that_has_ended_does_no_harm(
    local: Local, program: Make
) -> None:
    first = program(local)
    first.send(b"one")
    await until(lambda: local.received)
    first.close()
    for _ in range(10):
        assert local.socket.send(b"to a closed socket", local.socket.program) is None
    program(local).send(b"two")
    await until(lambda: len(local.received) == 2)


def test_a_datagram_that_can_not_be_sent_has_a_drop_reason(local: Local) -> None:
    assert local.socket.send(b"x", None) == "no-program"
    assert local.socket.send(bytes(MAX_PAYLOAD + 1), ("127.0.0.1", 9)) == "too-large"
    assert local.socket.send(b"x", ("255.255.255.255", 9)) == "unsent"


def test_an_address_in_use_is_an_error(local: Local) -> None:
    with pytest.raises(OSError, match="in use"):
        BridgeSocket(reactor, local.socket.address, None, local.received.append, local.close)


@pytest_twisted.ensureDeferred
async def test_a_socket_closed_while_it_is_read_reads_no_more(local: Local, program: Make) -> None:
    received: list[bytes] = []

    def receive(payload: bytes) -> None:
        received.append(payload)
        opened.close()

    with closing(BridgeSocket(reactor, ("127.0.0.1", 0), None, receive, local.close)) as opened:
        game = program(local)
        game.set_destination(opened.address)
        game.send(b"one", b"two")
        await until(lambda: received)
    assert received == [b"one"]
    assert opened.fileno() == -1


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "127.0.0.2"), ("::", "127.0.0.3"), ("::", "::1"), ("127.0.0.1", "127.0.0.1")],
)
async def test_a_program_is_answered_from_the_address_that_it_has_asked(
    host: str, address: str
) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with closing(Local(host)) as local, closing(socket.socket(family, socket.SOCK_DGRAM)) as game:
        # It hears this address alone.
        game.connect((address, local.socket.address[1]))
        game.settimeout(20)
        game.send(b"hello")
        await until(lambda: local.received == [b"hello"])
        assert local.socket.send(b"welcome", local.socket.program, local.socket.asked) is None
        assert game.recv(99) == b"welcome"


@pytest_twisted.ensureDeferred
async def test_a_stranger_does_not_change_the_address_of_the_answers(program: Make) -> None:
    with closing(Local("0.0.0.0")) as local, closing(socket.socket(type=socket.SOCK_DGRAM)) as it:
        game = program(local)
        game.send(b"hello")
        await until(lambda: local.received == [b"hello"])
        asked = local.socket.asked
        it.sendto(b"me too", ("127.0.0.2", local.socket.address[1]))
        await until(lambda: local.rejected == 1)
        assert local.socket.asked == asked


@pytest_twisted.ensureDeferred
async def test_an_address_that_the_machine_has_lost_is_not_answered_from(program: Make) -> None:
    with closing(Local("0.0.0.0")) as local:
        game = program(local)
        game.send(b"hello")
        await until(lambda: local.received == [b"hello"])
        gone = local.socket.asked.replace(
            socket.inet_aton("127.0.0.1"), socket.inet_aton("198.51.100.1")
        )
        assert local.socket.send(b"welcome", local.socket.program, gone) is None
        assert game.receive() == b"welcome"
