"""Any input from the relay, and any fault of the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from session_client_arrivals import (
    MY_NUMBER,
    OTHER_SESSION,
    OTHER_TAG,
    SESSION,
    TAG,
    join_entry,
    leave_entry,
    message,
    nick_entry,
    page,
    private_message,
    record,
    welcome,
    with_alice,
)

from udprelay.protocol.wire.from_client import Nack, RosterRequest
from udprelay.protocol.wire.from_relay import Ack, Gone, Heartbeat, Pong
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.members import MemberKind
from udprelay.protocol.wire.sequenced import Data, Entry, Notice
from udprelay.session_client.arrivals import Arrival, Request
from udprelay.session_client.events import (
    Lost,
    Received,
)

NOT_IN_HISTORY, UNRELIABLE = 0, 1
PLAIN = MemberKind.PLAIN


# Any input.

small = st.integers(0, 12)
sequences = st.one_of(small, st.integers(0, 2**64 - 1))
first_and_count = st.tuples(sequences.filter(bool), st.integers(1, 65_535))
members = st.lists(
    st.builds(record, small, st.sampled_from(["Alice", "Bob", "me", "m" * 16]), small), max_size=4
)
arrivals = st.one_of(
    st.builds(message, sequences, small, small, flags=st.sampled_from([0, 1, 5, 9, 13, 17])),
    st.builds(private_message, sequences, small, small, flags=st.sampled_from([0, 1, 5, 9, 13])),
    st.builds(join_entry, sequences, small, st.sampled_from(["Alice", "Bob"]), small),
    st.builds(leave_entry, sequences, small),
    st.builds(nick_entry, sequences, small, st.sampled_from(["Alice", "Bob"])),
    st.builds(Notice, st.just(SESSION), sequences, st.none()),
    st.builds(
        lambda ranges: Ack(SESSION, 1, 0, 1, 0, ranges), st.lists(first_and_count, max_size=3)
    ),
    st.builds(
        lambda stream, ranges, reason: Gone(
            SESSION, stream, tuple((first, count, reason) for first, count in ranges)
        ),
        st.integers(0, 1),
        st.lists(first_and_count, max_size=3),
        st.integers(0, 2),
    ),
    st.builds(Heartbeat, st.just(TAG), sequences),
    st.builds(Pong, st.just(SESSION), st.just(bytes(8)), sequences, sequences),
    st.builds(
        lambda members, newest, first, more: page(
            *members, newest=newest, first=first, more_from=more
        ),
        members,
        sequences,
        small,
        st.one_of(st.none(), small),
    ),
)
welcomes = st.builds(
    lambda members, newest, back, **keywords: welcome(
        *members, newest=newest, first=max(1, newest + 1 - back), **keywords
    ),
    members,
    sequences,
    small,
    tag=st.sampled_from([TAG, OTHER_TAG]),
    session=st.sampled_from([SESSION, OTHER_SESSION]),
    number=small,
    more_from=st.one_of(st.none(), small),
    newest_private=sequences,
)
steps = st.lists(
    st.one_of(arrivals, arrivals, arrivals, welcomes, st.floats(0, 40), st.none()), max_size=40
)


@settings(deadline=None)
@given(steps, st.booleans())
def test_any_input_is_handled(
    steps: list[Arrival | Welcome | float | None], recover: bool
) -> None:
    client = with_alice(recover=recover)
    for step in steps:
        if isinstance(step, float):
            client.wait(step)
        elif step is None:
            client.end_session()
        elif isinstance(step, Welcome):
            client.arrivals.start_session(step, client.identity, client.now)
        else:
            client.receive(step)
        for request in client.drain_requests():
            request.encode()
        assert client.arrivals.roster.number in client.arrivals.roster.members
    client.wait(60)


# An honest relay and a faulty network.

ALICE, BOB, CAROL = 1, 2, 3
NICKS = {ALICE: "Alice", BOB: "Bob", CAROL: "Carol"}


class Relay:
    """Numbers messages and keeps the last ones."""

    def __init__(self, history: int) -> None:
        self.history = history
        self.sent: list[Data | Entry] = []
        self.own = Counter[int]()
        self.present = [ALICE, BOB]

    def send(self, number: int) -> list[Data | Entry]:
        """Return the datagrams for a message of a member, which joins first if necessary."""
        new = number not in self.present
        if new:
            self.present.append(number)
            self.sent.append(join_entry(len(self.sent) + 1, number, NICKS[number]))
        self.own[number] += 1
        payload = b"%d" % self.own[number]
        self.sent.append(message(len(self.sent) + 1, number, self.own[number], payload))
        return self.sent[-1 - new :]

    def answer(self, request: Request) -> Sequence[Arrival]:
        """Return the datagrams that answer a request."""
        if isinstance(request, RosterRequest):
            records = [record(number, NICKS[number], self.own[number]) for number in self.present]
            return [page(*records, newest=len(self.sent), first=request.number)]
        if isinstance(request, Nack):
            return [self.retransmit(n) for f, count in request.ranges for n in range(f, f + count)]
        return []

    def retransmit(self, sequence: int) -> Data | Entry | Gone:
        if sequence > len(self.sent) - self.history:
            return self.sent[sequence - 1]
        return Gone(SESSION, 0, ((sequence, 1, NOT_IN_HISTORY),))


class Receiver:
    """A client behind a network that drops, duplicates and reorders, and what it received."""

    def __init__(self, relay: Relay, data: st.DataObject) -> None:
        self.relay = relay
        self.data = data
        self.client = with_alice()
        self.network: list[Arrival] = []
        self.received: dict[int, list[int]] = {number: [] for number in NICKS}
        self.lost = Counter[str | None]()

    def deliver(self, copies: list[int]) -> None:
        while self.network:
            at = self.data.draw(st.integers(0, min(3, len(self.network) - 1)), label="order")
            datagram = self.network.pop(at)
            for _ in range(self.data.draw(st.sampled_from(copies), label="copies")):
                self.client.receive(datagram)
        self.wait(0.05)

    def wait(self, seconds: float) -> None:
        self.client.wait(seconds)
        for request in self.client.drain_requests():
            self.network += self.relay.answer(request)
        for event in self.client.drain_events():
            if isinstance(event, Received):
                self.received[event.number].append(int(event.payload))
            elif isinstance(event, Lost):
                self.lost[event.nick] += event.count


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([ALICE, ALICE, BOB, CAROL]), max_size=25),
    st.integers(1, 10),
    st.data(),
)
def test_each_message_is_received_once_in_order_or_reported_as_lost(
    senders: list[int], history: int, data: st.DataObject
) -> None:
    relay = Relay(history)
    receiver = Receiver(relay, data)
    for sender in senders:
        receiver.network += relay.send(sender)
        if data.draw(st.booleans(), label="wait"):
            receiver.deliver([1, 1, 0, 2])
    for _ in range(40):
        receiver.network.append(Heartbeat(TAG, len(relay.sent)))
        receiver.deliver([1])
    receiver.wait(10)

    assert receiver.client.arrivals.room.settled == len(relay.sent)
    assert sorted(receiver.client.arrivals.roster.members) == [*relay.present, MY_NUMBER]
    for own in receiver.received.values():
        assert own == sorted(set(own))
    missing = Counter[str | None](
        {NICKS[n]: relay.own[n] - len(own) for n, own in receiver.received.items()}
    )
    if receiver.lost[None]:
        # Carol's join is lost, too, so her messages have no sender.
        assert receiver.lost.total() == missing.total()
    else:
        assert +receiver.lost == +missing
