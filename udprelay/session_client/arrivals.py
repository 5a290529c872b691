"""The receiving half of the client: from datagrams to events, in order, without duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from udprelay.protocol.wire.from_client import Missed, Nack, RosterRequest
from udprelay.protocol.wire.from_relay import Ack, Gone, Heartbeat, Members, Pong
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.sequenced import Data, Entry, Notice, Private
from udprelay.session_client.dispatcher import Dispatcher
from udprelay.session_client.events import Event
from udprelay.session_client.incoming import FIRST_NACK_DELAY, PRIVATE, ROOM, Incoming
from udprelay.session_client.liveness import Liveness
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.settings import Statistics

Arrival: TypeAlias = Data | Entry | Private | Notice | Ack | Gone | Heartbeat | Pong | Members
Request: TypeAlias = Nack | RosterRequest | Missed

# Bytes counted for an entry or a notice in a reorder buffer.
_CONTROL_SIZE = 512


class Arrivals:
    """
    Receives the datagrams of all sessions of a client.

    After :meth:`start_session`, nothing here raises, whatever the relay sends.

    :param identity: the client's first one, which varies the delay of its NACKs.
    :param recover: see :class:`~udprelay.session_client.settings.Settings`.
    :param sealing: opens and checks; None in a room without a passphrase.
    :param liveness: as for :class:`Incoming`.
    :param statistics: counts messages and losses.
    :ivar tag: the room tag of the last WELCOME; None before the first.
    :ivar events: to be emitted; the owner removes them.
    :ivar requests: to be sent; the owner removes them.
    :ivar notices: about the client's own messages; the owner removes them.
    :ivar roster: the members of the room.
    :ivar room: the room sequence.
    """

    def __init__(
        self,
        identity: bytes,
        recover: bool,
        sealing: Sealing | None,
        liveness: Liveness,
        statistics: Statistics,
    ) -> None:
        self.tag: bytes | None = None
        self.events: list[Event] = []
        self.requests: list[Request] = []
        self._recover = recover
        self._liveness = liveness
        self._statistics = statistics
        # The members of a room should not all request the same loss at once.
        self._first_nack_delay = FIRST_NACK_DELAY * (1 + identity[0] / 256)
        self._session_id = b""
        self._in_session = False
        self._dispatcher = Dispatcher(recover, sealing, self.events.append, statistics)
        self.notices = self._dispatcher.notices
        self.roster = self._dispatcher.roster
        self.room: Incoming[Data | Entry] = self._sequence(ROOM, 1)
        self._private: Incoming[Private | Notice] = self._sequence(PRIVATE, 1)

    # Input.

    def start_session(self, welcome: Welcome, identity: bytes, now: float) -> None:
        """Begin a session with an identity, or resume the last one."""
        # Before anything is deliverable: the outage must not count for its timeouts.
        self._note_contact(now)
        new_room = welcome.tag != self.tag
        if new_room:
            self.room = self._sequence(ROOM, welcome.first)
        else:
            self._dispatch(self.room.skip_to(welcome.first, now), now)
            self.room.resume(now)
        if welcome.session_id != self._session_id:
            if not new_room:
                self._dispatch(self._private.give_up(now), now)
            self._private = self._sequence(PRIVATE, 1)
        else:
            self._private.resume(now)
        self.tag, self._session_id, self._in_session = welcome.tag, welcome.session_id, True
        self._dispatcher.start_session(welcome, new_room, identity, now)
        self._note_newest(welcome.newest, welcome.newest_private, now)
        self._advance(now)

    def end_session(self) -> None:
        """Request nothing and lose nothing until :meth:`start_session`."""
        self._in_session = False
        self.requests.clear()
        self.room.pause()
        self._private.pause()

    def receive(self, arrival: Arrival, now: float) -> None:
        """Receive a datagram with the id of this session or the tag of this room."""
        self._note_contact(now)
        items: Sequence[Data | Entry | Private | Notice] = ()
        match arrival:
            case Data(sequence=sequence):
                size, at_once = len(arrival.payload), not arrival.flags & RELIABLE
                items = self.room.receive(sequence, arrival, now, size, at_once)
            case Entry(sequence=sequence):
                items = self.room.receive(sequence, arrival, now, _CONTROL_SIZE)
            case Private(sequence=0):
                items = (arrival,)
            case Private(sequence=sequence) | Notice(sequence=sequence):
                size = len(arrival.payload) if isinstance(arrival, Private) else _CONTROL_SIZE
                items = self._private.receive(sequence, arrival, now, size)
            case Ack():
                items = self.room.settle_own(arrival.ranges, now)
            case Gone():
                incoming = self.room if arrival.stream == ROOM else self._private
                items = incoming.settle_gone(arrival.ranges, now)
            case Heartbeat():
                items = self.room.note_newest(arrival.newest, now)
            case Pong():
                self._dispatcher.losses.reports.acknowledge(arrival.token)
                self._note_newest(arrival.newest, arrival.newest_private, now)
            case _:
                # MEMBERS, the only other one.
                self._dispatch(self.room.note_newest(arrival.newest, now, confirmed=True), now)
                self._dispatcher.receive_page(arrival, now)
        self._dispatch(items, now)
        self._advance(now)

    # Output.

    @property
    def settled(self) -> tuple[int, int]:
        """The numbers up to which the room and the private sequence are settled."""
        return self.room.settled, self._private.settled

    @property
    def deadline(self) -> float:
        """When :meth:`expire` should be called next."""
        dispatcher = self._dispatcher.deadline(self._in_session)
        return min(self.room.deadline, self._private.deadline, dispatcher)

    def expire(self, now: float) -> None:
        """Do what is due."""
        self._dispatcher.expire(now, self._in_session)
        self._advance(now)

    # Steps.

    def _sequence(self, stream: int, first: int) -> Incoming[Any]:
        # Private messages are always recovered: few, and nothing else reports their failure.
        recover = self._recover or stream == PRIVATE
        return Incoming(
            stream, first, self._liveness, self._statistics, recover, self._first_nack_delay
        )

    def _note_contact(self, now: float) -> None:
        self.room.note_contact()
        self._private.note_contact()
        self._dispatcher.note_contact(now)

    def _note_newest(self, newest: int, newest_private: int, now: float) -> None:
        self._dispatch(self.room.note_newest(newest, now, confirmed=True), now)
        self._dispatch(self._private.note_newest(newest_private, now, confirmed=True), now)

    def _dispatch(self, items: Sequence[Data | Entry | Private | Notice], now: float) -> None:
        # Losses first: the items behind them show whose datagrams are lost.
        for first, count in self.room.lost:
            self._dispatcher.losses.add_unattributed(count, now)
            self.roster.requests.request_all(first + count - 1, now)
        for _, count in self._private.lost:
            self._dispatcher.losses.report(count, None)
        self.room.lost.clear()
        self._private.lost.clear()
        self._dispatcher.dispatch(items, now)

    def _advance(self, now: float) -> None:
        self._dispatch(self.room.expire(now), now)
        self._dispatch(self._private.expire(now), now)
        self._dispatcher.settle(self.room.settled, now)
        if not self._in_session:
            return
        for incoming in (self.room, self._private):
            for ranges in incoming.nacks:
                self.requests.append(Nack(self._session_id, incoming.stream, ranges))
            incoming.nacks.clear()
        self.requests += self._dispatcher.next_requests(self._session_id, now)
