"""The hub with its sockets and its clock: batches in, fan-outs out, events to whoever listens."""

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
from udprelay.batch_udp.port import RelayPort
from udprelay.net.listener import ListenerProtocol
from udprelay.net.own_addresses import OwnAddresses
from udprelay.relay import events
from udprelay.relay.drops import DropReason
from udprelay.relay.fan_out import FanOut
from udprelay.relay.hub import Hub
from udprelay.relay.listener import Listener, Source
from udprelay.relay.room import Group, Member, Way
from udprelay.relay.rules import ListenerRules, RelayRules

AFTER_FAILURE = 1.0
"""Seconds until a deadline that has failed is tried again."""

NO_IPV6 = frozenset((errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL))


class CannotOpenError(Exception):
    """
    A listener cannot be opened.

    :ivar event: which one, and why.
    """

    def __init__(self, event: events.ListenerFailed) -> None:
        super().__init__(event.human())
        self.event = event


class DeliveryWay(Protocol):
    """A way to reach members."""

    def deliver(
        self, payloads: Sequence[bytes], senders: Sequence[Member], group: Group, count: int
    ) -> list[DropReason]:
        """
        Send each payload to each of a group's first ``count`` members but its sender.

        :return: why deliveries were not made, one reason for each of them.
        """


class Relay:
    """
    All listeners of one relay and the hub behind them.

    :param publish: is given every event.
    :param secret: 32 random bytes.
    :param statistics: seconds between two reports of all counters; 0 is never.
    :param clock: tells the hub's time. Not the reactor's: that is the time of day, which jumps.
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
        self._ways: dict[Way, DeliveryWay] = {}
        self._timer: IDelayedCall | None = None
        self._timer_due = 0.0
        self._statistics_period = statistics
        self._statistics = LoopingCall(self._say_statistics)
        self._statistics.clock = reactor
        self._not_before = 0.0
        self.hub = Hub(rules, secret, self._own.__contains__, clock())

    def open(self) -> None:
        """
        Bind every listener.

        :raises CannotOpenError: for the first that can't be; none stays bound.
        """
        for name, rules in self.hub.rules.listeners.items():
            try:
                self._open(name, rules)
            except CannotOpenError:
                self.stop_reading()
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
        own = port.own_endpoint()
        protocol.listener = self.hub.open_listener(name, port.read_endpoint)
        if isinstance(port, BatchPort):
            port.segments_refused = protocol.segments_refused
        self.listeners[name] = protocol
        self._own.add(own)
        self._ways[protocol.listener] = port
        receive_buffer, send_buffer = port.granted_buffers()
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

    def _bind(self, name: str, protocol: ListenerProtocol, rules: ListenerRules) -> RelayPort:
        kind = self._kind_of_port(name, rules)
        buffers = rules.receive_buffer, rules.send_buffer
        port = kind(rules.port, protocol, rules.interface, self.reactor, buffers)
        try:
            port.startListening()
        except CannotListenError as error:
            if rules.interface != "::" or error.socketError.errno not in NO_IPV6:
                raise
            port = kind(rules.port, protocol, "0.0.0.0", self.reactor, buffers)
            port.startListening()
        return port

    def _kind_of_port(self, name: str, rules: ListenerRules) -> type[RelayPort]:
        if not rules.batch:
            return RelayPort
        try:
            mmsg.load()
        except mmsg.UnavailableError as error:
            self.publish(events.ListenerUnbatched(listener=name, error=str(error)))
            return RelayPort
        return BatchPort

    def add_way(self, way: Way, deliver: DeliveryWay) -> None:
        """Let members joined with ``way`` be delivered to by ``deliver``."""
        self._ways[way] = deliver

    def carry_out(self, fan_outs: Iterable[FanOut]) -> None:
        """Deliver fan-outs, then do all else that the hub wants done."""
        self._deliver(fan_outs)
        if self.hub.unsettled:
            self.settle()

    def _deliver(self, fan_outs: Iterable[FanOut]) -> None:
        for fan_out in fan_outs:
            for group, count in fan_out.reach:
                payloads, senders = fan_out.for_group(group)
                way = self._ways.get(group.way)
                # None: its listener has been closed.
                failed = way.deliver(payloads, senders, group, count) if way is not None else []
                if failed:
                    self._undelivered(fan_out, group.way, failed)

    def _undelivered(self, fan_out: FanOut, way: Way, failed: list[DropReason]) -> None:
        now = self.now()
        for reason in failed:
            self.hub.undelivered(fan_out.room, way, reason, now)

    def settle(self) -> None:
        """Let the hub do what it has put aside, publish its events, set the timer."""
        while True:
            fan_outs = self.hub.control(self.now())
            # First, as one may tell somebody what the fan-outs are about.
            self.send_replies()
            self._deliver(fan_outs)
            if not fan_outs:
                break
        for event in self.hub.take_events():
            self.publish(event)
        self._set_timer()

    def send_replies(self) -> None:
        """Send what the hub has for single addresses."""
        replies: dict[Listener, list[tuple[Source, bytes]]] = {}
        for reply in self.hub.take_replies():
            replies.setdefault(reply.listener, []).append((reply.source, reply.payload))
        for listener, datagrams in replies.items():
            # None: it has been closed.
            protocol = self.listeners.get(listener.name)
            failed = protocol.port.send_each(datagrams) if protocol is not None else []
            for reason in failed:
                self.hub.drop(listener.name, listener.rules.room, reason, self.now())

    def _set_timer(self) -> None:
        deadline = self.hub.next_deadline()
        if deadline is None or not self.listeners:
            return
        deadline = max(deadline, self._not_before)
        delay = max(0.0, deadline - self.now())
        timer = self._timer
        if timer is None or not timer.active():
            self._timer = self.reactor.callLater(delay, self._deadline_reached)
        elif deadline != self._timer_due:
            timer.reset(delay)
        self._timer_due = deadline

    def check_deadline(self, now: float) -> None:
        """Do what is overdue because the reactor's clock was set back."""
        if self._timer is not None and self._timer.active() and self._timer_due < now:
            self._timer.cancel()
            self._deadline_reached()

    def _deadline_reached(self) -> None:
        try:
            self._deliver(self.hub.expire(self.now()))
        except Exception:
            self._log.failure("a deadline of the hub failed")
            # It is still due: at once again, it would leave nothing else its turn.
            self._not_before = self.now() + AFTER_FAILURE
        self.settle()

    def _say_statistics(self) -> None:
        try:
            for protocol in self.listeners.values():
                self.publish(protocol.statistics())
            for event in self.hub.roster.statistics():
                self.publish(event)
        except Exception:
            self._log.failure("statistics can't be said")

    def say_farewell(self) -> None:
        """Read no more, and tell session members that the relay stops."""
        for protocol in self.listeners.values():
            protocol.port.stopReading()
        self.hub.farewell()
        self.send_replies()

    def stop_reading(self) -> Deferred[Any]:
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
            del self._ways[protocol.listener]
            self.publish(events.ListenerClosed(listener=name))
        self.listeners = {}
        return DeferredList([d for d in closed if d is not None])
