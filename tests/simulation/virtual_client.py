"""A client host: a real membership behind a virtual socket, run after run."""

from __future__ import annotations

from random import Random

from virtual_ledger import Ledger, Stream, Visit
from virtual_network import Address, Network
from virtual_onlooker import Onlooker
from virtual_pulse import Pulse

from udprelay.protocol import keys
from udprelay.protocol.keys import RoomKeys
from udprelay.protocol.nick import normalise
from udprelay.session_client import events as e
from udprelay.session_client.membership import Membership
from udprelay.session_client.sending import MessageError
from udprelay.session_client.settings import Settings
from udprelay.session_client.state import State

SECRET = 16
TINY = 1e-6


class Client:
    """
    A host on which somebody runs a client, one time after another.

    :param settings: of each run.
    :param keys: what the passphrase comes to; None if its user has none.
    :param clock: by how much its clock differs from that of others.
    :ivar membership: the one that runs, or the last one.
    :ivar visit: what it has come to.
    :ivar onlooker: what a user knows of the room, from events alone.
    :ivar happened: the events of this run, but for messages.
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
        self.pulse = Pulse(name)
        self.visit: Visit
        self.membership: Membership
        self.onlooker: Onlooker
        self.happened: list[e.Event] = []
        self._network = network
        self._random = random
        self._ledger = ledger
        self._keys = room_keys
        self._visits = 0
        self._deadline: float | None = None
        self._asleep = False
        self._last_session_id = b""

    @property
    def now(self) -> float:
        """The time by its own clock."""
        return self._network.time.now + self.clock

    @property
    def running(self) -> bool:
        """Whether its program runs."""
        return self._visits > 0 and self.visit.ended is None

    @property
    def asleep(self) -> bool:
        """Whether its program runs, and gets no time."""
        return self.running and self._asleep

    @property
    def _awake(self) -> bool:
        over = (State.LEAVING, State.CLOSED)
        return self.running and not self._asleep and self.membership.state not in over

    @property
    def joined(self) -> bool:
        """Whether it is a member, as far as it knows."""
        return self.running and not self._asleep and self.membership.state is State.JOINED

    @property
    def settled(self) -> int:
        """The room sequence up to which it has all that it will ever have."""
        return self.membership._machine.session.arrivals.settled

    @property
    def session_id(self) -> bytes:
        """What heads all that it sends."""
        return self.membership._machine.session.id

    # What its user does.

    def come(self) -> None:
        """Start the program, if it does not run."""
        if self.running:
            return
        self._visits += 1
        settings = self.settings
        self.visit = Visit(
            f"{self.name}.{self._visits}", settings.room, settings.keyed, settings.recover
        )
        self._ledger.visits.append(self.visit)
        self._wants(settings.nick)
        self.happened = []
        self._deadline = None
        self._asleep = False
        self._last_session_id = b""
        self._network.attach(self.address, self._receive, self._refused)
        self.membership = Membership(settings, self._random_bytes, self.now)
        self.visit.membership = self.membership
        self.onlooker = Onlooker(self.membership)
        self.membership.start(self.now)
        self._settle()

    def go(self) -> None:
        """Leave, as one should."""
        if self._awake:
            self.membership.leave(self.now)
            self._settle()

    def die(self) -> None:
        """End the program without a word."""
        if self.running:
            self._end()

    def say(self, size: int, stream: Stream = Stream.ROOM) -> None:
        """Say something of about so many bytes."""
        if not self._awake:
            return
        payload = self._ledger.write(self.visit, stream, size)
        said = self._ledger.note(
            self.visit, self.visit.room, stream, payload, self._network.time.now
        )
        message = self.membership.send(payload, self.now, reliable=stream.reliable)
        self.visit.said[message] = said
        self._settle()

    def whisper(self, to: Visit, size: int, stream: Stream = Stream.PRIVATE) -> None:
        """Say something to one other, if it is known to be there."""
        if not self._awake:
            return
        members = self.membership.members.values()
        number = next((m.number for m in members if m.identity == to.identity), None)
        if number is None or to is self.visit:
            return
        payload = self._ledger.write(self.visit, stream, size)
        try:
            message = self.membership.send_private(
                number, payload, self.now, reliable=stream.reliable
            )
        except MessageError:
            assert number == self.membership.number
            return
        self.visit.said[message] = self._ledger.note(
            self.visit, self.visit.room, stream, payload, self._network.time.now, to
        )
        self._settle()

    def rename(self, nick: str) -> None:
        """Want another nick."""
        if self._awake:
            self._wants(nick)
            self.membership.change_nick(nick, self.now)
            self._settle()

    def ping(self) -> None:
        """Want to know the round trip."""
        if self._awake:
            self.membership.ping(self.now)
            self._settle()

    def sleep(self, seconds: float, *, stands_still: bool = False) -> None:
        """
        Close the lid for a while.

        :param stands_still: its clock does not go meanwhile.
        """
        if not self.running or self._asleep:
            return
        self._asleep = True
        if stands_still:
            self.clock -= seconds
        self._network.time.after(seconds, self._wake, self._visits)

    def _wake(self, visits: int) -> None:
        if self.running and visits == self._visits:
            self._asleep = False
            self._deadline = None
            self._expire(visits, None)

    def _wants(self, nick: str) -> None:
        suffixes = range(2, 10)
        self.visit.nicks += [normalise(nick), *(f"{nick}-{number}" for number in suffixes)]

    # Its loop.

    def _random_bytes(self, count: int) -> bytes:
        made = self._random.randbytes(count)
        if count == SECRET:
            self.visit.identity = keys.identity(made)
        return made

    def _receive(self, source: Address, datagram: bytes) -> None:
        if self._asleep or source != self.relay:
            return
        self.membership.receive(datagram, self.now)
        self._settle()

    def _refused(self) -> None:
        if not self._asleep and self.running:
            self.membership.unreachable(self.now)
            self._settle()

    def _expire(self, visits: int, due: float | None) -> None:
        if visits != self._visits or not self.running or due != self._deadline:
            return
        self._deadline = None
        if self._asleep:
            return
        deadline = self.membership.next_deadline()
        if deadline is not None and deadline <= self.now:
            self.pulse.beat(self._network.time.now)
            self.membership.expire(self.now)
        self._settle()

    def _settle(self) -> None:
        membership = self.membership
        for datagram in membership.take_datagrams():
            self._network.send(self.address, self.relay, datagram)
        for event in membership.take_events():
            self._happens(event)
        if self.joined:
            self.onlooker.look_round()
        if not self.running:
            return
        deadline = membership.next_deadline()
        if deadline is None:
            return
        due = deadline - self.clock
        if due + self.clock < deadline:
            # Rounding must not make it early: nothing would be due then.
            due += TINY
        due = max(due, self._network.time.now)
        if self._deadline is None or due < self._deadline:
            self._deadline = due
            self._network.time.at(due, self._expire, self._visits, due)

    def _happens(self, event: e.Event) -> None:
        ledger, visit = self._ledger, self.visit
        if isinstance(event, e.Received):
            ledger.received(visit, event, self._network.time.now)
            return
        self.happened.append(event)
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
                self._random.uniform(0, 0.3), self._derived, self._visits, event.salt
            )
        elif isinstance(event, (e.Refused, e.Closed)):
            self._end()
        else:
            if isinstance(event, e.Joined):
                self._joins(self._network.time.now)
            self.onlooker.look(event)

    def _derived(self, visits: int, salt: bytes) -> None:
        if visits == self._visits and self.running and self._keys is not None:
            self.membership.provide_keys(salt, self._keys, self.now)
            self._settle()

    def _joins(self, now: float) -> None:
        visit = self.visit
        if visit.joined is None:
            visit.joined = now
        if self.session_id != self._last_session_id:
            self._last_session_id, visit.since = self.session_id, now

    def _end(self) -> None:
        self.visit.ended = self._network.time.now
        self._network.detach(self.address)
