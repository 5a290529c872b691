"""The roster comes to the same, in whatever order pages and entries come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from session_client_arrivals import (
    joins,
    leaves,
    page,
    record,
    renames,
)
from session_client_roster import Room

from udprelay.protocol.wire.members import MemberKind

SESSION, PLAIN, CONSOLE = MemberKind


class Truth:
    """What has happened in a room, by sequence."""

    def __init__(self, changes):
        self.entries = []
        self.states = [{}]
        number = 0
        for sequence, (what, which) in enumerate(changes, start=1):
            state = dict(self.states[-1])
            there = sorted(state)
            if what == "join" or not there:
                number += 1
                state[number] = f"nick{sequence}"
                change = joins(sequence, number, state[number])
            elif what == "leave":
                gone = there[which % len(there)]
                del state[gone]
                change = leaves(sequence, gone)
            else:
                renamed = there[which % len(there)]
                state[renamed] = f"nick{sequence}"
                change = renames(sequence, renamed, state[renamed])
            self.entries.append(change)
            self.states.append(state)

    def page(self, newest, first, size):
        members = [
            record(n, nick) for n, nick in sorted(self.states[newest].items()) if n >= first
        ]
        more = members[size].number if len(members) > size else None
        return members[:size], more


changes = st.lists(
    st.tuples(st.sampled_from(["join", "join", "leave", "nick"]), st.integers(0, 9)),
    min_size=1,
    max_size=25,
)


@given(changes, st.data())
def test_it_comes_to_the_same_in_whatever_order_things_come(changes, data):
    truth = Truth(changes)
    last = len(changes)
    start = data.draw(st.integers(0, last), label="WELCOME as of")
    size = data.draw(st.integers(1, 4), label="members in a page")
    first = data.draw(st.integers(1, start + 1), label="first sequence")
    members, more = truth.page(start, 0, size)
    room = Room(*members, newest=start, more_from=more)
    coming = data.draw(st.permutations(truth.entries[first - 1 :]), label="order")
    settled, answers, now = set(range(first)), [], 0.0
    while coming or answers or room.roster.in_doubt:
        now += 0.5
        room.roster.settled(
            next(n for n in range(last + 2) if n + 1 not in settled and n + 1 >= first), now
        )
        asked = room.roster.ask(now)
        if asked is not None:
            newest = last
            if coming:
                newest = data.draw(st.integers(max(start, *settled), last), label="as of")
            members, more = truth.page(newest, asked, size)
            answers.append(page(*members, newest=newest, first=asked, more_from=more))
        if answers and data.draw(st.booleans(), label="an answer"):
            room.roster.page(answers.pop(0), now)
        elif coming:
            change = coming.pop(0)
            settled.add(change.sequence)
            if data.draw(st.sampled_from([False, False, True]), label="lost"):
                room.roster.questions.ask_all(change.sequence, now)
            else:
                room.entry(change)
    assert room.others == truth.states[last]


@given(changes)
def test_in_order_each_change_is_told_once(changes):
    truth = Truth(changes)
    room = Room(newest=0)
    room.entry(*truth.entries)
    assert len(room.take()) == len(changes)
    assert room.others == truth.states[-1]
