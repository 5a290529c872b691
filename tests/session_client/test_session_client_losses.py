"""Each loss is reported once to the client's user, and to its sender until acknowledged."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.wire.members import MemberKind
from udprelay.protocol.wire.ranges import Ranges
from udprelay.session_client.events import Event, Lost
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.losses import (
    ATTRIBUTION_TIMEOUT,
    MAX_MISSED_TRIES,
    MISSED_INTERVAL,
    MISSED_RETRY_INTERVAL,
    Losses,
    MissedReports,
)
from udprelay.session_client.settings import Statistics


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def losses(events: list[Event]) -> Losses:
    return Losses(events.append, Statistics())


def test_a_gap_attributes_a_loss_to_its_sender(losses: Losses, events: list[Event]) -> None:
    losses.add_unattributed(3, 0.0)
    assert events == []
    assert losses.attribute(2, "Alice") == 0
    losses.close()
    assert events == [Lost(2, "Alice"), Lost(1, None)]
    assert losses.statistics.lost == 3


def test_a_loss_is_reported_without_a_sender_after_the_timeout(
    losses: Losses, events: list[Event]
) -> None:
    losses.add_unattributed(3, 0.0)
    losses.add_unattributed(1, 3.0)
    deadline = losses.deadline
    assert deadline == ATTRIBUTION_TIMEOUT
    losses.expire(ATTRIBUTION_TIMEOUT - 0.1)
    assert events == []
    losses.expire(ATTRIBUTION_TIMEOUT)
    assert events == [Lost(4, None)]
    assert losses.deadline == inf
    losses.expire(100.0)
    assert losses.statistics.lost == 4


def test_lost_entries_are_not_reported(losses: Losses, events: list[Event]) -> None:
    losses.add_unattributed(3, 0.0)
    losses.deduct_entries(2)
    losses.close()
    assert events == [Lost(1, None)]
    losses.deduct_entries(5)
    losses.close()
    assert losses.statistics.lost == 1


def test_a_gap_without_a_loss_in_the_room_sequence_is_unexplained(
    losses: Losses, events: list[Event]
) -> None:
    assert losses.attribute(2, "Alice") == 2
    losses.add_unattributed(1, 0.0)
    assert losses.attribute(3, "Alice") == 2
    losses.close()
    assert events == [Lost(2, "Alice"), Lost(3, "Alice")]


def test_a_loss_reported_without_a_sender_is_not_reported_again(
    losses: Losses, events: list[Event]
) -> None:
    losses.add_unattributed(3, 0.0)
    losses.close()
    assert losses.attribute(2, "Alice") == 0
    assert losses.attribute(2, "Alice") == 1
    assert events == [Lost(3, None), Lost(1, "Alice")]


def test_losses_of_the_last_room_explain_no_gaps(losses: Losses, events: list[Event]) -> None:
    losses.add_unattributed(3, 0.0)
    losses.leave_room()
    assert losses.attribute(2, "Alice") == 2
    assert events == [Lost(3, None), Lost(2, "Alice")]


steps = st.tuples(st.sampled_from(["loss", "gap", "close"]), st.integers(1, 5))


@given(st.lists(steps))
def test_each_datagram_is_reported_once(steps: list[tuple[str, int]]) -> None:
    events: list[Event] = []
    losses = Losses(events.append, Statistics())
    lost = gaps = unexplained = 0
    for step, count in steps:
        if step == "loss":
            lost += count
            losses.add_unattributed(count, 0.0)
        elif step == "gap":
            gaps += count
            unexplained += losses.attribute(count, "Alice")
        else:
            losses.close()
    losses.close()
    assert losses.statistics.lost == sum(
        event.count for event in events if isinstance(event, Lost)
    )
    assert losses.statistics.lost == lost + unexplained
    assert losses.statistics.lost >= max(lost, gaps)


# MISSED.


def member(number: int, name: str = "") -> KnownMember:
    name = name or str(number)
    return KnownMember(number, name, MemberKind.SESSION, name.encode().ljust(16, b"."), True)


MEMBERS = {number: member(number) for number in range(1, 2000)}


@pytest.fixture
def reports() -> MissedReports:
    return MissedReports()


def next_missed(
    reports: MissedReports, now: float, members: Mapping[int, KnownMember] = MEMBERS
) -> tuple[int, Ranges]:
    """Return number and ranges of the MISSED to send now."""
    report = reports.next_missed(members, now, updating=False)
    assert report is not None
    number, ranges, _ = report
    return number, ranges


def tokens(reports: MissedReports, *times: float) -> list[bytes | None]:
    """Return the tokens of what is sent at some times, with contact all the time."""
    sent: list[bytes | None] = []
    for now in times:
        reports.note_contact()
        report = reports.next_missed(MEMBERS, now, updating=False)
        sent.append(None if report is None else report[2])
    return sent


def test_one_sender_is_told_at_a_time(reports: MissedReports) -> None:
    deadline = reports.deadline
    assert deadline == inf
    reports.add(member(1), 9, 2)
    reports.add(member(2), 5, 1)
    reports.add(member(1), 20, 1)
    assert reports.deadline < inf
    assert next_missed(reports, 10.0) == (1, ((8, 2), (20, 1)))
    assert reports.deadline == 10.0 + MISSED_INTERVAL
    assert reports.next_missed(MEMBERS, 10.0, updating=False) is None
    assert next_missed(reports, 10.1) == (2, ((5, 1),))


def test_each_report_has_its_own_token(reports: MissedReports) -> None:
    for number in range(1, 11):
        reports.add(member(number), 1, 1)
    assert len({*tokens(reports, *(number * MISSED_INTERVAL for number in range(10)))}) == 10


def test_an_acknowledged_report_is_not_retransmitted(reports: MissedReports) -> None:
    reports.add(member(1), 9, 2)
    (token,) = tokens(reports, 0.0)
    assert token is not None
    deadline = reports.deadline
    assert deadline == MISSED_RETRY_INTERVAL
    assert reports.next_missed(MEMBERS, MISSED_RETRY_INTERVAL / 2, updating=False) is None
    reports.acknowledge(token)
    deadline = reports.deadline
    assert deadline == inf
    assert reports.next_missed(MEMBERS, MISSED_RETRY_INTERVAL, updating=False) is None
    reports.acknowledge(token)


def test_a_report_is_sent_ten_times_at_most(reports: MissedReports) -> None:
    reports.add(member(1), 9, 2)
    times = [number * MISSED_RETRY_INTERVAL for number in range(MAX_MISSED_TRIES + 1)]
    sent = tokens(reports, *times)
    assert len({*sent[:-1]}) == 1
    assert sent[-1] is None
    assert reports.deadline == inf


def test_tries_during_an_outage_do_not_count(reports: MissedReports) -> None:
    reports.add(member(1), 9, 2)
    for number in range(3 * MAX_MISSED_TRIES):
        now = number * MISSED_RETRY_INTERVAL
        assert reports.next_missed(MEMBERS, now, updating=False) is not None
    first, end = 3 * MAX_MISSED_TRIES, 4 * MAX_MISSED_TRIES
    times = [number * MISSED_RETRY_INTERVAL for number in range(first, end)]
    assert None not in tokens(reports, *times[:-1])
    assert tokens(reports, times[-1]) == [None]


def test_a_report_waits_while_the_roster_is_incomplete(reports: MissedReports) -> None:
    reports.add(member(1), 9, 2)
    for number in range(3 * MAX_MISSED_TRIES):
        assert reports.next_missed({}, number * MISSED_RETRY_INTERVAL, updating=True) is None
    assert next_missed(reports, 3 * MAX_MISSED_TRIES * MISSED_RETRY_INTERVAL)[0] == 1


def test_a_report_to_a_member_that_has_left_is_dropped_after_ten_tries(
    reports: MissedReports,
) -> None:
    reports.add(member(1), 9, 2)
    for number in range(MAX_MISSED_TRIES):
        assert reports.deadline < inf
        assert reports.next_missed({}, number * MISSED_RETRY_INTERVAL, updating=False) is None
    assert reports.deadline == inf


def test_a_member_is_found_by_its_identity(reports: MissedReports) -> None:
    reports.add(member(1, "anna"), 9, 2)
    members = {1: member(1, "bert"), 7: member(7, "anna")}
    assert next_missed(reports, 0.0, members)[0] == 7


def test_a_report_is_sent_when_the_member_is_back(reports: MissedReports) -> None:
    reports.add(member(1, "anna"), 9, 2)
    assert reports.next_missed({}, 0.0, updating=False) is None
    assert next_missed(reports, MISSED_RETRY_INTERVAL, {7: member(7, "anna")})[0] == 7


def test_the_number_of_reports_is_limited(reports: MissedReports) -> None:
    for number in range(1, 1030):
        reports.add(member(number), 1, 1)
    assert next_missed(reports, 0.0)[0] == 6
    # Reports that were sent are dropped first.
    reports.add(member(1), 1, 1)
    assert next_missed(reports, MISSED_RETRY_INTERVAL)[0] == 7


def test_a_report_has_the_last_32_ranges(reports: MissedReports) -> None:
    for last in range(2, 200, 2):
        reports.add(member(1), last, 1)
    _, ranges = next_missed(reports, 0.0)
    assert len(ranges) == 32
    assert ranges[-1] == (198, 1)


def test_the_length_of_a_range_is_limited(reports: MissedReports) -> None:
    reports.add(member(1), 2**32 - 2, 2**31)
    assert next_missed(reports, 0.0)[1] == ((2**32 - 2 - 65_534, 65_535),)
