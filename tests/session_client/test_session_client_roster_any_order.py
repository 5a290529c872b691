"""Pages and entries in any order give the same roster."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from session_client_arrivals import (
    join_entry,
    leave_entry,
    nick_entry,
    page,
    record,
)
from session_client_roster import Room

from udprelay.protocol.wire.from_relay import Members
from udprelay.protocol.wire.members import MemberRecord
from udprelay.protocol.wire.sequenced import Entry


class Truth:
    """The entries of a room, and its members after each."""

    def __init__(self, changes: list[tuple[str, int]]) -> None:
        self.entries: list[Entry] = []
        self.states: list[dict[int, str]] = [{}]
        number = 0
        for sequence, (change, which) in enumerate(changes, start=1):
            state = dict(self.states[-1])
            present = sorted(state)
            if change == "join" or not present:
                number += 1
                state[number] = f"nick{sequence}"
                entry = join_entry(sequence, number, state[number])
            elif change == "leave":
                gone = present[which % len(present)]
                del state[gone]
                entry = leave_entry(sequence, gone)
            else:
                renamed = present[which % len(present)]
                state[renamed] = f"nick{sequence}"
                entry = nick_entry(sequence, renamed, state[renamed])
            self.entries.append(entry)
            self.states.append(state)

    def page(self, newest: int, first: int, size: int) -> tuple[list[MemberRecord], int | None]:
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
def test_pages_and_entries_in_any_order_give_the_same_members(
    changes: list[tuple[str, int]], data: st.DataObject
) -> None:
    truth = Truth(changes)
    last = len(changes)
    start = data.draw(st.integers(0, last), label="WELCOME as of")
    size = data.draw(st.integers(1, 4), label="members in a page")
    first = data.draw(st.integers(1, start + 1), label="first sequence")
    members, more = truth.page(start, 0, size)
    room = Room(*members, newest=start, more_from=more)
    pending = data.draw(st.permutations(truth.entries[first - 1 :]), label="order")
    settled = set(range(first))
    answers: list[Members] = []
    now = 0.0
    while pending or answers or room.roster.updating:
        now += 0.5
        room.roster.settle(
            next(n for n in range(last + 2) if n + 1 not in settled and n + 1 >= first), now
        )
        number = room.roster.next_request(now)
        if number is not None:
            newest = last
            if pending:
                newest = data.draw(st.integers(max(start, *settled), last), label="as of")
            members, more = truth.page(newest, number, size)
            answers.append(page(*members, newest=newest, first=number, more_from=more))
        if bool(answers) and data.draw(st.booleans(), label="an answer"):
            room.roster.receive_page(answers.pop(0), now)
        elif pending:
            entry = pending.pop(0)
            settled.add(entry.sequence)
            if data.draw(st.sampled_from([False, False, True]), label="lost"):
                room.roster.requests.request_all(entry.sequence, now)
            else:
                room.receive(entry)
    assert room.others == truth.states[last]


@given(changes)
def test_in_order_each_change_is_one_event(changes: list[tuple[str, int]]) -> None:
    truth = Truth(changes)
    room = Room(newest=0)
    room.receive(*truth.entries)
    assert len(room.drain_events()) == len(changes)
    assert room.others == truth.states[-1]
