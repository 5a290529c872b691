"""Who has said what, and what became of it: the book that every client's events are held to."""

from __future__ import annotations

from collections import Counter
from enum import Enum

from attrs import define, field

from udprelay.session_client.events import Delivered, Failed, Lost, Missed, Received
from udprelay.session_client.membership import Membership


class Stream(Enum):
    """How something was said."""

    ROOM = "room"
    ROOM_UNRELIABLE = "room, unreliable"
    PRIVATE = "private"
    PRIVATE_UNRELIABLE = "private, unreliable"
    PLAIN = "plain"

    @property
    def reliable(self) -> bool:
        """Whether session members get it in order, and nothing of it is lost silently."""
        return self not in (Stream.ROOM_UNRELIABLE, Stream.PRIVATE_UNRELIABLE)

    @property
    def private(self) -> bool:
        """Whether it is for one member."""
        return self in (Stream.PRIVATE, Stream.PRIVATE_UNRELIABLE)


@define(eq=False)
class Visit:
    """
    One run of a client in a room: one membership, and what it has come to.

    :param name: no other visit has it, and what it says begins with it.
    :param recovers: messages come in order, and nothing is lost silently.
    :ivar nicks: that it has asked for.
    :ivar joined: when it became a member first.
    :ivar since: when its last session began.
    :ivar ended: when it left, was put out, refused, or died.
    :ivar lost: how many datagrams it was told were lost.
    """

    name: str
    room: str
    keyed: bool
    recovers: bool = True
    identity: bytes = b""
    membership: Membership | None = field(default=None, repr=False)
    nicks: list[str] = field(factory=list)
    joined: float | None = None
    since: float = 0.0
    ended: float | None = None
    said: dict[int, Said] = field(factory=dict, repr=False)
    received: dict[Said, float] = field(factory=dict)
    lost: int = 0
    distrusted: list[str] = field(factory=list)
    latest: dict[tuple[str, Stream], int] = field(factory=dict)

    @property
    def present(self) -> bool:
        """Whether it has joined, and not ended."""
        return self.joined is not None and self.ended is None

    def knows(self, other: Visit) -> bool:
        """Return whether it has heard another, or seen it join."""
        if self.membership is None:
            return False
        messages = self.membership._machine.session.arrivals._deliveries.messages
        heard = messages._identities._senders.get(other.identity)
        return heard is not None and heard.expected > 0


@define(eq=False, repr=False)
class Said:
    """
    One message.

    :param sender: None for somebody who is no client, or the relay's console.
    :param order: its place among what its sender has said so.
    :param receiver: for whom it is, if it is private.
    :ivar known_to: who had heard its sender before, or seen it join.
    :ivar missed: how often its sender was told that somebody has missed it.
    """

    sender: Visit | None
    room: str
    stream: Stream
    payload: bytes
    order: int
    at: float
    receiver: Visit | None = None
    known_to: list[Visit] = field(factory=list)
    delivered: bool = False
    failed: str | None = None
    missed: int = 0

    def __repr__(self) -> str:
        beginning = self.payload[:24].decode()
        fate = self.failed or ("delivered" if self.delivered else "open")
        return f"{beginning!r}... ({len(self.payload)} bytes, {self.at:.3f}, {fate})"


class Ledger:
    """
    Keeps all that was said; a broken promise is an :exc:`AssertionError`.

    :ivar visits: all of them, in the order of their beginning.
    """

    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self._said: dict[bytes, Said] = {}
        self._orders: Counter[tuple[Visit | None, Stream]] = Counter()

    def all_said(self) -> list[Said]:
        """Return all that was said, in the order of saying."""
        return list(self._said.values())

    # What is said.

    def write(self, visit: Visit | None, stream: Stream, size: int) -> bytes:
        """Return something to say that nobody has said before, of about so many bytes."""
        name = visit.name if visit is not None else "plain"
        self._orders[visit, stream] += 1
        beginning = f"{name} {stream.value} {self._orders[visit, stream]} "
        # Each part of it is like no other part.
        pattern = (f"{beginning}{at:x} " for at in range(0, size, 10))
        return (beginning + "".join(pattern))[: max(size, len(beginning))].encode()

    def note(
        self,
        visit: Visit | None,
        room: str,
        stream: Stream,
        payload: bytes,
        at: float,
        receiver: Visit | None = None,
    ) -> Said:
        """Note that something was said."""
        order = self._orders[visit, stream]
        said = Said(visit, room, stream, payload, order, at, receiver)
        if visit is not None:
            said.known_to = [v for v in self.visits if v.present and v.knows(visit)]
        assert payload not in self._said
        self._said[payload] = said
        return said

    # What became of it.

    def received(self, visit: Visit, event: Received, now: float) -> None:
        """Hold a message that a client shows against what was said."""
        said = self._said.get(event.payload)
        assert said is not None, f"{visit.name} was shown what nobody has said: {event.payload!r}"
        what = f"{visit.name}: {event.payload[:40]!r} of {said.at:.3f}"
        assert said.room == visit.room, f"{what} was said in {said.room}"
        assert said.sender is not visit, f"{what} is its own"
        assert said.stream.private == event.private, f"{what} is not as private as it was"
        assert said.receiver in (None, visit), f"{what} is for somebody else"
        if said.stream is Stream.PLAIN:
            # The network may have doubled it on its way to the relay.
            assert event.reliable, f"{what} is not reliable"
            return
        assert said.sender is not None
        assert said.stream.reliable == event.reliable, f"{what} is not as reliable as it was"
        assert event.sealed == visit.keyed, f"{what}: sealed is {event.sealed}"
        assert event.nick is None or event.nick in said.sender.nicks, f"{what}: {event.nick}"
        assert said not in visit.received, f"{what} is shown twice"
        visit.received[said] = now
        if said.stream.reliable and visit.recovers:
            source = (said.sender.name, said.stream)
            assert said.order > visit.latest.get(source, 0), f"{what} comes too late"
            visit.latest[source] = said.order

    def delivered(self, visit: Visit, event: Delivered) -> None:
        """Note that the relay has all of a message."""
        said = visit.said[event.message]
        assert not said.delivered, f"{said} is delivered twice"
        assert said.failed is None, f"{said} has failed, and is delivered"
        said.delivered = True

    def failed(self, visit: Visit, event: Failed) -> None:
        """Note that a message has failed."""
        said = visit.said[event.message]
        assert said.failed is None, f"{said} fails twice"
        private = said.stream is Stream.PRIVATE
        assert not said.delivered or private, f"{said} was delivered, and fails"
        said.failed = event.reason

    def missed(self, visit: Visit, event: Missed) -> None:
        """Note that somebody has not got a message."""
        visit.said[event.message].missed += 1

    def lost(self, visit: Visit, event: Lost) -> None:
        """Note that a client was told of a hole."""
        assert event.count > 0
        visit.lost += event.count
