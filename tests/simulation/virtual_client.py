"""A client host: a real session client behind a virtual socket, started again and again."""

from __future__ import annotations

from contextlib import suppress
from random import Random

from virtual_deadlines import DeadlineCounter
from virtual_event_roster import EventRoster
from virtual_ledger import Ledger, Stream, Visit
from virtual_network import Address, Network

from udprelay.protocol import keys
from udprelay.protocol.keys import RoomKeys
from udprelay.protocol.nick import normalise
from udprelay.protocol.wire import FromRelay, WireError, decode_from_relay
from udprelay.protocol.wire.from_client import Ping
from udprelay.protocol.wire.from_relay import Members
from udprelay.protocol.wire.header import Type
from udprelay.protocol.wire.joining import Welcome
from udprelay.session_client import events as e
from udprelay.session_client.client import SessionClient
from udprelay.session_client.message_sender import MessageError
from udprelay.session_client.settings import Settings, State

SECRET_SIZE = 16
"""Bytes of a resume secret; a client asks for no other random bytes of this size."""
TINY = 1e-6
TYPE = slice(4, 5)
"""Where a datagram has its type."""
PING, WELCOME, MEMBERS = (bytes([kind]) for kind in (Type.PING, Type.WELCOME, Type.MEMBERS))


class Client:
    """
    A host that starts a client program, several times in turn.

    :param settings: of each client.
    :param room_keys: the keys from the passphrase; None if its user has none.
    :param clock: seconds by which its clock differs from those of others.
    :ivar session_client: the running one, or the last one.
    :ivar visit: the results of that one.
    :ivar event_roster: the roster according to its events.
    :ivar events: its events except messages.
    :ivar session_id: of its last session.
    :ivar settled: the room sequence that it has settled, according to the last PING of the
        session; None before the first.
    """

    def __init__(
        self,
        network: Network,
        random: Random,
        ledger: Ledger,
        name: str,
        address: Address,
        relay: Address,
        settings: Settings,
        room_keys: RoomKeys | None = None,
        clock: float = 0.0,
    ) -> None:
        self.name = name
        self.address = address
        self.relay = relay
        self.settings = settings
        self.clock = clock
        self.deadlines = DeadlineCounter(name)
        self.visit: Visit
        self.session_client: SessionClient
        self.event_roster: EventRoster
        self.events: list[e.Event] = []
        self.session_id = b""
        self.settled: int | None = None
        self._network = network
        self._random = random
        self._ledger = ledger
        self._keys = room_keys
        self._visits = 0
        self._deadline: float | None = None
        self._asleep = False
        self._leaving = False
        self._welcome: Welcome

    @property
    def now(self) -> float:
        """The time of its own clock."""
        return self._network.time.now + self.clock

    @property
    def running(self) -> bool:
        """Whether its program is running."""
        return self._visits > 0 and self.visit.ended is None

    @property
    def asleep(self) -> bool:
        """Whether its program is running but suspended."""
        return self.running and self._asleep

    @property
    def _awake(self) -> bool:
        ending = (State.LEAVING, State.CLOSED)
        awake = self.running and not (self._asleep or self._leaving)
        return awake and self.session_client.state not in ending

    @property
    def joined(self) -> bool:
        """Whether it is in a session, as far as it knows."""
        return self.running and not self._asleep and self.session_client.state is State.JOINED

    # Actions of its user.

    def start(self) -> None:
        """Start the program, if it is not running."""
        if self.running:
            return
        self._visits += 1
        settings = self.settings
        self.visit = Visit(
            f"{self.name}.{self._visits}", settings.room, settings.keyed, settings.recover
        )
        self._ledger.visits.append(self.visit)
        self._note_nick(settings.nick)
        self.events = []
        self._deadline = None
        self._asleep = self._leaving = False
        self.session_id = b""
        self._network.attach(self.address, self._receive, self._receive_icmp_error)
        # Not a bound method: the host does not belong to the memory of the client.
        self.session_client = SessionClient(
            settings, lambda count: self._random_bytes(count), self.now
        )
        self.event_roster = EventRoster(self.session_client)
        self.session_client.start(self.now)
        self._settle()

    def leave(self) -> None:
        """Leave with LEAVE."""
        if self._awake:
            self._leaving = True
            self.session_client.leave(self.now)
            self._settle()

    def kill(self) -> None:
        """End the program without LEAVE."""
        if self.running:
            self._end()

    def send(self, size: int, stream: Stream = Stream.ROOM) -> None:
        """Send a message of about so many bytes to the room."""
        if not self._awake:
            return
        payload = self._ledger.new_payload(self.visit, stream, size)
        message = self._ledger.add(
            self.visit, self.visit.room, stream, payload, self._network.time.now
        )
        number = self.session_client.send(payload, self.now, reliable=stream.reliable)
        self.visit.sent[number] = message
        self._settle()

    def send_private(self, to: Visit, size: int, stream: Stream = Stream.PRIVATE) -> None:
        """Send a private message, if the receiver is in the roster."""
        if not self._awake:
            return
        members = self.session_client.members.values()
        receiver = next((m.number for m in members if m.identity == to.identity), None)
        if receiver is None or to is self.visit:
            return
        payload = self._ledger.new_payload(self.visit, stream, size)
        try:
            number = self.session_client.send_private(
                receiver, payload, self.now, reliable=stream.reliable
            )
        except MessageError:
            assert receiver == self.session_client.number
            return
        self.visit.sent[number] = self._ledger.add(
            self.visit, self.visit.room, stream, payload, self._network.time.now, to
        )
        self._settle()

    def change_nick(self, nick: str) -> None:
        """Ask for another nick."""
        if self._awake:
            self._note_nick(nick)
            self.session_client.change_nick(nick, self.now)
            self._settle()

    def ping(self) -> None:
        """Measure the round trip."""
        if self._awake:
            self.session_client.ping(self.now)
            self._settle()

    def sleep(self, seconds: float, *, clock_stops: bool = False) -> None:
        """
        Suspend the host.

        :param clock_stops: its clock stops meanwhile.
        """
        if not self.running or self._asleep:
            return
        self._asleep = True
        if clock_stops:
            self.clock -= seconds
        self._network.time.after(seconds, self._wake, self._visits)

    def _wake(self, visits: int) -> None:
        if self.running and visits == self._visits:
            self._asleep = False
            self._deadline = None
            self._expire(visits, None)

    def _note_nick(self, nick: str) -> None:
        suffixes = range(2, 10)
        self.visit.nicks += [normalise(nick), *(f"{nick}-{number}" for number in suffixes)]

    # Its loop.

    def _random_bytes(self, count: int) -> bytes:
        made = self._random.randbytes(count)
        if count == SECRET_SIZE:
            self.visit.identity = keys.identity(made)
        return made

    def _receive(self, source: Address, datagram: bytes) -> None:
        if self._asleep or source != self.relay:
            return
        if datagram[TYPE] in (WELCOME, MEMBERS):
            with suppress(WireError):
                self._note_roster(decode_from_relay(datagram))
        self.session_client.receive(datagram, self.now)
        self._settle()

    def _receive_icmp_error(self) -> None:
        if not self._asleep and self.running:
            self.session_client.receive_icmp_error(self.now)
            self._settle()

    def _expire(self, visits: int, due: float | None) -> None:
        if visits != self._visits or not self.running or due != self._deadline:
            return
        self._deadline = None
        if self._asleep:
            return
        deadline = self.session_client.next_deadline()
        if deadline is not None and deadline <= self.now:
            self.deadlines.count(self._network.time.now)
            self.session_client.expire(self.now)
        self._settle()

    def _settle(self) -> None:
        session_client = self.session_client
        datagrams = session_client.drain_datagrams()
        for datagram in datagrams:
            self._network.send(self.address, self.relay, datagram)
        for event in session_client.drain_events():
            self._handle(event)
        for datagram in datagrams:
            if datagram[TYPE] == PING:
                self.settled = Ping.decode(datagram).settled
        if self.joined:
            self.event_roster.update(self.settled)
        if not self.running:
            return
        deadline = session_client.next_deadline()
        if deadline is None:
            return
        due = deadline - self.clock
        if due + self.clock < deadline:
            # Rounding must not make the call early, when nothing is due.
            due += TINY
        due = max(due, self._network.time.now)
        if self._deadline is None or due < self._deadline:
            self._deadline = due
            self._network.time.at(due, self._expire, self._visits, due)

    def _handle(self, event: e.Event) -> None:
        ledger, visit = self._ledger, self.visit
        if isinstance(event, e.Received):
            ledger.received(visit, event, self._network.time.now)
            return
        self.events.append(event)
        if isinstance(event, e.Delivered):
            ledger.delivered(visit, event)
        elif isinstance(event, e.Failed):
            ledger.failed(visit, event)
        elif isinstance(event, e.Missed):
            ledger.missed(visit, event)
        elif isinstance(event, e.Lost):
            ledger.lost(visit, event)
        elif isinstance(event, e.Distrusted):
            visit.distrusted.append(event.reason)
        elif isinstance(event, e.KeysNeeded):
            self._network.time.after(
                self._random.uniform(0, 0.3), self._provide_keys, self._visits, event.salt
            )
        elif isinstance(event, (e.Refused, e.Closed)):
            self._end()
        elif isinstance(event, e.Joined):
            self._start_session(self._welcome, self._network.time.now)
        else:
            self._follow_roster(event)

    def _provide_keys(self, visits: int, salt: bytes) -> None:
        if visits == self._visits and self.running and self._keys is not None:
            self.session_client.provide_keys(salt, self._keys, self.now)
            self._settle()

    def _start_session(self, welcome: Welcome, now: float) -> None:
        visit = self.visit
        if visit.joined is None:
            visit.joined = now
        if self.session_id != welcome.session_id:
            self.session_id, visit.since = welcome.session_id, now
        self.settled = None
        self.event_roster.start_session(welcome)

    def _note_roster(self, datagram: FromRelay) -> None:
        if isinstance(datagram, Welcome):
            self._welcome = datagram
        elif isinstance(datagram, Members):
            self.event_roster.receive_page(datagram)

    def _follow_roster(self, event: e.Event) -> None:
        if isinstance(event, e.MemberJoined):
            member = self.session_client.members.get(event.number)
            if member is not None:
                self.visit.known.add(member.identity)
        self.event_roster.receive(event)

    def _end(self) -> None:
        self.visit.ended = self._network.time.now
        self._network.detach(self.address)
