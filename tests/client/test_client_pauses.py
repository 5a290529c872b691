"""A client that is held up for longer than its timeouts."""

from __future__ import annotations

import pytest
import pytest_twisted
from client_fakes import MutedSocket
from client_relay import Members, until
from twisted.internet.defer import Deferred

from pausing_reactor import PausingReactor
from udprelay.client.sockets import DatagramSocket
from udprelay.session_client import events

PAUSE = 3600.0


class MutableReactor(PausingReactor):
    """The same, and what it sends can be lost."""

    def addReader(self, reader: object) -> None:
        if isinstance(reader, DatagramSocket):
            self.socket = reader
        super().__getattr__("addReader")(reader)

    def mute(self) -> MutedSocket:
        return MutedSocket(self.socket)


@pytest.fixture
def held_up() -> MutableReactor:
    return MutableReactor()


@pytest_twisted.ensureDeferred
async def test_what_waits_in_the_socket_is_received_and_contact_is_kept(
    members: Members, held_up: MutableReactor
) -> None:
    ada, bob = await members.join("ada", reactor=held_up), await members.join("bob")
    ada.pause()
    await bob.send(b"said meanwhile")
    held_up.pause(PAUSE)
    ada.resume()
    await until(lambda: members.received("ada") == [b"said meanwhile"])
    await ada.send(b"here I am")
    await until(lambda: members.received("bob") == [b"here I am"])
    assert members.events_of("ada", events.ContactLost) == []


@pytest_twisted.ensureDeferred
async def test_a_message_in_flight_does_not_fail(
    members: Members, held_up: MutableReactor
) -> None:
    ada, _ = await members.join("ada", reactor=held_up), await members.join("bob")
    muted = held_up.mute()
    delivered = ada.send(b"hello")
    held_up.pause(PAUSE)
    muted.unmute()
    await delivered
    await until(lambda: members.received("bob") == [b"hello"])
    assert members.events_of("ada", events.ContactLost) == []


@pytest_twisted.ensureDeferred
async def test_joining_does_not_time_out(members: Members, held_up: MutableReactor) -> None:
    await members.relay.stop()
    joined = Deferred.fromCoroutine(members.join("ada", reactor=held_up, patience=60.0))
    held_up.pause(PAUSE)
    members.relay.start()
    assert (await joined).joined
