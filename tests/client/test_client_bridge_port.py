"""A local socket, and who is taken for the program that talks to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
import pytest_twisted
from client_programs import Peer
from client_relay import until
from twisted.internet import reactor

from udprelay.client.bridge_port import SILENCE, BridgePort, SocketAddress
from udprelay.protocol.endpoint import MAX_PAYLOAD


class Door:
    """A bridge's port, and what it was told."""

    def __init__(self, host: str = "127.0.0.1", fixed: SocketAddress | None = None) -> None:
        self.now = 0.0
        self.heard: list[bytes] = []
        self.strangers = 0
        bound = (host, 0, 0, 0) if ":" in host else (host, 0)
        self.port = BridgePort(
            reactor, bound, fixed, self.heard.append, self._strange, lambda: self.now
        )

    def _strange(self) -> None:
        self.strangers += 1

    def close(self) -> None:
        self.port.close()


Make = Callable[..., Peer]


@pytest.fixture
def door() -> Iterator[Door]:
    with closing(Door()) as made:
        yield made


@pytest.fixture
def program() -> Iterator[Make]:
    with ExitStack() as stack:

        def make(door: Door, host: str = "127.0.0.1") -> Peer:
            made = stack.enter_context(closing(Peer(host)))
            made.knows(door.port.address)
            return made

        yield make


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_who_sends_is_answered(host: str, program: Make) -> None:
    with closing(Door(host)) as door:
        game = program(door, host)
        game.send(b"one", b"", bytes(MAX_PAYLOAD))
        await until(lambda: len(door.heard) == 3)
        assert door.heard == [b"one", b"", bytes(MAX_PAYLOAD)]
        assert door.port.give(b"two", door.port.program) is None
        assert game.receive() == b"two"
        assert str(door.port).startswith(f"[{host}]:" if ":" in host else f"{host}:")


@pytest_twisted.ensureDeferred
async def test_a_stray_datagram_does_not_take_the_place_of_the_program(
    door: Door, program: Make
) -> None:
    game, stray = program(door), program(door)
    game.send(b"one")
    await until(lambda: door.heard)
    stray.send(b"stray")
    await until(lambda: door.strangers)
    game.send(b"two")
    await until(lambda: len(door.heard) == 2)
    assert door.heard == [b"one", b"two"]
    assert door.port.give(b"still", door.port.program) is None
    assert game.receive() == b"still"


@pytest_twisted.ensureDeferred
async def test_another_program_takes_the_place_of_one_that_is_silent(
    door: Door, program: Make
) -> None:
    silent, game = program(door), program(door)
    silent.send(b"one")
    await until(lambda: door.heard)
    door.now = SILENCE
    game.send(b"too early")
    await until(lambda: door.strangers)
    door.now += 1.0
    game.send(b"two")
    await until(lambda: len(door.heard) == 2)
    silent.send(b"late")
    await until(lambda: door.strangers == 2)
    assert door.heard == [b"one", b"two"]


@pytest_twisted.ensureDeferred
async def test_another_program_takes_the_place_of_one_that_has_ended_at_once(
    door: Door, program: Make
) -> None:
    first, again = program(door), program(door)
    first.send(b"one")
    await until(lambda: door.heard)
    first.close()
    again.send(b"two")
    await until(lambda: len(door.heard) == 2)
    assert door.port.give(b"hi", door.port.program) is None
    assert again.receive() == b"hi"
    assert door.strangers == 0


@pytest_twisted.ensureDeferred
async def test_a_program_that_is_known_need_not_send_and_need_not_be_the_sender(
    program: Make,
) -> None:
    with closing(Peer()) as synth, closing(Door(fixed=("127.0.0.1", synth.port))) as door:
        keyboard, knob = program(door), program(door)
        keyboard.send(b"note")
        knob.send(b"volume")
        await until(lambda: len(door.heard) == 2)
        assert door.port.give(b"heard", door.port.program) is None
        assert synth.receive() == b"heard"


@pytest_twisted.ensureDeferred
async def test_a_program_that_does_not_listen_disturbs_nothing(door: Door, program: Make) -> None:
    first = program(door)
    first.send(b"one")
    await until(lambda: door.heard)
    first.close()
    for _ in range(10):
        assert door.port.give(b"to nobody", door.port.program) is None
    program(door).send(b"two")
    await until(lambda: len(door.heard) == 2)


def test_why_something_can_not_be_given_is_told(door: Door) -> None:
    assert door.port.give(b"x", None) == "no-program"
    assert door.port.give(bytes(MAX_PAYLOAD + 1), ("127.0.0.1", 9)) == "too-large"
    assert door.port.give(b"x", ("255.255.255.255", 9)) == "unsent"


def test_an_address_in_use_is_an_error(door: Door) -> None:
    with pytest.raises(OSError, match="in use"):
        BridgePort(reactor, door.port.address, None, door.heard.append, door.close)


@pytest_twisted.ensureDeferred
async def test_nothing_is_read_after_it_was_closed(door: Door, program: Make) -> None:
    closes = Door()
    closes.port.close()
    with closing(
        BridgePort(reactor, ("127.0.0.1", 0), None, lambda _: port.close(), print)
    ) as port:
        game = program(door)
        game.knows(port.address)
        game.send(b"one", b"two")
        await until(lambda: port.fileno() == -1)
    port.close()
