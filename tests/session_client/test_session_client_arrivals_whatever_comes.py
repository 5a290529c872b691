"""Whatever the network does, and whatever the relay says."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from session_client_arrivals import (
    MY_NUMBER,
    OTHER_SESSION,
    OTHER_TAG,
    SESSION,
    TAG,
    joins,
    leaves,
    page,
    record,
    renames,
    says,
    welcome,
    whispers,
    with_alice,
)

from udprelay.protocol.wire.from_client import Nack, RosterRequest
from udprelay.protocol.wire.from_relay import Ack, Gone, Heartbeat, Pong
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.members import MemberKind
from udprelay.protocol.wire.sequenced import Notice
from udprelay.session_client.events import (
    Lost,
    Received,
)

GONE, UNRELIABLE = 0, 1
PLAIN = MemberKind.PLAIN


# Whatever the relay says.

small = st.integers(0, 12)
sequences = st.one_of(small, st.integers(0, 2**64 - 1))
first_and_count = st.tuples(sequences.filter(bool), st.integers(1, 65_535))
members = st.lists(
    st.builds(record, small, st.sampled_from(["Alice", "Bob", "me", "m" * 16]), small), max_size=4
)
said = st.one_of(
    st.builds(says, sequences, small, small, flags=st.sampled_from([0, 1, 5, 9, 13, 17])),
    st.builds(whispers, sequences, small, small, flags=st.sampled_from([0, 1, 5, 9, 13])),
    st.builds(joins, sequences, small, st.sampled_from(["Alice", "Bob"]), small),
    st.builds(leaves, sequences, small),
    st.builds(renames, sequences, small, st.sampled_from(["Alice", "Bob"])),
    st.builds(Notice, st.just(SESSION), sequences, st.none()),
    st.builds(
        lambda ranges: Ack(SESSION, 1, 0, 1, 0, ranges), st.lists(first_and_count, max_size=3)
    ),
    st.builds(
        lambda stream, ranges, reason: Gone(SESSION, stream, [(*r, reason) for r in ranges]),
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
steps = st.lists(st.one_of(said, said, said, welcomes, st.floats(0, 40), st.none()), max_size=40)


@settings(deadline=None)
@given(steps, st.booleans())
def test_nothing_that_a_relay_says_is_too_much(steps, recover):
    client = with_alice(recover=recover)
    for step in steps:
        if isinstance(step, float):
            client.wait(step)
        elif step is None:
            client.lose_contact()
        elif isinstance(step, Welcome):
            client.arrivals.joined(step, client.now)
        else:
            client.take(step)
        for question in client.questions:
            question.encode()
        assert client.arrivals.number in client.arrivals.members
    client.wait(60)


# All of it, with a relay that is honest and a network that is not.

ALICE, BOB, CAROL = 1, 2, 3
NICKS = {ALICE: "Alice", BOB: "Bob", CAROL: "Carol"}


class Relay:
    """Numbers what is said, and forgets the oldest."""

    def __init__(self, kept):
        self.kept = kept
        self.sent = []
        self.own = Counter()
        self.there = [ALICE, BOB]

    def say(self, number):
        """Return what comes of it that somebody speaks, who joins first if need be."""
        new = number not in self.there
        if new:
            self.there.append(number)
            self.sent.append(joins(len(self.sent) + 1, number, NICKS[number]))
        self.own[number] += 1
        payload = b"%d" % self.own[number]
        self.sent.append(says(len(self.sent) + 1, number, self.own[number], payload))
        return self.sent[-1 - new :]

    def answer(self, question):
        """Return the answers, each of which may be lost."""
        if isinstance(question, RosterRequest):
            records = [record(number, NICKS[number], self.own[number]) for number in self.there]
            return [page(*records, newest=len(self.sent), first=question.number)]
        if isinstance(question, Nack):
            return [self.again(n) for f, count in question.ranges for n in range(f, f + count)]
        return []

    def again(self, sequence):
        if sequence > len(self.sent) - self.kept:
            return self.sent[sequence - 1]
        return Gone(SESSION, 0, ((sequence, 1, GONE),))


class Listener:
    """A client behind a network that loses, repeats and swaps, and what it is told."""

    def __init__(self, relay, data):
        self.relay = relay
        self.data = data
        self.client = with_alice()
        self.network = []
        self.heard = {number: [] for number in NICKS}
        self.lost = Counter()

    def arrive(self, fates):
        while self.network:
            at = self.data.draw(st.integers(0, min(3, len(self.network) - 1)), label="order")
            datagram = self.network.pop(at)
            for _ in range(self.data.draw(st.sampled_from(fates), label="how often")):
                self.client.take(datagram)
        self.wait(0.05)

    def wait(self, seconds):
        self.client.wait(seconds)
        for question in self.client.questions:
            self.network += self.relay.answer(question)
        for event in self.client.events:
            if isinstance(event, Received):
                self.heard[event.number].append(int(event.payload))
            elif isinstance(event, Lost):
                self.lost[event.nick] += event.count


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([ALICE, ALICE, BOB, CAROL]), max_size=25),
    st.integers(1, 10),
    st.data(),
)
def test_all_is_heard_in_order_or_told_as_lost_and_nothing_twice(speakers, kept, data):
    relay = Relay(kept)
    listener = Listener(relay, data)
    for speaker in speakers:
        listener.network += relay.say(speaker)
        if data.draw(st.booleans(), label="wait"):
            listener.arrive([1, 1, 0, 2])
    for _ in range(40):
        listener.network.append(Heartbeat(TAG, len(relay.sent)))
        listener.arrive([1])
    listener.wait(10)

    assert listener.client.arrivals.settled == len(relay.sent)
    assert sorted(listener.client.arrivals.members) == [*relay.there, MY_NUMBER]
    for own in listener.heard.values():
        assert own == sorted(set(own))
    missing = Counter({NICKS[n]: relay.own[n] - len(own) for n, own in listener.heard.items()})
    if listener.lost[None]:
        # Of Carol: her join was lost too, and nothing had been heard of her before.
        assert listener.lost.total() == missing.total()
    else:
        assert +listener.lost == +missing
