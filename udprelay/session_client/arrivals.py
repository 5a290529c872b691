"""What a member receives, from datagrams to events: in order, once, nothing lost silently."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from udprelay.protocol.wire.entries import FailedNotice, MissedNotice
from udprelay.protocol.wire.from_client import Missed, Nack, RosterRequest
from udprelay.protocol.wire.from_relay import Ack, Gone, Heartbeat, Members, Pong
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.sequenced import Data, Entry, Notice, Private
from udprelay.session_client.deliveries import Deliveries
from udprelay.session_client.events import Event
from udprelay.session_client.incoming import FIRST_QUESTION, PRIVATE, ROOM, Incoming
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.sealing import Sealing

Arrival: TypeAlias = Data | Entry | Private | Notice | Ack | Gone | Heartbeat | Pong | Members
Question: TypeAlias = Nack | RosterRequest | Missed

# What an entry or a notice takes up while it is held; both are small.
_CONTROL = 512


class Arrivals:
    """
    The receiving half of a membership; lives as long as it, over all its sessions.

    Once a client is a member, nothing here raises, whatever the relay sends.

    :param identity: the client's own.
    :param recover: see :class:`~udprelay.session_client.settings.Settings`.
    :param sealing: opens and checks; None in a room without a passphrase.
    :param wait: returns the retransmission timeout, in seconds.
    :ivar identity: as given; another counts from the next WELCOME on.
    :ivar tag: the room tag of the last WELCOME; None before the first.
    """

    def __init__(
        self,
        identity: bytes,
        recover: bool,
        sealing: Sealing | None,
        wait: Callable[[], float],
    ) -> None:
        self.identity = identity
        self.tag: bytes | None = None
        self._recover = recover
        self._wait = wait
        # The members of a room that misses something are not to ask for it all at once.
        self._first_question = FIRST_QUESTION * (1 + identity[0] / 256)
        self._session_id = b""
        self._in_session = False
        self._events: list[Event] = []
        self._questions: list[Question] = []
        self._deliveries = Deliveries(recover, sealing, self._events.append)
        self._room: Incoming[Data | Entry] = self._new_room(1)
        self._private: Incoming[Private | Notice] = self._new_private()
        # Of sequences that are over.
        self._duplicates = self._repaired = self._unkept = 0

    # What it is.

    @property
    def settled(self) -> int:
        """The room sequence up to which all has come, needs not come, or is lost."""
        return self._room.settled

    @property
    def number(self) -> int:
        """The client's member number; 0 before it is a member."""
        return self._deliveries.roster.number

    @property
    def nick(self) -> str:
        """The client's nick, as the relay has it, once it is a member."""
        return self._deliveries.roster.members[self._deliveries.roster.number].nick

    @property
    def members(self) -> Mapping[int, KnownMember]:
        """The members by their numbers, the client among them."""
        return self._deliveries.roster.members

    @property
    def received(self) -> int:
        """Messages received."""
        return self._deliveries.messages.received

    @property
    def lost(self) -> int:
        """Datagrams lost: those that events tell, and unreliable ones that were missed."""
        return self._deliveries.losses.lost + self._unkept + self._room.unkept

    @property
    def repaired(self) -> int:
        """Datagrams that came after they were asked for."""
        return self._repaired + self._room.repaired + self._private.repaired

    @property
    def duplicates(self) -> int:
        """Datagrams that were dropped, as they had come before."""
        return (
            self._duplicates
            + self._room.duplicates
            + self._private.duplicates
            + self._deliveries.messages.repeated
        )

    # What comes.

    def joined(self, welcome: Welcome, now: float) -> None:
        """Begin a session, or go on with the last one."""
        # First, so that whatever is deliverable now has not waited in the silence before.
        self._hear(now)
        new_room = welcome.tag != self.tag
        if new_room:
            self._count(self._room)
            self._room = self._new_room(welcome.first)
            self._deliveries.leave_room()
        else:
            self._deliver(self._room.skip_to(welcome.first, now), now)
            self._room.resume(now)
        if welcome.session_id != self._session_id:
            if not new_room:
                self._deliver(self._private.give_up(now), now)
            self._count(self._private)
            self._private = self._new_private()
        else:
            self._private.resume(now)
        self.tag, self._session_id, self._in_session = welcome.tag, welcome.session_id, True
        self._deliveries.welcome(welcome, new_room, self.identity, now)
        self._deliver(self._room.newest(welcome.newest, now, certain=True), now)
        self._deliver(self._private.newest(welcome.newest_private, now, certain=True), now)
        self._settle(now)

    def sent(self, now: float) -> None:
        """Note that something unreliable was sent to the room: some of what is missing is that."""
        self._room.sent(now)

    def lost_contact(self, now: float) -> None:
        """Ask for nothing, and give up nothing, until :meth:`joined`."""
        self._in_session = False
        self._questions.clear()
        self._room.pause()
        self._private.pause()

    def take(self, arrival: Arrival, now: float) -> None:
        """Take a datagram with the id of this session or the tag of this room."""
        self._hear(now)
        _TAKES[type(arrival)](self, arrival, now)
        self._settle(now)

    def renamed(self, nick: str) -> None:
        """Note the client's own nick, as NICKED tells it."""
        self._deliveries.roster.renamed(nick)

    # What follows.

    @property
    def deadline(self) -> float | None:
        """When :meth:`expire` should be called next."""
        deadlines = [
            self._room.deadline,
            self._private.deadline,
            *self._deliveries.deadlines(self._in_session),
        ]
        return min((at for at in deadlines if at is not None), default=None)

    def expire(self, now: float) -> None:
        """Do what is due."""
        self._deliveries.expire(now, self._in_session)
        self._settle(now)

    def take_events(self) -> list[Event]:
        """Return what has happened, in order."""
        events = self._events.copy()
        self._events.clear()
        return events

    def take_doubt(self) -> bool:
        """Return, once, whether PING is to ask whether the relay is there, and how far."""
        # Not the one or the other: both are asked by one PING.
        return any([self._room.take_doubt(), self._private.take_doubt()])

    def take_questions(self) -> list[Question]:
        """Return what to send to the relay now."""
        questions, self._questions = self._questions, []
        return questions

    def take_notices(self) -> list[MissedNotice | FailedNotice]:
        """Return what the relay has told of the client's own messages, in order, once."""
        notices, self._deliveries.notices = self._deliveries.notices, []
        return notices

    # The sequences.

    def _data(self, data: Data, now: float) -> None:
        at_once = not data.flags & RELIABLE
        size = len(data.payload)
        self._deliver(self._room.take(data.sequence, data, now, size, at_once), now)

    def _entry(self, entry: Entry, now: float) -> None:
        self._deliver(self._room.take(entry.sequence, entry, now, _CONTROL), now)

    def _private_data(self, private: Private, now: float) -> None:
        if private.sequence:
            size = len(private.payload)
            self._deliver(self._private.take(private.sequence, private, now, size), now)
        else:
            self._deliver([private], now)

    def _notice(self, notice: Notice, now: float) -> None:
        self._deliver(self._private.take(notice.sequence, notice, now, _CONTROL), now)

    def _ack(self, ack: Ack, now: float) -> None:
        self._deliver(self._room.own(ack.ranges, now), now)

    def _gone(self, gone: Gone, now: float) -> None:
        if gone.stream == ROOM:
            self._deliver(self._room.gone(gone.ranges, now), now)
        else:
            self._deliver(self._private.gone(gone.ranges, now), now)

    def _heartbeat(self, heartbeat: Heartbeat, now: float) -> None:
        self._deliver(self._room.newest(heartbeat.newest, now), now)

    def _pong(self, pong: Pong, now: float) -> None:
        self._deliveries.losses.reports.answered(pong.token)
        self._deliver(self._room.newest(pong.newest, now, certain=True), now)
        self._deliver(self._private.newest(pong.newest_private, now, certain=True), now)

    def _page(self, members: Members, now: float) -> None:
        self._deliver(self._room.newest(members.newest, now, certain=True), now)
        self._deliveries.page(members, now)

    def _new_room(self, first: int) -> Incoming[Data | Entry]:
        return Incoming(ROOM, first, self._wait, self._recover, self._first_question)

    def _new_private(self) -> Incoming[Private | Notice]:
        # There are few, and nothing else would tell that one has failed.
        return Incoming(PRIVATE, 1, self._wait, first_question=self._first_question)

    def _count(self, over: Incoming[Any]) -> None:
        self._duplicates += over.duplicates
        self._repaired += over.repaired
        self._unkept += over.unkept

    # What follows from it.

    def _hear(self, now: float) -> None:
        self._room.hear()
        self._private.hear()
        self._deliveries.hear(now)

    def _deliver(self, items: Iterable[Data | Entry | Private | Notice], now: float) -> None:
        # First the holes: what comes behind them shows whose messages were in them.
        for first, count in self._room.take_holes():
            self._deliveries.hole(first, count, now)
        for _, count in self._private.take_holes():
            self._deliveries.losses.tell(count, None)
        self._deliveries.take(items, now)

    def _settle(self, now: float) -> None:
        self._deliver(self._room.expire(now), now)
        self._deliver(self._private.expire(now), now)
        self._deliveries.settled(self._room.settled, now)
        if not self._in_session:
            return
        for incoming in (self._room, self._private):
            for ranges in incoming.take_nacks():
                self._questions.append(Nack(self._session_id, incoming.stream, ranges))
        self._questions += self._deliveries.ask(self._session_id, now)


_TAKES: Mapping[type[Arrival], Callable[[Arrivals, Any, float], None]] = {
    Data: Arrivals._data,
    Entry: Arrivals._entry,
    Private: Arrivals._private_data,
    Notice: Arrivals._notice,
    Ack: Arrivals._ack,
    Gone: Arrivals._gone,
    Heartbeat: Arrivals._heartbeat,
    Pong: Arrivals._pong,
    Members: Arrivals._page,
}
