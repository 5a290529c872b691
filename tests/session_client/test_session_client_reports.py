"""Senders are told what has not arrived, until the relay says that it knows."""

from __future__ import annotations

import pytest

from udprelay.protocol.wire.members import MemberKind
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.reports import AGAIN, INTERVAL, MOST_TRIES, Reports


def member(number: int, name: str = "") -> KnownMember:
    name = name or str(number)
    return KnownMember(number, name, MemberKind.SESSION, name.encode().ljust(16, b"."), True)


MEMBERS = {number: member(number) for number in range(1, 2000)}


@pytest.fixture
def reports() -> Reports:
    return Reports()


def tokens(reports: Reports, *times: float) -> list[bytes | None]:
    """Return what is sent when; the relay is heard all the time."""
    sent: list[bytes | None] = []
    for now in times:
        reports.hear()
        report = reports.take(MEMBERS, now)
        sent.append(None if report is None else report[2])
    return sent


def test_one_sender_is_told_after_another(reports):
    assert reports.deadline is None
    reports.add(member(1), 9, 2)
    reports.add(member(2), 5, 1)
    reports.add(member(1), 20, 1)
    assert reports.deadline is not None
    assert reports.take(MEMBERS, 10.0)[:2] == (1, ((8, 2), (20, 1)))
    assert reports.deadline == 10.0 + INTERVAL
    assert reports.take(MEMBERS, 10.0) is None
    assert reports.take(MEMBERS, 10.1)[:2] == (2, ((5, 1),))


def test_each_report_has_a_token_of_its_own(reports):
    for number in range(1, 11):
        reports.add(member(number), 1, 1)
    assert len({*tokens(reports, *(number * INTERVAL for number in range(10)))}) == 10


def test_what_is_answered_is_not_repeated(reports):
    reports.add(member(1), 9, 2)
    (token,) = tokens(reports, 0.0)
    assert reports.deadline == AGAIN
    assert reports.take(MEMBERS, AGAIN / 2) is None
    reports.answered(token)
    assert reports.deadline is None
    assert reports.take(MEMBERS, AGAIN) is None
    reports.answered(token)


def test_what_is_not_answered_is_repeated_ten_times_at_most(reports):
    reports.add(member(1), 9, 2)
    times = [number * AGAIN for number in range(MOST_TRIES + 1)]
    sent = tokens(reports, *times)
    assert len({*sent[:-1]}) == 1
    assert sent[-1] is None
    assert len(reports) == 0


def test_what_a_silent_relay_does_not_answer_is_repeated_as_long_as_it_is_silent(reports):
    reports.add(member(1), 9, 2)
    for number in range(3 * MOST_TRIES):
        assert reports.take(MEMBERS, number * AGAIN) is not None
    times = [number * AGAIN for number in range(3 * MOST_TRIES, 4 * MOST_TRIES)]
    assert None not in tokens(reports, *times[:-1])
    assert tokens(reports, times[-1]) == [None]


def test_whoever_may_be_in_a_list_that_is_still_to_come_is_waited_for(reports):
    reports.add(member(1), 9, 2)
    for number in range(3 * MOST_TRIES):
        assert reports.take({}, number * AGAIN, in_doubt=True) is None
    assert reports.take(MEMBERS, 3 * MOST_TRIES * AGAIN)[0] == 1


def test_whoever_does_not_come_back_is_told_nothing(reports):
    reports.add(member(1), 9, 2)
    for number in range(MOST_TRIES):
        assert len(reports) == 1
        assert reports.take({}, number * AGAIN) is None
    assert len(reports) == 0


def test_whoever_has_another_number_now_is_found(reports):
    reports.add(member(1, "anna"), 9, 2)
    now = {1: member(1, "bert"), 7: member(7, "anna")}
    assert reports.take(now, 0.0)[0] == 7


def test_whoever_is_away_is_told_when_it_is_back(reports):
    reports.add(member(1, "anna"), 9, 2)
    assert reports.take({}, 0.0) is None
    assert reports.take({7: member(7, "anna")}, AGAIN)[0] == 7


def test_the_number_of_senders_is_bounded(reports):
    for number in range(1, 1030):
        reports.add(member(number), 1, 1)
    assert len(reports) == 1024
    assert reports.take(MEMBERS, 0.0)[0] == 6
    # What was sent before is forgotten first.
    reports.add(member(1), 1, 1)
    assert len(reports) == 1024
    assert reports.take(MEMBERS, AGAIN)[0] == 7


def test_a_sender_is_told_the_last_ranges(reports):
    for last in range(2, 200, 2):
        reports.add(member(1), last, 1)
    _, ranges, _ = reports.take(MEMBERS, 0.0)
    assert len(ranges) == 32
    assert ranges[-1] == (198, 1)


def test_a_range_is_bounded(reports):
    reports.add(member(1), 2**32 - 2, 2**31)
    assert reports.take(MEMBERS, 0.0)[1] == ((2**32 - 2 - 65_534, 65_535),)
