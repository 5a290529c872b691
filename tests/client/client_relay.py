"""A relay in the process of the test, and members that remember."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import evolve
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
# Made once, as it takes a tenth of a second.
ACCESS_KEY = AccessKey.make(PASSPHRASE, SALT)

T = TypeVar("T")


async def until(condition: Callable[[], object], patience: float = 20.0) -> None:
    """Wait for a condition; fail if it does not come."""
    deadline = reactor.seconds() + patience
    while not condition():
        assert reactor.seconds() < deadline, "waited in vain"
        await deferLater(reactor, 0.001)


class RunningRelay:
    """A relay on a loopback address, that can be stopped and started again."""

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
        """Change the rules of rooms without a section, for the next start."""
        self._rules = evolve(self._rules, room_defaults=evolve(self._rules.room_defaults, **rules))

    def start(self) -> RunningRelay:
        self._runs += 1
        self.relay = Relay(self._rules, reactor, bytes([self._runs]) * 32, self.events.append)
        self.relay.open()
        return self

    async def stop(self, farewell: bool = True) -> None:
        """End it; without a farewell it just vanishes."""
        relay, self.relay = self.relay, None
        if relay is None:
            return
        if farewell:
            relay.say_farewell()
        await relay.stop_reading()


class Company:
    """Members of a relay's rooms, and what each was told."""

    def __init__(self, relay: RunningRelay) -> None:
        self.relay = relay
        self.told: dict[str, list[events.Event]] = {}
        self._members: list[Member] = []

    async def join(self, nick: str, **options: Any) -> Member:
        told = self.told.setdefault(nick, [])
        options.setdefault("host", self.relay.host)
        member = await join(
            options.pop("reactor", reactor),
            options.pop("host"),
            self.relay.port,
            nick=nick,
            observe=lambda _, event: told.append(event),
            **options,
        )
        self._members.append(member)
        return member

    def of(self, nick: str, kind: type[T]) -> list[T]:
        """Return what one was told of one kind."""
        return [event for event in self.told[nick] if isinstance(event, kind)]

    def heard(self, nick: str) -> list[bytes]:
        return [event.payload for event in self.of(nick, events.Received)]

    async def leave(self) -> None:
        for member in self._members:
            await member.leave()
