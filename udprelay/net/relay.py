"""A relay: the hub with its sockets, its clock and the consumer of its events."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.batch_port import BatchPort
from udprelay.batch_udp.linux_socket import granted_buffers
from udprelay.batch_udp.port import DatagramPort
from udprelay.net.listener import ListenerProtocol, drop_reason
from udprelay.net.own_addresses import OwnAddresses
from udprelay.relay import events
from udprelay.relay.drops import DropReason
from udprelay.relay.fan_out import FanOut
from udprelay.relay.hub import Hub
from udprelay.relay.room import Group, Member, TransportKey
from udprelay.relay.rules import ListenerRules, RelayRules
from udprelay.segments import Source

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


class Transport(Protocol):
    """Reaches members: a UDP port, or the console."""

    def deliver(
        self, payloads: Sequence[bytes], senders: Sequence[Member], group: Group, count: int
    ) -> Sequence[int | DropReason]:
        """
        Send each payload to each of a group's first ``count`` members but its sender.

        :param senders: one for each payload.
        :return: for each delivery that was not made, the reason or the errno of the send.
        """

    def send_each(self, datagrams: Sequence[tuple[Source, bytes]]) -> Sequence[int | DropReason]:
        """Send each datagram to its source; return the failures likewise."""


def _reason(error: int | DropReason) -> DropReason:
    return error if isinstance(error, DropReason) else drop_reason(error)


class Relay:
    """
    All listeners of one relay and the hub behind them.

    :param secret: 32 random bytes.
    :param publish: is called with every event.
    :param statistics: seconds between two reports of all counters; 0 is never.
    :param clock: returns the hub's time in seconds. Not the reactor's clock, which is the time of
        day and may jump.
    """

    _log = Logger()

    def __init__(
        self,
        rules: RelayRules,
        reactor: Any,
        secret: bytes,
        publish: Callable[[events.Event], None],
        statistics: float = 0.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.now = clock
        self.reactor = reactor
        self.publish = publish
        self.listeners: dict[str, ListenerProtocol] = {}
        self._own = OwnAddresses()
        self._transports: dict[TransportKey, Transport] = {}
        self._timer: IDelayedCall | None = None
        self._timer_due = 0.0
        self._statistics_period = statistics
        self._statistics = LoopingCall(self._publish_statistics)
        self._statistics.clock = reactor
        self._retry_at = 0.0
        self.hub = Hub(rules, secret, self._own.__contains__, clock())

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
        self.settle()

    def _open(self, name: str, rules: ListenerRules) -> None:
        protocol = ListenerProtocol(self)
        try:
            port = self._bind(name, protocol, rules)
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
        own = protocol.own_endpoint()
        protocol.listener = self.hub.open_listener(name, protocol.read_endpoint)
        self.listeners[name] = protocol
        self._own.add(own)
        self._transports[protocol.listener] = port
        self.hub.census.add(f"listeners.{name}.segmented", lambda: port.segmented)
        self.hub.census.add(f"listeners.{name}.batches", port.batch_sizes.as_fields)
        receive_buffer, send_buffer = granted_buffers(port.socket)
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

    def _bind(self, name: str, protocol: ListenerProtocol, rules: ListenerRules) -> DatagramPort:
        port_class = self._port_class(name, rules)
        buffers = rules.receive_buffer, rules.send_buffer
        port = port_class(rules.port, protocol, rules.interface, self.reactor, buffers)
        try:
            port.startListening()
        except CannotListenError as error:
            if rules.interface != "::" or error.socketError.errno not in _NO_IPV6:
                raise
            port = port_class(rules.port, protocol, "0.0.0.0", self.reactor, buffers)
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

    def add_transport(self, key: TransportKey, transport: Transport) -> None:
        """Let ``transport`` reach the members that join with ``key``."""
        self._transports[key] = transport

    def deliver(self, fan_outs: Iterable[FanOut]) -> None:
        """Deliver fan-outs, then settle the hub if necessary."""
        self._deliver(fan_outs)
        if self.hub.unsettled:
            self.settle()

    def _deliver(self, fan_outs: Iterable[FanOut]) -> None:
        for fan_out in fan_outs:
            for group, count in fan_out.groups:
                payloads, senders = fan_out.for_group(group)
                transport = self._transports.get(group.transport)
                if transport is None:
                    # Its listener is closed.
                    continue
                failed = transport.deliver(payloads, senders, group, count)
                if failed:
                    self._count_undelivered(fan_out, group.transport, failed)

    def _count_undelivered(
        self, fan_out: FanOut, key: TransportKey, failed: Sequence[int | DropReason]
    ) -> None:
        now = self.now()
        for error in failed:
            self.hub.undelivered(fan_out.room, key, _reason(error), now)

    def settle(self) -> None:
        """Read the hub's queue, send and publish its output, set the timer."""
        while True:
            fan_outs = self.hub.control(self.now())
            # Replies first: a new member needs its WELCOME before the fan-outs.
            self._send_replies()
            self._deliver(fan_outs)
            if not fan_outs:
                break
        for event in self.hub.drain_events():
            self.publish(event)
        self._set_timer()

    def _send_replies(self) -> None:
        replies: dict[TransportKey, list[tuple[Source, bytes]]] = {}
        for reply in self.hub.drain_replies():
            replies.setdefault(reply.transport, []).append((reply.source, reply.payload))
        for key, datagrams in replies.items():
            transport = self._transports.get(key)
            if transport is None:
                # It is closed.
                continue
            for error in transport.send_each(datagrams):
                self.hub.unanswered(key, _reason(error), self.now())

    def _set_timer(self) -> None:
        deadline = self.hub.next_deadline()
        if deadline is None or not self.listeners:
            return
        deadline = max(deadline, self._retry_at)
        delay = max(0.0, deadline - self.now())
        timer = self._timer
        if timer is None or not timer.active():
            self._timer = self.reactor.callLater(delay, self._deadline_reached)
        elif deadline != self._timer_due:
            timer.reset(delay)
        self._timer_due = deadline

    def check_deadline(self, now: float) -> None:
        """Run a deadline that is overdue because the reactor's clock was set back."""
        if self._timer is not None and self._timer.active() and self._timer_due < now:
            self._timer.cancel()
            self._deadline_reached()

    def _deadline_reached(self) -> None:
        try:
            self._deliver(self.hub.expire(self.now()))
        except Exception:
            self._log.failure("a deadline of the hub failed")
            # An immediate retry would repeat without end and starve everything else.
            self._retry_at = self.now() + FAILURE_DELAY
        self.settle()

    def _publish_statistics(self) -> None:
        try:
            for protocol in self.listeners.values():
                self.publish(protocol.statistics())
            for event in self.hub.roster.statistics():
                self.publish(event)
            self.publish(events.RelayStatistics(counts=self.hub.census.read()))
        except Exception:
            self._log.failure("the statistics failed")

    def send_farewell(self) -> None:
        """Stop reading, and notify session members that the relay stops."""
        for protocol in self.listeners.values():
            protocol.port.stopReading()
        self.hub.farewell()
        self._send_replies()

    def close(self) -> Deferred[Any]:
        """Close every listener; return a Deferred that fires when all are closed."""
        if self._statistics.running:
            self._statistics.stop()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        closed = []
        for name, protocol in self.listeners.items():
            protocol.count_receive_drops(self.now())
            self.publish(protocol.statistics())
            closed.append(protocol.port.stopListening())
            del self._transports[protocol.listener]
            self.publish(events.ListenerClosed(listener=name))
        self.listeners = {}
        return DeferredList([d for d in closed if d is not None])
