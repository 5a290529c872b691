"""The world of the target ``relay``: the hub's owner, and the clients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fuzz.steps import until_later
from udprelay.protocol import keys
from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.endpoint import Endpoint, endpoint
from udprelay.protocol.wire import WireError, decode_from_client, decode_from_relay
from udprelay.protocol.wire.from_client import PathResponse
from udprelay.protocol.wire.from_relay import PathChallenge
from udprelay.protocol.wire.header import SIGNATURE
from udprelay.protocol.wire.joining import Challenge, Join, Welcome
from udprelay.protocol.wire.sequenced import Data, Entry
from udprelay.relay import challenge
from udprelay.relay.fan_out import FanOut
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
from udprelay.relay.session.fan_out import SessionFanOut
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.room_log import RoomLog
from udprelay.segments import runs_by_source, segments_of

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
    """A client: its constant values, and those that it got from the relay."""

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
    The owner of a hub.

    It checks that all datagrams of the relay can be decoded, that room sequences have no gaps,
    and that no address gets more bytes than it has sent before it is verified.

    :ivar events: the types of the events.
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
        self._verified: set[tuple[str, str]] = set()
        self._received: Counter[tuple[str, str]] = Counter()
        self._sent: Counter[tuple[str, str, bool]] = Counter()
        self.newest: dict[bytes, int] = {}
        self.deliver([])

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
        # Runs of one size are passed as one buffer, as batched sockets do.
        runs = [(source, segments_of(run) or run) for source, run in runs_by_source(batch)]
        self.deliver(self.hub.receive(listener, runs, self.now))

    def prove(self, listener: Listener, source: str) -> None:
        """Note that an address is verified by the configuration."""
        self._verified.add((listener.name, source))

    def _verifies(self, listener: Listener, source: str, datagram: bytes) -> bool:
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
        """Call the hub until nothing is due."""
        until_later(self._expire_once, self.hub.next_deadline, self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass; call the hub at each of its deadlines."""
        end, calls = self.now + seconds, 0
        while (deadline := self.hub.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.expire()
            calls += 1
            assert calls <= 200 + 20 * seconds, "too many deadlines"
        self.now = end

    def _expire_once(self) -> None:
        self.deliver(self.hub.expire(self.now))

    # Sent datagrams.

    def deliver(self, fan_outs: list[FanOut]) -> None:
        """Deliver fan-outs, and settle the hub."""
        self._deliver(fan_outs)
        while True:
            fan_outs = self.hub.control(self.now)
            self.drain_replies()
            self._deliver(fan_outs)
            if not fan_outs:
                break
        self.events.update(map(type, self.hub.drain_events()))
        self.hub.next_deadline()
        assert not self.hub.unsettled, "the hub is unsettled"

    def drain_replies(self) -> None:
        """Drain the replies; clients learn from them."""
        for reply in self.hub.drain_replies():
            assert isinstance(reply.transport, Listener), "a reply to a local member"
            self._charge(reply.transport, reply.source, reply.payload)
            if reply.payload.startswith(SIGNATURE):
                self._learn(reply.source, decode_from_relay(reply.payload))

    def _deliver(self, fan_outs: Iterable[FanOut]) -> None:
        for fan_out in fan_outs:
            if isinstance(fan_out, SessionFanOut):
                self._follow(fan_out)
            for group, count in fan_out.groups:
                assert count <= len(group.members), "a member has left before the delivery"
                payloads, senders = fan_out.for_group(group)
                for payload, sender in zip(payloads, senders, strict=True):
                    for member in group.members[:count]:
                        if member is not sender and member.listener is not None:
                            self._charge(member.listener, member.source, payload)

    def _follow(self, fan_out: SessionFanOut) -> None:
        log = fan_out.room.log
        assert isinstance(log, RoomLog), "a fan-out of sessions without a log"
        tag = log.tag
        for datagram in fan_out.framed:
            read = decode_from_relay(datagram)
            if isinstance(read, (Data, Entry)):
                before = self.newest.get(tag, read.sequence - 1)
                assert (read.tag, read.sequence) == (tag, before + 1), "a gap in the sequence"
                self.newest[tag] = read.sequence

    def _charge(self, listener: Listener, source: str, payload: bytes) -> None:
        if (listener.name, source) not in self._verified:
            plain = not payload.startswith(SIGNATURE)
            self._sent[listener.name, source, plain] += len(payload)
            # A challenge for a plain member may be larger than the datagram.
            limit = self._received[listener.name, source] * (3 if plain else 1)
            sent = self._sent[listener.name, source, plain]
            assert sent <= limit, f"{source} gets more bytes than it has sent"

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
    """Return the endpoint of a source."""
    if source not in _ENDPOINTS:
        host, _, port = source.rpartition(":")
        _ENDPOINTS[source] = endpoint(host, int(port))
    return _ENDPOINTS[source]
