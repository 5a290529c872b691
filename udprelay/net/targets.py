"""Targets: fixed receivers from the configuration, looked up now and again."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHostResolution,
    IResolutionReceiver,
)
from twisted.logger import Logger
from zope.interface import implementer

from udprelay.net.relay import Relay
from udprelay.protocol.endpoint import Endpoint, endpoint, host_port
from udprelay.relay import events
from udprelay.relay.room import Member


class Targets:
    """Keeps every room's targets members of it, at the addresses that their names have now."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._targets: list[_Target] = []

    def start(self) -> None:
        """Look up every target; each joins its room as soon as it is found."""
        rules = self._relay.hub.rules
        rooms = {listener.room for listener in rules.listeners.values()} | set(rules.rooms)
        for room in sorted(rooms):
            for host, port in rules.room(room).targets:
                target = _Target(self._relay, room, host, port)
                self._targets.append(target)
                target.look_up()

    def stop(self) -> None:
        """Look up no more."""
        for target in self._targets:
            target.stop()


@define(eq=False)
class _Target:
    relay: Relay
    room: str
    host: str
    port: int
    member: Member | None = None
    timer: IDelayedCall | None = None
    stopped: bool = False

    _log = Logger()

    @property
    def name(self) -> str:
        return host_port(self.host, self.port)

    def look_up(self) -> None:
        # Before the answer, as there may never be one: Twisted drops what it does not expect.
        refresh = self.relay.hub.rules.room(self.room).target_refresh
        self.timer = self.relay.reactor.callLater(refresh, self.look_up)
        self.relay.reactor.nameResolver.resolveHostName(
            _Receiver(self), self.host, self.port, [IPv4Address, IPv6Address], "UDP"
        )

    def stop(self) -> None:
        self.stopped = True
        if self.timer is not None:
            self.timer.cancel()

    def looked_up(self, addresses: list[Endpoint]) -> None:
        """Take the result of a look-up."""
        if self.stopped:
            return
        try:
            self._settle(addresses)
        except Exception:
            self._log.failure("target {name} failed", name=self.name)

    def _settle(self, addresses: list[Endpoint]) -> None:
        if self.member is not None and self.member.address in map(str, addresses):
            return
        for address in addresses:
            if self._join(address):
                return
        why = "no listener can send to its addresses" if addresses else "the name has no address"
        self.relay.publish(events.TargetUnresolved(room=self.room, target=self.name, error=why))

    def _join(self, address: Endpoint) -> bool:
        """Join the room at ``address`` through the first listener that can send there."""
        relay = self.relay
        for protocol in sorted(
            relay.listeners.values(), key=lambda p: p.listener.rules.room != self.room
        ):
            source = protocol.port.address_of(address)
            if source is None:
                continue
            if self.member is not None:
                relay.hub.remove_target(self.member, relay.now())
            relay.publish(
                events.TargetResolved(room=self.room, target=self.name, address=str(address))
            )
            self.member = relay.hub.add_target(
                self.room, self.name, protocol.listener, source, relay.now()
            )
            relay.settle()
            return True
        return False


@implementer(IResolutionReceiver)
@define
class _Receiver:
    target: _Target
    found: list[Endpoint] = field(factory=list)

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:  # noqa: N803
        """Nothing to do: a look-up can't be cancelled."""

    def addressResolved(self, address: IAddress) -> None:
        """Note one address."""
        if isinstance(address, (IPv4Address, IPv6Address)):
            host = address.host.partition("%")[0]
            if isinstance(address, IPv6Address) and address.scopeID:
                host = f"{host}%{address.scopeID}"
            self.found.append(endpoint(host, address.port))

    def resolutionComplete(self) -> None:
        """Hand over all."""
        self.target.looked_up(self.found)
