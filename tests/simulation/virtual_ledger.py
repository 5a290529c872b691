"""All messages and their fates, for checks of the events of all clients."""

from __future__ import annotations

from collections import Counter
from enum import Enum

from attrs import define, field

from udprelay.session_client.events import Delivered, Failed, Lost, Missed, Received


class Stream(Enum):
    """How a message is sent."""

    ROOM = "room"
    ROOM_UNRELIABLE = "room, unreliable"
    PRIVATE = "private"
    PRIVATE_UNRELIABLE = "private, unreliable"
    PLAIN = "plain"

    @property
    def reliable(self) -> bool:
        """Whether it is in order, and losses are reported."""
        return self not in (Stream.ROOM_UNRELIABLE, Stream.PRIVATE_UNRELIABLE)

    @property
    def private(self) -> bool:
        """Whether it is to one member."""
        return self in (Stream.PRIVATE, Stream.PRIVATE_UNRELIABLE)


@define(eq=False)
class Visit:
    """
    One client in a room, from its start to its end, with its results.

    :param name: unique; its payloads begin with it.
    :param recovers: messages come in order, and losses are reported.
    :ivar nicks: the nicks that it has asked for.
    :ivar joined: when it first joined.
    :ivar since: when its last session began.
    :ivar ended: when it left, or was killed, kicked or refused.
    :ivar sent: its messages, by their numbers in events.
    :ivar received: the messages that it received, with their times.
    :ivar nicks_of: the nicks under which it received them, by the name of the sender.
    :ivar lost: the number of datagrams that it reported as lost.
    :ivar distrusted: the reasons of its :class:`Distrusted` events.
    :ivar known: the identities whose messages it received or whose joins it saw.
    """

    name: str
    room: str
    keyed: bool
    recovers: bool = True
    identity: bytes = b""
    nicks: list[str] = field(factory=list)
    joined: float | None = None
    since: float = 0.0
    ended: float | None = None
    sent: dict[int, Message] = field(factory=dict, repr=False)
    received: dict[Message, float] = field(factory=dict)
    nicks_of: dict[str, set[str | None]] = field(factory=dict)
    lost: int = 0
    distrusted: list[str] = field(factory=list)
    known: set[bytes] = field(factory=set)
    latest: dict[tuple[str, Stream], int] = field(factory=dict)

    @property
    def present(self) -> bool:
        """Whether it has joined, and not ended."""
        return self.joined is not None and self.ended is None


@define(eq=False, repr=False)
class Message:
    """
    One message.

    :param sender: None for a plain program or the relay's console.
    :param order: its number among the sender's messages of this stream.
    :param receiver: of a private message.
    :ivar known_to: the present members that knew its sender when it was sent.
    :ivar missed: how many :class:`Missed` events its sender got for it.
    """

    sender: Visit | None
    room: str
    stream: Stream
    payload: bytes
    order: int
    sent_at: float
    receiver: Visit | None = None
    known_to: list[Visit] = field(factory=list)
    delivered: bool = False
    failed: str | None = None
    missed: int = 0

    def __repr__(self) -> str:
        beginning = self.payload[:24].decode()
        fate = self.failed or ("delivered" if self.delivered else "open")
        return f"{beginning!r}... ({len(self.payload)} bytes, {self.sent_at:.3f}, {fate})"


class Ledger:
    """
    Records all messages; a broken promise is an :exc:`AssertionError`.

    :ivar visits: all visits, by their starts.
    """

    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self._messages: dict[bytes, Message] = {}
        self._orders: Counter[tuple[Visit | None, Stream]] = Counter()

    def messages(self) -> list[Message]:
        """Return all messages in the order of sending."""
        return list(self._messages.values())

    # Sending.

    def new_payload(self, visit: Visit | None, stream: Stream, size: int) -> bytes:
        """Return a unique payload of about so many bytes."""
        name = visit.name if visit is not None else "plain"
        self._orders[visit, stream] += 1
        beginning = f"{name} {stream.value} {self._orders[visit, stream]} "
        # Each part of it is unique too.
        pattern = (f"{beginning}{at:x} " for at in range(0, size, 10))
        return (beginning + "".join(pattern))[: max(size, len(beginning))].encode()

    def add(
        self,
        visit: Visit | None,
        room: str,
        stream: Stream,
        payload: bytes,
        sent_at: float,
        receiver: Visit | None = None,
    ) -> Message:
        """Record a message when it is sent."""
        order = self._orders[visit, stream]
        message = Message(visit, room, stream, payload, order, sent_at, receiver)
        if visit is not None:
            message.known_to = [v for v in self.visits if v.present and visit.identity in v.known]
        assert payload not in self._messages
        self._messages[payload] = message
        return message

    # Events.

    def received(self, visit: Visit, event: Received, now: float) -> None:
        """Check a message that a client has received."""
        message = self._messages.get(event.payload)
        assert message is not None, f"{visit.name} received an unknown payload: {event.payload!r}"
        name = f"{visit.name}: {event.payload[:40]!r} of {message.sent_at:.3f}"
        assert message.room == visit.room, f"{name} was sent to {message.room}"
        assert message.sender is not visit, f"{name} is its own"
        assert message.stream.private == event.private, f"{name}: private is {event.private}"
        assert message.receiver in (None, visit), f"{name} is for another member"
        if message.stream is Stream.PLAIN:
            # The network may have duplicated it in transit to the relay.
            assert event.reliable, f"{name} is not reliable"
            return
        assert message.sender is not None
        assert message.stream.reliable == event.reliable, f"{name}: reliable is {event.reliable}"
        assert event.sealed == visit.keyed, f"{name}: sealed is {event.sealed}"
        assert event.nick is None or event.nick in message.sender.nicks, f"{name}: {event.nick}"
        assert message not in visit.received, f"{name} is a duplicate"
        visit.received[message] = now
        visit.nicks_of.setdefault(message.sender.name, set()).add(event.nick)
        if message.stream is Stream.ROOM:
            visit.known.add(message.sender.identity)
        if message.stream.reliable and visit.recovers:
            source = (message.sender.name, message.stream)
            assert message.order > visit.latest.get(source, 0), f"{name} is out of order"
            visit.latest[source] = message.order

    def delivered(self, visit: Visit, event: Delivered) -> None:
        """Record that the relay has all of a message."""
        message = visit.sent[event.message]
        assert not message.delivered, f"{message} is delivered twice"
        assert message.failed is None, f"{message} has failed, and is delivered"
        message.delivered = True

    def failed(self, visit: Visit, event: Failed) -> None:
        """Record that a message has failed."""
        message = visit.sent[event.message]
        assert message.failed is None, f"{message} fails twice"
        late = message.stream is Stream.PRIVATE or event.reason == "unconfirmed"
        assert not message.delivered or late, f"{message} was delivered, and fails"
        message.failed = event.reason

    def missed(self, visit: Visit, event: Missed) -> None:
        """Record that a member has missed a message."""
        visit.sent[event.message].missed += 1

    def lost(self, visit: Visit, event: Lost) -> None:
        """Record that a client has reported a loss."""
        assert event.count > 0
        visit.lost += event.count
