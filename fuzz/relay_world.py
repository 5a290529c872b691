"""The world of the target ``relay``: the hub's owner, and the clients."""

from __future__ import annotations

from collections import Counter

from fuzz.relay_sequences import RoomSequences
from fuzz.relay_transport import FuzzTransport, read_endpoint
from fuzz.steps import until_later
from udprelay.protocol import keys
from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.wire import WireError, decode_from_client, decode_from_relay
from udprelay.protocol.wire.from_client import PathResponse
from udprelay.protocol.wire.from_relay import PathChallenge
from udprelay.protocol.wire.header import SIGNATURE
from udprelay.protocol.wire.joining import Challenge, Join, Welcome
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay import challenge
from udprelay.relay.driver import HubDriver
from udprelay.relay.events import Event
from udprelay.relay.hub import Hub
from udprelay.relay.room import Listener, Member
from udprelay.relay.rules import (
    Label,
    Limits,
    ListenerRules,
    PlainPolicy,
    Protocol,
    RelayRules,
    RoomRules,
)
from udprelay.relay.session.cookie import Cookies, proves_path
from udprelay.relay.session.member import SessionMember
from udprelay.segments import runs_by_source

SECRET = bytes(range(32))
KEY = AccessKey(b"s" * 16, b"k" * 32)
SOURCES = ("10.0.0.1:1", "10.0.0.2:2", "203.0.113.3:3", "203.0.113.4:4", "203.0.113.5:0")
ROOMS = ("lobby", "annex", "one", "two")
NICKS = ("anna", "Bert", "carl", "dora", "ANNA", "guest-1", "", "a" * 33)


def rules(choices: bytes) -> RelayRules:
    """Return rules with small limits, with options that the bytes choose."""
    options, limits, history = choices[:3]
    room = RoomRules(
        max_members=3 if options & 1 else 100,
        label=Label.NICK if options & 2 else Label.NONE,
        access_key=KEY if options & 4 else None,
        plain_with_key=bool(options & 8),
        member_rate=2.0 if limits & 1 else 0.0,
        member_bandwidth=2000 if limits & 2 else 0,
        history=(1024, 8, 1, 64)[history & 3],
        history_size=(2**20, 1024, 100, 5000)[history >> 2 & 3],
        history_on_join=history >> 4,
    )
    listeners = {
        "main": ListenerRules(plain=(PlainPolicy.CHALLENGE, PlainPolicy.ANY)[options >> 4 & 1]),
        "side": ListenerRules(room="annex", protocol=tuple(Protocol)[(options >> 5) % 3]),
    }
    return RelayRules(
        max_members=4 if limits & 4 else 10_000,
        max_rooms=3,
        open_rooms=not limits & 8,
        listeners=listeners,
        room_defaults=room,
        limits=Limits(
            session_burst=3 if limits & 16 else 200,
            proof_burst=1 if limits & 32 else 10,
            repair_rate=2000 if limits & 64 else 2**18,
        ),
        log_payloads=bool(limits & 128),
    )


class Person:
    """A client: its own values, and those that it got from the relay."""

    def __init__(self, index: int) -> None:
        self.source = SOURCES[index]
        # The first byte tells whose it is.
        self.nonce = bytes((index,)) * 8
        self.nick = NICKS[index]
        self.secret = bytes((index,)) * 16
        self.identity = keys.identity(self.secret)
        self.room = ROOMS[0]
        self.cookie = b"none"
        self.id = bytes((index,)) * 8
        self.tag = bytes(8)
        self.token = bytes(8)

    def attempt(self) -> None:
        """Choose a new nonce: each attempt to join has its own."""
        number = int.from_bytes(self.nonce[1:], "big") + 1
        self.nonce = self.nonce[:1] + (number % 2**56).to_bytes(7, "big")


