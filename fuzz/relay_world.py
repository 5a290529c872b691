"""A relay for the target ``relay``: the hub's owner, and all addresses that talk to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fuzz.steps import until_later
from udprelay.protocol import keys
from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.endpoint import Endpoint, endpoint
from udprelay.protocol.wire import WireError, decode_from_client, decode_from_relay
from udprelay.protocol.wire.from_client import PathResponse
from udprelay.protocol.wire.from_relay import Data, Entry, PathChallenge
from udprelay.protocol.wire.header import SIGNATURE
from udprelay.protocol.wire.joining import Challenge, Join, Welcome
from udprelay.relay import challenge
from udprelay.relay.bursts import in_bursts
from udprelay.relay.fan_out import FanOut, SessionFanOut
from udprelay.relay.hub import Hub
from udprelay.relay.listener import Listener
from udprelay.relay.room import Member
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
from udprelay.relay.session.member import Session
from udprelay.segments import join_if_alike

SECRET = bytes(range(32))
KEY = AccessKey(b"s" * 16, b"k" * 32)
SOURCES = ("10.0.0.1:1", "10.0.0.2:2", "203.0.113.3:3", "203.0.113.4:4", "203.0.113.5:0")
ROOMS = ("lobby", "annex", "one", "two")
NICKS = ("anna", "Bert", "carl", "dora", "ANNA", "guest-1", "", "a" * 33)


def rules(choices: bytes) -> RelayRules:
    """Return small tables, with the options that the bytes choose."""
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
    """A client as far as the relay has told it anything."""

    def __init__(self, index: int) -> None:
        self.source = SOURCES[index]
        self.nonce = bytes((index,)) * 8
        self.nick = NICKS[index]
        self.secret = bytes((index,)) * 16
        self.identity = keys.identity(self.secret)
        self.room = ROOMS[0]
        self.cookie = b"none"
        self.id = bytes((index,)) * 8
        self.tag = bytes(8)
        self.token = bytes(8)


class World:
    """
    Takes to the hub what comes and takes from it what it has to say.

    Checks on the way that whatever the relay sends can be read, that each room sequence goes on
    without a gap, and that nobody gets more than came from there before it has proved that
    somebody is there.

    :ivar events: the types of what the hub has told.
    :ivar newest: the newest room sequences, by room tag.
    """

    def __init__(self, rules: RelayRules) -> None:
        self.now = 1000.0
        self.hub = Hub(rules, SECRET, lambda address: False, self.now)
        self.listeners = [self.hub.open_listener(name, read_endpoint) for name in rules.listeners]
        self.people = [Person(index) for index in range(4)]
        self.targets: list[Member] = []
        self.console: Member | None = None
        self.events: set[type] = set()
        self._cookies = Cookies(SECRET)
        self._proven: set[tuple[str, str]] = set()
        self._came: Counter[tuple[str, str]] = Counter()
        self._went: Counter[tuple[str, str, bool]] = Counter()
        self.newest: dict[bytes, int] = {}
        self.deliver([])

    def session(self, person: Person) -> Session | None:
        """Return the session of a person, if it has one that it knows of."""
        found = (listener.sessions.get(person.id) for listener in self.listeners)
        return next(filter(None, found), None)

    # What comes.

    def receive(self, listener: Listener, batch: list[tuple[str, bytes]]) -> None:
        """Let datagrams come in."""
        for source, datagram in batch:
            self._came[listener.name, source] += len(datagram)
            if self._proves(listener, source, datagram):
                self._proven.add((listener.name, source))
        # As they come where all of a batch have one size.
        bursts = [(source, join_if_alike(said) or said) for source, said in in_bursts(batch)]
        self.deliver(self.hub.receive(listener, bursts, self.now))

    def prove(self, listener: Listener, source: str) -> None:
        """Note that the configuration vouches for an address."""
        self._proven.add((listener.name, source))

    def _proves(self, listener: Listener, source: str, datagram: bytes) -> bool:
        name, address, now = listener.name, read_endpoint(source), self.now
        if listener.first_byte == -1 or not datagram.startswith(SIGNATURE):
            trusted = listener.rules.plain is PlainPolicy.ANY or listener.trusts(address.ip)
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

    # Time.

    def expire(self) -> None:
        """Do what is due, at most four times."""
        until_later(self._expire_once, self.hub.next_deadline, self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass, with the hub called whenever it wants to be."""
        end, calls = self.now + seconds, 0
        while (deadline := self.hub.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.expire()
            calls += 1
            assert calls <= 200 + 20 * seconds, "a deadline again and again"
        self.now = end

    def _expire_once(self) -> None:
        self.deliver(self.hub.expire(self.now))

    # What goes.

    def deliver(self, fan_outs: list[FanOut]) -> None:
        """Deliver, and let the hub do all that it has put aside."""
        self._deliver(fan_outs)
        while True:
            fan_outs = self.hub.control(self.now)
            self.take_replies()
            self._deliver(fan_outs)
            if not fan_outs:
                break
        self.events.update(map(type, self.hub.take_events()))
        self.hub.next_deadline()
        assert not self.hub.unsettled, "there is something left"

    def take_replies(self) -> None:
        """Send what is for single addresses."""
        for reply in self.hub.take_replies():
            self._charge(reply.listener, reply.source, reply.payload)
            if reply.payload.startswith(SIGNATURE):
                self._learn(reply.source, decode_from_relay(reply.payload))

    def _deliver(self, fan_outs: Iterable[FanOut]) -> None:
        for fan_out in fan_outs:
            if isinstance(fan_out, SessionFanOut):
                self._follow(fan_out)
            for group, count in fan_out.reach:
                assert count <= len(group.members), "somebody has left meanwhile"
                payloads, senders = fan_out.for_group(group)
                for payload, sender in zip(payloads, senders, strict=True):
                    for member in group.members[:count]:
                        if member is not sender and member.listener is not None:
                            self._charge(member.listener, member.source, payload)

    def _follow(self, fan_out: SessionFanOut) -> None:
        tag = fan_out.sessions.tag
        for datagram in fan_out.framed:
            read = decode_from_relay(datagram)
            if isinstance(read, (Data, Entry)):
                before = self.newest.get(tag, read.sequence - 1)
                assert (read.tag, read.sequence) == (tag, before + 1), "a gap in the sequence"
                self.newest[tag] = read.sequence

    def _charge(self, listener: Listener, source: str, payload: bytes) -> None:
        if (listener.name, source) not in self._proven:
            plain = not payload.startswith(SIGNATURE)
            self._went[listener.name, source, plain] += len(payload)
            # A challenge in plain text may be larger than what it answers.
            most = self._came[listener.name, source] * (3 if plain else 1)
            went = self._went[listener.name, source, plain]
            assert went <= most, f"{source} gets more than came from there"

    def _learn(self, source: str, read: object) -> None:
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


_ENDPOINTS: dict[str, Endpoint] = {}


def read_endpoint(source: str) -> Endpoint:
    """Return the address that a source stands for."""
    if source not in _ENDPOINTS:
        host, _, port = source.rpartition(":")
        _ENDPOINTS[source] = endpoint(host, int(port))
    return _ENDPOINTS[source]
