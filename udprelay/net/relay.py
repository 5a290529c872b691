"""A relay: the hub with its sockets, its clock and the consumer of its events."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.batch_port import BatchPort
from udprelay.batch_udp.port import DatagramPort
from udprelay.clock import clock_of
from udprelay.net.own_addresses import OwnAddresses
from udprelay.net.udp import UdpTransport
from udprelay.relay import events
from udprelay.relay.driver import HubDriver
from udprelay.relay.hub import Hub
from udprelay.relay.rules import ListenerRules, RelayRules

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
    :ivar clock: the clock of all its timers.
    :ivar now: returns the hub's time in seconds.
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
    ) -> None:
        self.reactor = reactor
        self.clock = clock_of(reactor)
        self.now = self.clock.seconds
        self.publish = publish
        self.listeners: dict[str, UdpTransport] = {}
        self.own_addresses = OwnAddresses()
        self._timer: IDelayedCall | None = None
        self._timer_due = 0.0
        self._statistics_period = statistics
        self._statistics = LoopingCall(self.publish_statistics)
        self._statistics.clock = self.clock
        self._retry_at = 0.0
        self._closed = False
        self.hub = Hub(rules, secret, self.own_addresses.__contains__, self.now())
        self.driver = HubDriver(self.hub, self.now, publish, self._set_timer)

    def open(self) -> None:
        """
        Bind every listener.

        :raises CannotOpenError: for the first that fails; none stays bound.
        """
        for name, rules in self.hub.rules.listeners.items():
            try:
                self._open(name, rules)
            except CannotOpenError:
                self.close()
                raise
        if self._statistics_period:
            self._statistics.start(self._statistics_period, now=False)
        self.driver.settle()

    def _open(self, name: str, rules: ListenerRules) -> None:
        transport = UdpTransport(name, self.driver)
        try:
            port = transport.port = self._bind(name, transport, rules)
        except CannotListenError as error:
            cause = error.socketError
            raise CannotOpenError(
                events.ListenerFailed(
                    listener=name,
                    interface=rules.interface,
                    port=rules.port,
                    error=cause.strerror or str(cause),
                )
            ) from error
        (own,) = transport.own_endpoints()
        transport.listener = self.hub.open_listener(name, transport)
        self.listeners[name] = transport
        self.own_addresses.add(own)
        self.hub.census.add(f"listeners.{name}.deliveries", lambda: port.deliveries)
        self.hub.census.add(f"listeners.{name}.segmented", lambda: port.segmented)
        self.hub.census.add(f"listeners.{name}.batches", port.batch_sizes)
        self.hub.census.add(f"listeners.{name}.waiting", lambda: port.waiting)
        receive_buffer, send_buffer = port.granted_buffers
        self.publish(
            events.ListenerOpened(
                listener=name,
                interface=str(own.ip),
                port=own.port,
                room=rules.room,
                plain=rules.plain.value,
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
