"""A console in a relay without sockets, and its members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.testing import StringTransport

from manual_clock import ManualClock
from udprelay.console import Console
from udprelay.net.relay import Relay
from udprelay.protocol import keys
from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.endpoint import Endpoint, endpoint
from udprelay.protocol.wire import decode_from_relay
from udprelay.protocol.wire.from_client import DataUp
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Welcome
from udprelay.relay import events
from udprelay.relay.drops import DropReason
from udprelay.relay.flood_source import FloodSource
from udprelay.relay.room import Group
from udprelay.relay.rules import Label, RelayRules, RoomRules
from udprelay.segments import Run, runs_by_source

KEY = AccessKey(b"s" * 16, b"k" * 32)
GUEST, OTHER, SIX = ("127.0.0.1", 61207), ("10.0.0.2", 2000), ("::1", 6)


class Port:
    """A transport without a socket."""

    name = "main"

    def __init__(self) -> None:
        self.sent: list[tuple[Any, bytes]] = []

    def reply(self, datagrams: Sequence[tuple[Any, bytes]]) -> list[DropReason]:
        self.sent += datagrams
        return []

    def deliver(self, runs: Sequence[Run], group: Group, count: int) -> list[DropReason]:
        for sender, segments, _ in runs:
            for payload in segments:
                for member in group.members[:count]:
                    if member is not sender:
                        group.deliveries += 1
                        self.sent.append((member.source, payload))
        return []

    def endpoint(self, source: tuple[str, int]) -> Endpoint:
        return endpoint(*source)

    def source_of(self, host: str, port: int) -> None:
        return None

    def peer_of(self, source: tuple[str, int]) -> tuple[str, int]:
        return source

    def is_neighbour(self, source: tuple[str, int]) -> bool:
        return True

    def filter(self, sources: Sequence[FloodSource]) -> None:
        raise NotImplementedError

    def own_endpoints(self) -> tuple[()]:
        return ()

    def start_reading(self) -> None:
        pass

    def stop_reading(self) -> None:
        pass

    def statistics(self) -> None:
        return None

    def close(self) -> None:
        pass


class Terminal:
    """A console in a relay without sockets, with a terminal."""

    def __init__(self, rules: RelayRules) -> None:
        self.clock, self.port = ManualClock(), Port()
        self.events: list[events.Event] = []
        self.relay = Relay(rules, self.clock, bytes(32), self.events.append)
        self.listeners = {
            name: self.relay.hub.open_listener(name, self.port) for name in rules.listeners
        }
        self.listener = self.listeners["main"]
        self.console = Console(self.relay, "lobby")
        self.transport = StringTransport()
        self.console.makeConnection(self.transport)

    def receive(self, source: tuple[str, int], *payloads: bytes, listener: str = "main") -> None:
        """Let the relay receive datagrams; without payloads, an empty one."""
        batch = runs_by_source((source, payload) for payload in payloads or (b"",))
        self.relay.driver.receive(self.listeners[listener], batch, self.relay.now())

    def falls_behind(self) -> None:
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()

    def catches_up(self) -> None:
        assert self.transport.producer is not None
        self.transport.producer.resumeProducing()

    def printed(self) -> list[str]:
        """Drain the printed lines."""
        text: str = self.transport.value().decode()
        self.transport.clear()
        assert not text or text.endswith("\n")
        return text.split("\n")[:-1]

    def sent(self) -> list[tuple[tuple[str, int], bytes]]:
        """Drain the payloads sent to members."""
        sent, self.port.sent = self.port.sent, []
        return sent

    def happened(self, kind: type[events.Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def type(self, *lines: str) -> None:
        for line in lines:
            self.console.dataReceived(f"{line}\n".encode())


@pytest.fixture
def terminal() -> Terminal:
    return Terminal(RelayRules())


@pytest.fixture
def labelled() -> Terminal:
    return Terminal(RelayRules(room_defaults=RoomRules(label=Label.NICK)))


class Anna:
    """A session member at the address ``GUEST``."""

    def __init__(self, terminal: Terminal, nick: str = "Anna B", **changes: Any) -> None:
        self.terminal = terminal
        terminal.receive(GUEST, Hello(b"my nonce", "lobby").encode())
        (challenge,) = self.received(Challenge)
        join = Join(b"my nonce", challenge.cookie, "lobby", nick, bytes(16), **changes)
        if changes:
            proof = keys.proof(
                KEY.key, challenge.cookie, "lobby", nick, b"my nonce", keys.identity(bytes(16))
            )
            join = evolve(join, proof=proof)
        terminal.receive(GUEST, join.encode())
        (self.welcome,) = self.received(Welcome)

    def received(self, kind: type[Any]) -> list[Any]:
        """Drain what was sent to it; return the datagrams of one class."""
        decoded = [decode_from_relay(datagram) for _, datagram in self.terminal.sent()]
        return [one for one in decoded if isinstance(one, kind)]

    def send(self, payload: bytes) -> None:
        session_id = self.welcome.session_id
        self.terminal.receive(GUEST, DataUp(session_id, 0, 1, payload).encode())
