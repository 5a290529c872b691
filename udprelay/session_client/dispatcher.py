"""Passes deliverable items on: entries to the roster, messages to the client's user."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from math import inf

from attrs import define, field

from udprelay.protocol.wire.entries import JoinEntry, NoticeBody
from udprelay.protocol.wire.from_client import Missed, RosterRequest
from udprelay.protocol.wire.from_relay import Members
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.sequenced import Data, Entry, Notice, Private
from udprelay.session_client.events import Event
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.losses import Losses
from udprelay.session_client.messages import Messages
from udprelay.session_client.roster import Roster
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.settings import Statistics
from udprelay.session_client.suspicions import Suspicions

MAX_ANSWER_TIME = 1.0
"""Seconds without a datagram of the relay that are no sign of an outage."""
OUTAGE_TIME = 15.0
"""Seconds without a datagram of the relay, PONG included, that show an outage, or a suspend."""
ROSTER_TIMEOUT = 10.0
"""Seconds that messages wait for the roster to name their sender."""
MAX_WAITING_BYTES = 2**20
"""Bytes of all messages that wait so."""
# Counted for each datagram besides its payload.
_DATAGRAM_OVERHEAD = 256


@define
class _Waiting:
    until: float
    datagrams: list[Data | Private] = field(factory=list)
    size: int = 0


class UnknownSenders:
    """The messages of unknown senders, by member number."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._size = 0

    def __contains__(self, number: int) -> bool:
        return number in self._waiting

    @property
    def numbers(self) -> list[int]:
        """The member numbers of the unknown senders."""
        return list(self._waiting)

    @property
    def deadline(self) -> float:
        """When :meth:`due` should be called next."""
        return next((waiting.until for waiting in self._waiting.values()), inf)

    def add(self, datagram: Data | Private, now: float) -> None:
        """Add a datagram behind the earlier ones of its sender."""
        waiting = self._waiting.setdefault(datagram.number, _Waiting(now + ROSTER_TIMEOUT))
        size = len(datagram.payload) + _DATAGRAM_OVERHEAD
        waiting.datagrams.append(datagram)
        waiting.size += size
        self._size += size

    def first(self, number: int) -> Data | Private:
        """Return the first datagram of a sender."""
        return self._waiting[number].datagrams[0]

    def pop(self, number: int) -> list[Data | Private]:
        """Remove and return the datagrams of a sender, in order."""
        waiting = self._waiting.pop(number)
        self._size -= waiting.size
        return waiting.datagrams

    def due(self, now: float) -> list[int]:
        """Return the senders whose timeout has passed, or that exceed the limit in bytes."""
        due = []
        excess = self._size - MAX_WAITING_BYTES
        for number, waiting in self._waiting.items():
            if waiting.until > now and excess <= 0:
                break
            excess -= waiting.size
            due.append(number)
        return due

    def postpone(self, seconds: float) -> None:
        """Extend all timeouts: the relay could not answer for so long."""
        for waiting in self._waiting.values():
            waiting.until += seconds

    def clear(self) -> None:
        """Drop all waiting messages."""
        self._waiting.clear()
        self._size = 0


