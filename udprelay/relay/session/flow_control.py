"""
Flow control: reliable senders wait for receivers before these lose what leaves the history.

A receiver that reports what it has settled has a *place* in the room sequence, and one in its
private sequence. While it is more than :data:`FULL` of the history behind, reliable datagrams
stay in the receive windows of their senders. Places are only read when the space that they left
is used up: datagrams cost no more than the comparison with a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from operator import attrgetter
from typing import TypeVar, cast

from udprelay.protocol.wire.from_client import Ping, PrivateUp
from udprelay.protocol.wire.from_relay import Waiting
from udprelay.relay import events
from udprelay.relay.census import Census
from udprelay.relay.drops import DropReason
from udprelay.relay.memory import Memory, Pool
from udprelay.relay.output import Output
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.room_log import log_of
from udprelay.relay.session.schedule import Schedule
from udprelay.relay.session.sequences import MAX_DATAGRAMS, ReceiveWindow
from udprelay.relay.session.waits import MAX_WAIT, RoomFlow, Wait, WaitTime

T = TypeVar("T")

FULL = 0.75
"""Part of a history; senders wait for a receiver that is farther behind."""
RELEASED = 0.5
"""Part of a history; senders wait no more for a receiver that is not farther behind."""
TICK = 0.25
"""Seconds from one look at the waits to the next."""
TICKS_UNTOLD = 4
"""Ticks until senders are told; receivers are asked at each of these, then at each fourth."""
MAX_TOLD = 8
"""Receivers that a sender is told of."""

_place = attrgetter("place")


class FlowControl:
    """
    Stores reliable datagrams that came early or that wait, and says which may be relayed.

    :ivar deadline: when :meth:`expire` should be called next, or infinity.
    :ivar ended: waits that have ended; :meth:`release` is due.
    """

    def __init__(self, output: Output, schedule: Schedule, memory: Memory, census: Census) -> None:
        self.deadline = inf
        self._output = output
        self._schedule = schedule
        self._memory = memory
        self._running: dict[Wait[SessionMember], None] = {}
        self.ended: list[Wait[SessionMember]] = []
        census.add("early.bytes", lambda: memory.size(Pool.EARLY))
        census.add("early.waiting", lambda: sum(len(wait.senders) for wait in self._running))

    # Members and their reports.

    def watch(self, session: SessionMember, first: int) -> None:
        """
        Wait for a member from now on: it reports by PING what it has settled.

        :param first: the room sequence that it has next.
        """
        session.reports = True
        self._note(session, first - 1, 0)

    def report(self, session: SessionMember, ping: Ping, now: float) -> None:
        """Note what a member has settled."""
        if not session.reports:
            return
        self._note(session, ping.settled, ping.settled_private or 0)
        flow, history = session.flow, log_of(session).history
        if session in flow.receivers and history.share_after(session.place) <= RELEASED:
            self._end(flow, session, "caught up", now)
        wait, behind = session.private_wait, session.private.newest - session.private_place
        if wait is not None and wait.receivers and behind <= RELEASED * MAX_DATAGRAMS:
            self._end(wait, session, "caught up", now)

    def _note(self, session: SessionMember, settled: int, settled_private: int) -> None:
        log, private = log_of(session), session.private.newest
        length = log.history.length
        if session.place < inf:
            session.place = max(session.place, min(settled, log.newest))
        elif length and log.newest - settled <= RELEASED * length:
            # Only who has caught up is waited for: others would hold the room again and again.
            session.place = min(settled, log.newest)
            session.flow.limit = -inf
        if session.private_place < inf:
            session.private_place = max(session.private_place, min(settled_private, private))
        elif private - settled_private <= RELEASED * MAX_DATAGRAMS:
            session.private_place = min(settled_private, private)

    def forget(self, session: SessionMember, now: float) -> None:
        """Forget a member that is about to leave."""
        session.flow.senders.pop(session, None)
        self.stop_waiting(session)
        for wait in (session.flow, session.private_wait):
            if wait is not None and session in wait.receivers:
                self._end(wait, session, "left", now)

    def stop_waiting(self, session: SessionMember) -> None:
        """Let the private datagrams of a session wait for nobody."""
        message = session.private_window.first
        if message is not None:
            receiver = log_of(session).by_identity.get(message.receiver)
            wait = receiver.private_wait if receiver is not None else None
            if wait is not None:
                wait.senders.pop(session, None)

    # Reliable datagrams.

    def store(
        self, session: SessionMember, window: ReceiveWindow[T], own: int, item: T, now: float
    ) -> None:
        """
        Store an item of a session until it is :meth:`ready`.

        :param own: its sequence in ``window``.
        """
        self._schedule.acks[session] = None
        size = window.size(item)
        waits = own != window.next or session.flow.receivers
        if waits and not self._memory.has_share(Pool.EARLY, session.buffered_bytes, size, now):
            self._output.drop_from(session, DropReason.EARLY_LIMIT, now)
        elif window.store(own, item):
            self.count(size)
        else:
            self._output.drop_from(session, DropReason.REPEATED, now)

    def count(self, size: int) -> None:
        """Count so many bytes of stored datagrams more, or less."""
        self._memory.change(Pool.EARLY, size)

    def fits(self, session: SessionMember, accepted: float) -> bool:
        """Return whether a room may have accepted so much; look at the places for that."""
        flow = session.flow
        if not flow.receivers:
            _set_limit(session)
        return accepted <= flow.limit

    def ready(self, session: SessionMember, now: float) -> Iterator[bytes]:
        """
        Yield and remove the DATA of a session that may be relayed now, in its order.

        Of a client that does not report, all goes in one: earlier versions do not take a
        datagram for received that ACK has first in the bitmap, then as ``next``.
        """
        window, flow, goes_on = session.window, session.flow, False
        while (datagram := window.first) is not None:
            if flow.accepted > flow.limit and not goes_on and not self._may_accept(session, now):
                flow.senders[session] = None
                return
            goes_on = not session.reports
            flow.accepted += flow.share(len(datagram))
            yield self._pop(session, window)

    def ready_private(self, session: SessionMember, now: float) -> Iterator[PrivateUp]:
        """As :meth:`ready`, for PRIVATE."""
        window, members, goes_on = session.private_window, log_of(session).by_identity, False
        while (message := window.first) is not None:
            receiver = members.get(message.receiver)
            if receiver is not None and not goes_on and not self._may_send(receiver, now):
                cast(Wait[SessionMember], receiver.private_wait).senders[session] = None
                return
            goes_on = not session.reports
            yield self._pop(session, window)

    def _pop(self, session: SessionMember, window: ReceiveWindow[T]) -> T:
        self._schedule.acks[session] = None
        buffered = window.buffered_bytes
        item = window.pop()
        self.count(window.buffered_bytes - buffered)
        return item

    # Waits.

    def _may_accept(self, session: SessionMember, now: float) -> bool:
        """Return whether one more datagram of a session may be accepted; if not, wait."""
        flow, log = session.flow, log_of(session)
        while not flow.receivers:
            _set_limit(session)
            if flow.accepted <= flow.limit:
                return True
            members = log.by_identity.values()
            behind = [one for one in members if _limit(one, session) < flow.accepted]
            # If the time for all of these is up, they have no place any more.
            self._begin(flow, behind, now)
        return False

    def _may_send(self, receiver: SessionMember, now: float) -> bool:
        """Return whether one more private datagram may be sent to a receiver; if not, wait."""
        if receiver.private.newest - receiver.private_place <= FULL * MAX_DATAGRAMS:
            return True
        if receiver.private_wait is None:
            receiver.private_wait = Wait(receiver.flow.time)
        wait = receiver.private_wait
        if not wait.receivers:
            self._begin(wait, [receiver], now)
        return not wait.receivers

    def _begin(
        self, wait: Wait[SessionMember], receivers: list[SessionMember], now: float
    ) -> None:
        """Begin a wait for those receivers for which there is time left."""
        room = wait.time.left(now)
        for receiver in receivers:
            receiver.waited = receiver.waited or WaitTime(MAX_WAIT)
            if min(room, receiver.waited.left(now)) >= TICK:
                wait.receivers[receiver] = None
                receiver.waited.start(now)
            else:
                _give_up(wait, receiver)
        if not wait.receivers:
            return
        wait.time.start(now)
        wait.since, wait.ticks = now, 0
        self._running[wait] = None
        self._tell(wait)
        if self.deadline == inf:
            self.deadline = now + TICK
            self._output.deadline_nearer = True

    def _end(
        self, wait: Wait[SessionMember], receiver: SessionMember, outcome: str, now: float
    ) -> None:
        """Wait no more for a receiver, and end the wait if there is no other."""
        del wait.receivers[receiver]
        cast(WaitTime, receiver.waited).stop(now)
        if wait.ticks >= TICKS_UNTOLD:
            seconds = round(now - wait.since, 3)
            fields = receiver.event_fields()
            self._output.emit(events.MemberAwaited(**fields, seconds=seconds, outcome=outcome))
        if wait.receivers:
            return
        wait.time.stop(now)
        if isinstance(wait, RoomFlow):
            wait.limit = -inf
        del self._running[wait]
        self.ended.append(wait)
        self._output.deadline_nearer = True
        self._tell(wait)

    def _tell(self, wait: Wait[SessionMember]) -> None:
        """Ask the receivers of a wait for a report; tell its senders whom they wait for."""
        for receiver in wait.receivers:
            self._output.send_to(receiver, Waiting(receiver.id, (receiver.number,)).encode())
        if wait.ticks < TICKS_UNTOLD:
            return
        numbers = tuple(receiver.number for receiver in wait.receivers)[:MAX_TOLD]
        for sender in wait.senders:
            self._output.send_to(sender, Waiting(sender.id, numbers).encode())

    def expire(self, now: float) -> None:
        """End the waits that have lasted too long, and tell of the others."""
        if now < self.deadline:
            return
        for wait in list(self._running):
            wait.ticks += 1
            room = wait.time.left(now)
            for receiver in list(wait.receivers):
                if min(room, cast(WaitTime, receiver.waited).left(now)) < TICK:
                    _give_up(wait, receiver)
                    self._end(wait, receiver, "too slow", now)
            if wait.receivers and (wait.ticks <= TICKS_UNTOLD or not wait.ticks % TICKS_UNTOLD):
                self._tell(wait)
        self.deadline = now + TICK if self._running else inf

    def release(
        self,
        release: Callable[[SessionMember, float], None],
        release_private: Callable[[SessionMember, float], None],
        now: float,
    ) -> None:
        """Relay what has waited and may be relayed now."""
        ended, self.ended = self.ended, []
        for wait in ended:
            senders, wait.senders = wait.senders, {}
            for sender in senders:
                if sender.slot >= 0:
                    (release if isinstance(wait, RoomFlow) else release_private)(sender, now)


def _set_limit(session: SessionMember) -> None:
    """Set the limit of a room for a sender in it."""
    others = (one for one in log_of(session).by_identity.values() if one is not session)
    slowest = min(others, key=_place, default=session)
    session.flow.limit = min(_limit(slowest, session), _limit(session, session))


def _limit(member: SessionMember, sender: SessionMember) -> float:
    """Return what may be accepted in a room until a member is too far behind."""
    if member.place == inf:
        return inf
    history = log_of(member).history
    # What is accepted and not in the history yet may be the sender's own.
    filled = member.flow.accepted if member is sender else history.filled
    return filled + FULL - history.share_after(member.place)


def _give_up(wait: Wait[SessionMember], receiver: SessionMember) -> None:
    """Wait for a receiver no more, until it has caught up."""
    if isinstance(wait, RoomFlow):
        receiver.place = inf
    else:
        receiver.private_place = inf
