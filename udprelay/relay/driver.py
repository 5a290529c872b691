"""What the owner of a hub does, once: delivers, replies, publishes, and knows when it is due."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from udprelay.relay.drops import DropReason
from udprelay.relay.events import Event
from udprelay.relay.fan_out import FanOut
from udprelay.relay.hub import Hub
from udprelay.relay.room import Group, Listener, Member
from udprelay.relay.transport import Transport
from udprelay.segments import Source, SourceRun


class HubDriver:
    """
    Runs a hub: every call of the hub that has output goes through here.

    :param now: returns the hub's time.
    :param publish: is called with every event.
    :param wake: is called with the time at which :meth:`expire` is due, whenever it may have
        changed.
    """

    def __init__(
        self,
        hub: Hub,
        now: Callable[[], float],
        publish: Callable[[Event], None],
        wake: Callable[[float | None], None] = lambda deadline: None,
    ) -> None:
        self.hub = hub
        self.now = now
        self.publish = publish
        self._wake = wake

    def receive(self, listener: Listener, batch: Sequence[SourceRun], now: float) -> None:
        """Relay what a listener has read."""
        try:
            self._deliver(self.hub.receive(listener, batch, now), now)
        finally:
            if self.hub.unsettled:
                self.settle()

    def send(self, member: Member, payload: bytes) -> None:
        """Relay what a local member sends to its room."""
        now = self.now()
        try:
            self._deliver(self.hub.send(member, payload, now), now)
        finally:
            self.settle()

    def expire(self) -> None:
        """Do what is due."""
        now = self.now()
        try:
            self._deliver(self.hub.expire(now), now)
        finally:
            self.settle()

    def settle(self) -> None:
        """Let the hub read its queue, send and publish its output, say when it is due."""
        now = self.now()
        try:
            while True:
                fan_outs = self.hub.control(now)
                try:
                    # Replies first: a new member needs its WELCOME before the fan-outs.
                    self.send_replies()
                finally:
                    self._deliver(fan_outs, now)
                if not fan_outs:
                    break
        finally:
            for listener, sources in self.hub.drain_filters():
                listener.transport.filter(sources)
            for event in self.hub.drain_events():
                self.publish(event)
            self._wake(self.hub.next_deadline())

    def send_replies(self) -> None:
        """Send the datagrams for single sources."""
        replies: dict[Transport, list[tuple[Source, bytes]]] = {}
        for transport, source, payload in self.hub.drain_replies():
            replies.setdefault(transport, []).append((source, payload))
        error = None
        for transport, datagrams in replies.items():
            try:
                failed = transport.reply(datagrams)
            except Exception as raised:
                error = error or raised
                continue
            for reason in failed:
                self.hub.unanswered(transport, reason, self.now())
        if error is not None:
            raise error

    def _deliver(self, fan_outs: Iterable[FanOut], now: float) -> None:
        error = None
        for fan_out in fan_outs:
            for group, count in fan_out.groups:
                runs = fan_out.rendered(group.rendering)
                try:
                    failed = group.transport.deliver(runs, group, count) if runs else ()
                except Exception as raised:
                    # The fault of a transport costs no other one its deliveries.
                    error = error or raised
                    continue
                if failed:
                    self._count(fan_out, group, failed, now)
        if error is not None:
            raise error

    def _count(
        self, fan_out: FanOut, group: Group, failed: Sequence[DropReason], now: float
    ) -> None:
        for reason, same in groupby(failed):
            self.hub.undelivered(fan_out.room, group, reason, now, len(list(same)))
