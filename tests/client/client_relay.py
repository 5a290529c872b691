"""A relay in the process of the test, and members whose events are recorded."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

from attrs import evolve
from client_programs import TIMEOUT
from twisted.internet import reactor
from twisted.internet.task import deferLater

from free_port import free_port
from udprelay.client import Member, join
from udprelay.net.relay import Relay
from udprelay.protocol.access_key import AccessKey
from udprelay.relay.events import Event
from udprelay.relay.rules import ListenerRules, RelayRules, RoomRules
from udprelay.session_client import events

PASSPHRASE = "correct horse battery staple"
SALT = bytes(range(16))
# Derived once, as it takes 0.1 s.
ACCESS_KEY = AccessKey.make(PASSPHRASE, SALT)

T = TypeVar("T")


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds; fail after :data:`TIMEOUT`."""
    deadline = monotonic() + TIMEOUT
    while not condition():
        assert monotonic() < deadline, "timed out"
        await deferLater(reactor, 0.001)


class RunningRelay:
    """A relay on a loopback address that can be restarted."""

    def __init__(self, interface: str = "127.0.0.1") -> None:
        listener = ListenerRules(interface=interface, port=free_port())
        self.port = listener.port
        self.host = interface
        self.events: list[Event] = []
        rooms = {"sealed": RoomRules(access_key=ACCESS_KEY), "full": RoomRules(max_members=1)}
        self._rules = RelayRules(listeners={"main": listener}, rooms=rooms)
        self._runs = 0
        self.relay: Relay | None = None

    def change(self, **rules: Any) -> None:
        """Change the rules of rooms without a section, from the next start on."""
        self._rules = evolve(self._rules, room_defaults=evolve(self._rules.room_defaults, **rules))

    def start(self) -> RunningRelay:
        self._runs += 1
        self.relay = Relay(self._rules, reactor, bytes([self._runs]) * 32, self.events.append)
        self.relay.open()
        return self

    async def stop(self, farewell: bool = True) -> None:
        """Stop the relay; without a farewell its members get no BYE."""
        relay, self.relay = self.relay, None
        if relay is None:
            return
        if farewell:
            relay.send_farewell()
        await relay.close()


class Members:
    """Members of a relay's rooms, and the events of each."""

    def __init__(self, relay: RunningRelay) -> None:
        self.relay = relay
        self.events: dict[str, list[events.Event]] = {}
        self._members: list[Member] = []

    async def join(self, nick: str, **options: Any) -> Member:
        recorded = self.events.setdefault(nick, [])
        options.setdefault("host", self.relay.host)
        member = await join(
            options.pop("reactor", reactor),
            options.pop("host"),
            self.relay.port,
            nick=nick,
            observe=lambda _, event: recorded.append(event),
            **options,
        )
        self._members.append(member)
        return member

    def events_of(self, nick: str, kind: type[T]) -> list[T]:
        """Return the events of one kind that a member got."""
        return [event for event in self.events[nick] if isinstance(event, kind)]

    def received(self, nick: str) -> list[bytes]:
        """Return the payloads that a member received."""
        return [event.payload for event in self.events_of(nick, events.Received)]

    async def leave(self) -> None:
        for member in self._members:
            await member.leave()
