"""Session members over real sockets, through both kinds of port."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from net_peers import MakePeer, OpenRelay, Peer, RunningRelay

from udprelay.protocol.wire import FromRelay, decode_from_relay
from udprelay.protocol.wire.entries import LeaveEntry
from udprelay.protocol.wire.from_client import DataUp, Leave, Nack
from udprelay.protocol.wire.from_relay import Ack, Bye, Heartbeat
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Welcome
from udprelay.protocol.wire.sequenced import Data, Entry
from udprelay.relay import events


class Client:
    """A session client at a peer."""

    welcome: Welcome

    def __init__(self, peer: Peer, relay: RunningRelay, nick: str) -> None:
        self.peer = peer
        self.relay = relay
        self.nick = nick

    def send(self, datagram: Any) -> None:
        self.peer.send(datagram.encode(), self.relay)

    async def next(self, kind: type[Any] | None = None) -> Any:
        """Return the next datagram that is no heartbeat; it must be of that kind."""
        read: FromRelay = Heartbeat(bytes(8), 0)
        while isinstance(read, Heartbeat):
            (datagram,) = await self.peer.receive()
            read = decode_from_relay(datagram)
        assert kind is None or isinstance(read, kind), read
        return read

    async def join(self) -> Client:
        nonce = self.nick.encode().ljust(8, b".")
        self.send(Hello(nonce, "lobby"))
        challenge = await self.next(Challenge)
        secret = self.nick.encode().ljust(16, b".")
        self.send(Join(nonce, challenge.cookie, "lobby", self.nick, secret))
        self.welcome = await self.next(Welcome)
        return self

    def say(self, own: int, payload: bytes, flags: int = RELIABLE) -> None:
        self.send(DataUp(self.welcome.session_id, flags, own, payload))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest_twisted.ensureDeferred
async def test_members_receive_from_each_other_and_from_plain_members(
    open_relay: OpenRelay, make_peer: MakePeer, host: str
) -> None:
    relay = open_relay()
    anna = await Client(make_peer(host), relay, "anna").join()
    bert = await Client(make_peer(host), relay, "bert").join()
    assert (await anna.next(Entry)).number == 2
    plain = await make_peer(host).join(relay)
    for member in (anna, bert):
        assert (await member.next(Entry)).number == 3
    anna.say(1, b"framed")
    assert await plain.receive() == [b"framed"]
    data = await bert.next(Data)
    assert (data.number, data.own, data.payload) == (1, 1, b"framed")
    assert (await anna.next(Ack)).next == 2
    plain.send(b"plain", relay)
    for member in (anna, bert):
        assert (await member.next(Data)).payload == b"plain"


@pytest_twisted.ensureDeferred
async def test_a_run_of_one_size_arrives_complete(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    anna = await Client(make_peer(), relay, "anna").join()
    bert = await Client(make_peer(), relay, "bert").join()
    await anna.next(Entry)
    payloads = [b"%03d" % number * 30 for number in range(100)]
    for own, payload in enumerate(payloads, 1):
        anna.say(own, payload, 0)
    received = [await bert.next(Data) for _ in payloads]
    assert [data.payload for data in received] == payloads
    assert [data.sequence for data in received] == list(range(3, 103))


@pytest_twisted.ensureDeferred
async def test_all_others_are_notified_of_a_member_that_leaves(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    clients = [await Client(make_peer(), relay, f"n{n}").join() for n in range(4)]
    for number, client in enumerate(clients):
        for _ in clients[number + 1 :]:
            await client.next(Entry)
    leaving, *others = clients
    leaving.send(Leave(leaving.welcome.session_id))
    assert (await leaving.next(Bye)).code == "left"
    for client in others:
        assert (await client.next(Entry)).body == LeaveEntry("left")
    others[0].say(1, b"still here")
    for client in others[1:]:
        assert (await client.next(Data)).payload == b"still here"


@pytest_twisted.ensureDeferred
async def test_a_missing_datagram_is_retransmitted(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    anna = await Client(make_peer(), relay, "anna").join()
    bert = await Client(make_peer(), relay, "bert").join()
    anna.say(1, b"hello")
    first = await bert.next(Data)
    bert.send(Nack(bert.welcome.session_id, 0, ((3, 1),)))
    assert await bert.next(Data) == first


@pytest_twisted.ensureDeferred
async def test_a_silent_room_has_a_heartbeat(open_relay: OpenRelay, make_peer: MakePeer) -> None:
    relay = open_relay()
    anna = await Client(make_peer(), relay, "anna").join()
    (datagram,) = await anna.peer.receive()
    assert decode_from_relay(datagram) == Heartbeat(anna.welcome.tag, 1)


@pytest_twisted.ensureDeferred
async def test_a_relay_that_stops_sends_farewell_before_its_sockets_close(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    anna = await Client(make_peer(), relay, "anna").join()
    plain = await make_peer().join(relay)
    assert isinstance(await anna.next(), Entry)
    relay.relay.send_farewell()
    # The relay reads no more.
    plain.send(b"too late", relay)
    anna.say(1, b"too late")
    assert (await anna.next(Bye)).code == "stopping"
    assert relay.relay.hub.roster.datagrams == 0
    await relay.relay.close()
    relay.relay.hub.close(relay.relay.now())
    assert relay.relay.hub.drain_replies() == []
    stopped = relay.relay.hub.drain_events()[-1]
    assert isinstance(stopped, events.RelayStopped)