class World:
    """
    The owner of a hub.

    It checks that all datagrams of the relay can be decoded, that room sequences have no gaps,
    and that no address gets more bytes than it has sent before it is verified.

    :ivar events: the types of the events.
    :ivar sequences: the room sequences that session members are given.
    :ivar deadline: when the hub has to be called.
    """

    def __init__(self, rules: RelayRules) -> None:
        self.now = 1000.0
        self.sequences = RoomSequences(lambda: self.now)
        self.deadline: float | None = None
        self.hub = Hub(rules, SECRET, lambda address: False, self.now)
        self.driver = HubDriver(self.hub, lambda: self.now, self._publish, self._set_timer)
        self.listeners = [
            self.hub.open_listener(name, self._transport(name)) for name in rules.listeners
        ]
        self.people = [Person(index) for index in range(4)]
        self.targets: list[Member] = []
        self.console: Member | None = None
        self.events: set[type] = set()
        self._cookies = Cookies(SECRET)
        self._verified: set[tuple[str, str]] = set()
        self._received: Counter[tuple[str, str]] = Counter()
        self._sent: Counter[tuple[str, str, bool]] = Counter()
        self.settle()

    def session(self, person: Person) -> SessionMember | None:
        """Return the session of a client, if it has one and knows its id."""
        found = (listener.sessions.get(person.id) for listener in self.listeners)
        return next(filter(None, found), None)

    # Received datagrams.

    def receive(self, listener: Listener, batch: list[tuple[str, bytes]]) -> None:
        """Let the hub receive a batch."""
        for source, datagram in batch:
            self._received[listener.name, source] += len(datagram)
            if self._verifies(listener, source, datagram):
                self._verified.add((listener.name, source))
        self.driver.receive(listener, runs_by_source(batch), self.now)
        self._check()

    def prove(self, listener: Listener, source: str) -> None:
        """Note that an address is verified by the configuration."""
        self._verified.add((listener.name, source))

    def _verifies(self, listener: Listener, source: str, datagram: bytes) -> bool:
        name, address, now = listener.name, read_endpoint(source), self.now
        if listener.first_byte == -1 or not datagram.startswith(SIGNATURE):
            trusted = listener.rules.plain is PlainPolicy.ANY or listener.trusts(
                source, address.ip
            )
            return trusted or challenge.proves(SECRET, name, address, datagram, now)
        try:
            read = decode_from_client(datagram)
        except WireError:
            return False
        if isinstance(read, PathResponse):
            return proves_path(read.token, SECRET, read.session_id, address, name, now)
        return isinstance(read, Join) and self._cookies.valid(
            read.cookie, name, address, read.room, now
        )

    # Calls of the owner.

    def add_console(self, room: str) -> None:
        """Add the console."""
        self.console = self.hub.add_local(
            room, "console", MemberKind.CONSOLE, self._transport("console"), self.now
        )
        self.settle()

    def send(self, member: Member, payload: bytes) -> None:
        """Send a payload from a local member."""
        self.driver.send(member, payload)
        self._check()

    def settle(self) -> None:
        """Settle the hub after any other call."""
        self.driver.settle()
        self._check()

    def close(self) -> None:
        """Close the hub."""
        self.hub.close(self.now)
        self.driver.send_replies()
        for event in self.hub.drain_events():
            self._publish(event)

    def _check(self) -> None:
        deadline = self.hub.next_deadline()
        if deadline is not None:
            assert self.deadline is not None, "no deadline was reported"
            assert self.deadline <= deadline, "a later deadline was reported"
        assert not self.hub.unsettled, "the hub is unsettled"
        self.sequences.check(self.hub, self.deadline)

    # Time.

    def expire(self) -> None:
        """Call the hub until nothing is due."""
        until_later(self._expire_once, lambda: self.deadline, self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass; call the hub at each of its deadlines."""
        end, calls = self.now + seconds, 0
        while (deadline := self.deadline) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.expire()
            calls += 1
            assert calls <= 200 + 20 * seconds, "too many deadlines"
        self.now = end

    def _expire_once(self) -> None:
        self.driver.expire()
        self._check()

    # Called by the driver and the transports.

    def _transport(self, name: str) -> FuzzTransport:
        return FuzzTransport(name, self.sequences, self._deliver, self._reply)

    def _publish(self, event: Event) -> None:
        self.events.add(type(event))

    def _set_timer(self, deadline: float | None) -> None:
        self.deadline = deadline

    def _deliver(self, transport: str, member: Member, payload: bytes) -> None:
        if member.listener is not None:
            assert member.transport.name == transport, "a delivery by another transport"
            self._charge(transport, member.source, payload)

    def _reply(self, transport: str, source: str, datagram: bytes) -> None:
        self._charge(transport, source, datagram)
        if datagram.startswith(SIGNATURE):
            self._learn(decode_from_relay(datagram))

    def _charge(self, listener: str, source: str, payload: bytes) -> None:
        if (listener, source) not in self._verified:
            plain = not payload.startswith(SIGNATURE)
            self._sent[listener, source, plain] += len(payload)
            # A challenge for a plain member may be larger than the datagram.
            limit = self._received[listener, source] * (3 if plain else 1)
            sent = self._sent[listener, source, plain]
            assert sent <= limit, f"{source} gets more bytes than it has sent"

    def _learn(self, read: object) -> None:
        """Let clients learn from a datagram."""
        if isinstance(read, Welcome):
            self.sequences.welcomed(read)
        if isinstance(read, (Challenge, Welcome)) and read.nonce[0] < len(self.people):
            person = self.people[read.nonce[0]]
            if isinstance(read, Challenge):
                person.cookie = read.cookie
            else:
                person.id, person.tag = read.session_id, read.tag
        elif isinstance(read, PathChallenge):
            for person in self.people:
                if person.id == read.session_id:
                    person.token = read.token
