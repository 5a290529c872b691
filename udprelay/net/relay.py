"""A relay: the hub with its sockets, its clock and the consumer of its events."""

from __future__ import annotations

import errno
from collections.abc import Callable
from socket import gaierror
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.batch_port import BatchPort
from udprelay.batch_udp.port import DatagramPort
from udprelay.clock import clock_of
from udprelay.net.address_watch import AddressWatch, interface_index, is_not_there
from udprelay.net.neighbours import Neighbours
from udprelay.net.own_addresses import OwnAddresses
from udprelay.net.udp import UdpTransport
from udprelay.relay import events
from udprelay.relay.driver import HubDriver
from udprelay.relay.hub import Hub
from udprelay.relay.rules import ListenerRules, RelayRules, trusts_neighbours

FAILURE_DELAY = 1.0
"""Seconds from a deadline that failed to the next attempt."""

_NO_IPV6 = frozenset((errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL))


class CannotOpenError(Exception):
    """
    A listener cannot be opened.

    :ivar event: the listener and the error.
    """

    def __init__(self, event: events.ListenerFailed) -> None:
        super().__init__(event.human())
        self.event = event


class Relay:
    """
    All transports of one relay and the hub behind them.

    :param secret: 32 random bytes.
    :param publish: is called with every event.
    :param statistics: seconds between two reports of all counters; 0 is never.
    :param find_interface: tells whether the machine has the address of a listener
        (:func:`~udprelay.net.address_watch.interface_index`).
    :ivar clock: the clock of all its timers.
    :ivar now: returns the hub's time in seconds.
    :ivar opened: is called when a listener is opened later than the others.
    :ivar own_addresses: the endpoints of its own listeners.
    """

    _log = Logger()

    def __init__(
        self,
        rules: RelayRules,
        reactor: Any,
        secret: bytes,
        publish: Callable[[events.Event], None],
        statistics: float = 0.0,
        find_interface: Callable[[str], int | None] = interface_index,
    ) -> None:
        self.reactor = reactor
        self.clock = clock_of(reactor)
        self.now = self.clock.seconds
        self.publish = publish
        self.opened: Callable[[], object] = lambda: None
        self.listeners: dict[str, UdpTransport] = {}
        self.own_addresses = OwnAddresses()
        self._timer: IDelayedCall | None = None
        self._timer_due = 0.0
        self._statistics_period = statistics
        self._statistics = LoopingCall(self.publish_statistics)
        self._statistics.clock = self.clock
        self._retry_at = 0.0
        self._waiting: dict[str, str] = {}
        self._watch = AddressWatch(self, self.clock, rules.listeners, find_interface)
        self._neighbours = Neighbours(
            lambda error: publish(events.RelayInterfacesUnknown(error=error))
        )
        self._closed = False
        self.hub = Hub(rules, secret, self.own_addresses.__contains__, self.now())
        self.driver = HubDriver(self.hub, self.now, publish, self._set_timer)

    def open(self) -> None:
        """
        Bind every listener. Those whose address the machine does not have yet are bound later.

        :raises CannotOpenError: for the first that fails; none stays bound.
        """
        if any(map(trusts_neighbours, self.hub.rules.listeners.values())):
            self._neighbours.open()
        waiting = set()
        for name in self.hub.rules.listeners:
            try:
                self._open(name)
            except CannotListenError as error:
                if not is_not_there(error.socketError):
                    self.close()
                    rules = self.hub.rules.listeners[name]
                    raise CannotOpenError(
                        events.ListenerFailed(
                            listener=name,
                            interface=rules.interface,
                            port=rules.port,
                            error=_text(error),
                        )
                    ) from error
                waiting.add(name)
                self._wait(name, _text(error))
        self._watch.start(waiting)
        if self._statistics_period:
            self._statistics.start(self._statistics_period, now=False)
        self.driver.settle()

    def open_listener(self, name: str) -> bool:
        """Open a listener whose address is there; return whether it is open now."""
        try:
            self._open(name)
        except CannotListenError as error:
            self._wait(name, _text(error))
            return False
        self._waiting.pop(name, None)
        self.driver.settle()
        self.opened()
        return True

    def suspend_listener(self, name: str) -> None:
        """Close a listener whose address is gone; its members stay."""
        self.listeners[name].suspend()
        self._wait(name, "the address is gone from this machine")

    def _wait(self, name: str, error: str) -> None:
        """Report that a listener waits for its address, once for each reason."""
        if self._waiting.get(name) != error:
            self._waiting[name] = error
            rules = self.hub.rules.listeners[name]
            self.publish(
                events.ListenerWaiting(
                    listener=name, interface=rules.interface, port=rules.port, error=error
                )
            )

    def _open(self, name: str) -> None:
        """
        Open a listener for the first time, or again.

        :raises CannotListenError: if its socket cannot be bound.
        """
        rules, transport = self.hub.rules.listeners[name], self.listeners.get(name)
        if transport is None:
            transport = UdpTransport(name, self.driver, self._neighbours.is_neighbour)
            transport.port = self._bind(name, transport, rules)
            transport.listener = self.hub.open_listener(name, transport)
            self.listeners[name] = transport
            transport.add_counts(self.hub.census)
        else:
            # The port that any free one was at first.
            again = evolve(rules, port=transport.number)
            transport.resume(self._bind(name, transport, again))
        port = transport.port
        (own,) = transport.own_endpoints()
        transport.number = own.port
        self.own_addresses.add(own)
        receive_buffer, send_buffer = port.granted_buffers
        self.publish(
            events.ListenerOpened(
                listener=name,
                interface=str(own.ip),
                port=own.port,
                room=rules.room,
                plain=rules.plain.value,
                plain_networks=", ".join(map(str, rules.plain_networks)),
                batched=port.batched,
                receive_buffer=receive_buffer,
                send_buffer=send_buffer,
            )
        )

    def _bind(self, name: str, transport: UdpTransport, rules: ListenerRules) -> DatagramPort:
        port_class = self._port_class(name, rules)
        buffers = rules.receive_buffer, rules.send_buffer

        def port_at(interface: str) -> DatagramPort:
            where = rules.port, transport, interface, self.reactor
            return port_class(*where, buffers, clock=self.clock, dscp=rules.dscp)

        port = port_at(rules.interface)
        try:
            port.startListening()
        except CannotListenError as error:
            if rules.interface != "::" or error.socketError.errno not in _NO_IPV6:
                raise
            port = port_at("0.0.0.0")
            port.startListening()
        return port

    def _port_class(self, name: str, rules: ListenerRules) -> type[DatagramPort]:
        if not rules.batch:
            return DatagramPort
        try:
            mmsg.load()
        except mmsg.UnavailableError as error:
            self.publish(events.ListenerUnbatched(listener=name, error=str(error)))
            return DatagramPort
        return BatchPort

    def _set_timer(self, deadline: float | None) -> None:
        if deadline is None or self._closed:
            return
        deadline = max(deadline, self._retry_at)
        delay = max(0.0, deadline - self.now())
        timer = self._timer
        if timer is None or not timer.active():
            self._timer = self.clock.callLater(delay, self._deadline_reached)
        elif deadline != self._timer_due:
            timer.reset(delay)
        self._timer_due = deadline

    def _deadline_reached(self) -> None:
        now = self.now()
        try:
            self.driver.expire()
        except Exception:
            self._log.failure("a deadline of the hub failed")
            # An immediate retry would repeat without end and starve everything else.
            self._retry_at = now + FAILURE_DELAY
            self._set_timer(now)

    def publish_statistics(self) -> None:
        """Publish all counters."""
        try:
            for transport in self.listeners.values():
                self.publish(transport.statistics())
            for event in self.hub.roster.statistics():
                self.publish(event)
            self.publish(events.RelayStatistics(counts=self.hub.census.read()))
        except Exception:
            self._log.failure("the statistics failed")

    def send_farewell(self) -> None:
        """Stop reading, and notify session members that the relay stops."""
        for transport in self.listeners.values():
            transport.stop_reading()
        self.hub.farewell()
        self.driver.send_replies()

    def close(self) -> Deferred[Any]:
        """Close every transport; return a Deferred that fires when all are closed."""
        self._closed = True
        self._watch.stop()
        self._neighbours.close()
        if self._statistics.running:
            self._statistics.stop()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        closed = []
        for name, transport in self.listeners.items():
            closed.append(transport.close())
            self.publish(transport.statistics())
            self.publish(events.ListenerClosed(listener=name))
        self.listeners = {}
        return DeferredList([d for d in closed if d is not None])


def _text(error: CannotListenError) -> str:
    cause = error.socketError
    if isinstance(cause, gaierror):
        return f"there is no network interface {error.interface.partition('%')[2]}"
    return cause.strerror or str(cause)