class Dispatcher:
    """
    Passes on items in order; those of unknown senders wait for the roster.

    :param recover: see :class:`~udprelay.session_client.settings.Settings`.
    :param sealing: opens and checks; None in a room without a passphrase.
    :param emit: receives events.
    :param statistics: counts messages and losses.
    :ivar notices: what the relay has reported about the client's own messages.
    """

    def __init__(
        self,
        recover: bool,
        sealing: Sealing | None,
        emit: Callable[[Event], None],
        statistics: Statistics,
    ) -> None:
        self._suspicions = Suspicions(emit)
        self.losses = Losses(emit, statistics)
        self.messages = Messages(recover, sealing, self.losses, self._suspicions, emit, statistics)
        self.roster = Roster(sealing, self._suspicions, emit)
        self.notices: list[NoticeBody] = []
        self._unknown_senders = UnknownSenders()
        self._last_contact = 0.0
        self._tag = b""

    def start_session(self, welcome: Welcome, new_room: bool, identity: bytes, now: float) -> None:
        """Begin a session; parameters as for :meth:`Roster.start_session`."""
        self._tag = welcome.tag
        if new_room:
            # The other room sequence repeats the reliable datagrams of the last one.
            self._unknown_senders.clear()
            self.losses.leave_room()
        self.messages.restart_timeouts(now)
        self.roster.start_session(welcome, new_room, identity, now)
        self._release(self._unknown_senders.numbers, now)

    def note_contact(self, now: float) -> None:
        """Note that a datagram of the relay was received."""
        silence = now - self._last_contact
        if silence > MAX_ANSWER_TIME:
            self._unknown_senders.postpone(silence - MAX_ANSWER_TIME)
        if silence > OUTAGE_TIME:
            self.messages.restart_timeouts(now)
        self._last_contact = now
        self.losses.reports.note_contact()

    def dispatch(self, items: Iterable[Data | Entry | Private | Notice], now: float) -> None:
        """Pass on deliverable items."""
        for item in items:
            if isinstance(item, Entry):
                self._apply_entry(item, now)
            elif isinstance(item, Notice):
                if item.body is not None:
                    self.notices.append(item.body)
            else:
                self._receive_data(item, now)

    def receive_page(self, members: Members, now: float) -> None:
        """Receive a page of the roster."""
        self.roster.receive_page(members, now)
        # Their messages are settled before the own sequences that the page reports.
        self._release(self._unknown_senders.numbers, now)

    def settle(self, sequence: int, now: float) -> None:
        """Apply what was waiting for the room to be settled up to a sequence, or for its time."""
        for number in self._unknown_senders.due(min(now, self._last_contact + MAX_ANSWER_TIME)):
            self._deliver_all(number, now)
        changes, pages = self.roster.settle(sequence, now)
        if pages:
            self.losses.deduct_entries(changes)
            for page in pages:
                for member, own in page.members.values():
                    self._settle_sender(member, own)
            self._release(self._unknown_senders.numbers, now)
        if not self.roster.updating:
            self.losses.close()

    def next_requests(self, session_id: bytes, now: float) -> Iterable[RosterRequest | Missed]:
        """Yield what to send to the relay now."""
        number = self.roster.next_request(now)
        if number is not None:
            yield RosterRequest(session_id, number)
        report = self.losses.reports.next_missed(self.roster.members, now, self.roster.updating)
        if report is not None:
            yield Missed(session_id, *report)

    def deadline(self, in_session: bool) -> float:
        """Return when to call :meth:`expire`, and :meth:`next_requests` if in a session."""
        deadlines = [self._suspicions.deadline, self.roster.deadline, self.losses.deadline]
        if self._unknown_senders.deadline <= self._last_contact + MAX_ANSWER_TIME:
            deadlines.append(self._unknown_senders.deadline)
        if in_session:
            deadlines += [self.roster.request_deadline, self.losses.reports.deadline]
            if self.messages.deadline <= self._last_contact + OUTAGE_TIME:
                deadlines.append(self.messages.deadline)
        return min(deadlines)

    def expire(self, now: float, in_session: bool) -> None:
        """Do what is due; timeouts of incomplete messages do not run during an outage."""
        if in_session:
            self.messages.expire(min(now, self._last_contact + OUTAGE_TIME))
        self.roster.expire(now)
        self._suspicions.expire(now)
        self.losses.expire(now)

    def _apply_entry(self, entry: Entry, now: float) -> None:
        departed = self.roster.receive_entry(entry, now)
        if departed is not None:
            self.messages.member_left(departed)
        if isinstance(entry.body, JoinEntry):
            self._settle_sender(self.roster.find(entry.number), entry.body.own)
        if entry.number in self._unknown_senders:
            self._release([entry.number], now)

    def _receive_data(self, data: Data | Private, now: float) -> None:
        if data.number in self._unknown_senders or not self._is_identified(data):
            self._unknown_senders.add(data, now)
            self.roster.requests.request(data.number)
        else:
            self._deliver(data, now)

    def _is_identified(self, data: Data | Private) -> bool:
        # A private message can arrive before the entry of its sender's join.
        sequence = data.sequence if isinstance(data, Data) else inf
        known = self.roster.find(data.number) is not None
        return known or self.roster.is_unknowable(data.number, sequence)

    def _deliver(self, data: Data | Private, now: float) -> None:
        number = data.number
        member = self.roster.find(number)
        if member is not None and self.roster.is_self(member):
            # The client's own datagram, sent in an earlier session.
            return
        identity = b"" if member is None else member.identity
        if not identity:
            identity = self._tag + number.to_bytes(4, "big")
        self.messages.receive(data, member, identity, self.roster.since(number), now)

    def _release(self, numbers: Iterable[int], now: float) -> None:
        """Deliver the messages of senders that are known now, or never will be."""
        for number in numbers:
            if self._is_identified(self._unknown_senders.first(number)):
                self._deliver_all(number, now)

    def _deliver_all(self, number: int, now: float) -> None:
        self.roster.requests.cancel(number)
        for data in self._unknown_senders.pop(number):
            self._deliver(data, now)

    def _settle_sender(self, member: KnownMember | None, own: int) -> None:
        if member is not None and not self.roster.is_self(member):
            self.messages.settle(member, own)
