"""Targets: fixed receivers from the configuration, looked up at intervals."""

from __future__ import annotations

from functools import partial
from threading import Thread
from typing import Any

from attrs import define
from twisted.internet._resolver import GAIResolver
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from udprelay.look_up import look_up
from udprelay.machine import is_broadcast
from udprelay.net.relay import Relay
from udprelay.protocol.endpoint import Endpoint, endpoint, host_port
from udprelay.relay import events
from udprelay.relay.room import Member

FIRST_RETRY = 1.0
"""Seconds to the next look-up of a name without an address; twice as many to each later one."""

MAX_ADDRESSES = 16
"""Addresses of one name that are tried, in the resolver's order."""


class Targets:
    """Keeps each target a member of its room, at the current address of its name."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._targets: list[_Target] = []

    def start(self) -> None:
        """Look up every target; each joins its room when it is found."""
        hub = self._relay.hub
        self._relay.opened = self._look_up_missing
        for room in sorted(hub.named_rooms):
            for host, port in hub.rules.room(room).targets:
                target = _Target(self._relay, room, host, port)
                self._targets.append(target)
                target.look_up()

    def _look_up_missing(self) -> None:
        """Look up what may now have a listener that can send to it."""
        for target in self._targets:
            if target.member is None and target.timer is not None:
                target.timer.reset(0)

    def stop(self) -> None:
        """Stop looking up."""
        self._relay.opened = lambda: None
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
    retry: float = FIRST_RETRY
    silent_until: float = 0.0
    told: str = ""
    stopped: bool = False

    _log = Logger()

    @property
    def name(self) -> str:
        return host_port(self.host, self.port)

    @property
    def refresh(self) -> float:
        return self.relay.hub.rules.room(self.room).target_refresh

    def look_up(self) -> None:
        # Before the look-up, which may never end: Twisted's resolver loses unexpected errors.
        self.timer = self.relay.clock.callLater(self.refresh, self.look_up)
        look_up(self.relay.reactor.nameResolver, self.host).addCallback(self.looked_up)

    def stop(self) -> None:
        self.stopped = True
        if self.timer is not None:
            self.timer.cancel()

    def looked_up(self, hosts: list[str]) -> None:
        if self.stopped:
            return
        try:
            self._update([endpoint(host, self.port) for host in hosts])
        except Exception:
            self._log.failure("target {name} failed", name=self.name)

    def _update(self, addresses: list[Endpoint]) -> None:
        relay, member = self.relay, self.member
        # An address that was another machine's may have become one of this one.
        if member and member.endpoint and member.endpoint in relay.own_addresses:
            relay.hub.remove_target(member, relay.now())
            member = self.member = None
            relay.driver.settle()
        if member is not None and member.endpoint in addresses:
            return
        tried = addresses[:MAX_ADDRESSES]
        refused = {address: why for address in tried if (why := self._refusal(address))}
        others = [address for address in tried if address not in refused]
        for address in others:
            if self._join(address, len(addresses)):
                self.retry, self.told = FIRST_RETRY, ""
                return
        if refused and not others:
            self._refuse(*next(iter(refused.items())))
            return
        self._unresolved(
            "no listener can send to its addresses" if addresses else "the name has no address"
        )

    def _refusal(self, address: Endpoint) -> str:
        """Return what is wrong with an address as a target; empty if nothing is."""
        if address in self.relay.own_addresses:
            return "is this relay itself"
        if address.ip.is_unspecified:
            return "is no address to send to"
        return "is a broadcast address" if is_broadcast(address.ip) else ""

    def _refuse(self, address: Endpoint, error: str) -> None:
        self.relay.publish(
            events.TargetRefused(
                room=self.room, target=self.name, address=str(address), error=error
            )
        )

    def _unresolved(self, error: str) -> None:
        """Report what is new, and look up sooner: the machine may have started just now."""
        now = self.relay.now()
        if error != self.told or now >= self.silent_until:
            self.told, self.silent_until = error, now + self.refresh
            self.relay.publish(
                events.TargetUnresolved(room=self.room, target=self.name, error=error)
            )
        if self.member is None and self.timer is not None and self.retry < self.refresh:
            self.timer.reset(self.retry)
            self.retry *= 2

    def _join(self, address: Endpoint, count: int) -> bool:
        """
        Join the room through the first listener that can send to ``address``.

        :param count: the number of addresses of the name.
        """
        relay = self.relay
        for transport in sorted(
            relay.listeners.values(), key=lambda t: t.listener.rules.room != self.room
        ):
            source = transport.source_of(str(address.ip), address.port)
            if source is None:
                continue
            if self.member is not None:
                relay.hub.remove_target(self.member, relay.now())
            relay.publish(
                events.TargetResolved(
                    room=self.room, target=self.name, address=str(address), addresses=count
                )
            )
            self.member = relay.hub.add_target(
                self.room, self.name, transport.listener, source, relay.now()
            )
            relay.driver.settle()
            return True
        return False


class _DaemonThreadPool(ThreadPool):
    threadFactory: Any = partial(Thread, daemon=True)


def install_resolver(reactor: Any) -> None:
    """
    Install a resolver of host names with daemon threads of its own.

    The reactor joins its own threads when it stops. The C library's look-up cannot be cancelled
    and may take 30 seconds.
    """
    pool = _DaemonThreadPool(minthreads=0, maxthreads=4, name="look-ups")
    pool.start()
    reactor.installNameResolver(GAIResolver(reactor, lambda: pool))
