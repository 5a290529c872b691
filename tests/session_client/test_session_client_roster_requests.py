"""The roster is requested page by page, one request at a time."""

from __future__ import annotations

from itertools import pairwise
from math import inf

from udprelay.session_client.roster_requests import RosterRequests


def test_there_is_no_request_without_a_reason() -> None:
    requests = RosterRequests()
    assert requests.next_number(0.0) is None
    assert requests.deadline == inf
    assert not requests.updating


def test_the_rest_is_requested_page_by_page() -> None:
    requests = RosterRequests()
    requests.reset(more_from=40, newest=1)
    first_round = requests.first_round
    assert first_round
    assert requests.next_number(0.0) == 40
    assert requests.accept(40, 80, newest=1)
    assert requests.next_number(0.1) == 80
    in_doubt = requests.updating
    assert in_doubt
    assert requests.accept(80, None, newest=1)
    assert requests.next_number(0.2) is None
    assert not requests.updating
    assert not requests.first_round


def test_a_request_is_retransmitted_after_250_ms_and_then_every_second() -> None:
    requests = RosterRequests()
    requests.reset(more_from=40, newest=1)
    times = [0.0, 0.25, 0.75, 1.75, 2.75]
    for now, following in pairwise(times):
        assert requests.next_number(now) == 40
        assert requests.deadline == following
        assert requests.next_number(following - 0.01) is None
    requests.accept(40, 80, newest=1)
    assert requests.next_number(2.75) == 80
    assert requests.deadline == 3.0


def test_a_request_is_retransmitted_at_once_in_another_session() -> None:
    requests = RosterRequests()
    requests.reset(more_from=40, newest=1)
    assert requests.next_number(0.0) == 40
    requests.resume()
    assert requests.next_number(0.1) == 40


def test_pages_that_were_not_requested_are_ignored() -> None:
    requests = RosterRequests()
    assert not requests.accept(0, None, newest=1)
    requests.reset(more_from=40, newest=1)
    requests.next_number(0.0)
    assert not requests.accept(41, None, newest=1)
    assert not requests.accept(40, None, newest=0)
    assert requests.accept(40, None, newest=1)
    assert not requests.accept(40, None, newest=1)


def test_a_page_older_than_the_request_is_ignored() -> None:
    requests = RosterRequests()
    requests.request_all(7, 0.0)
    in_doubt = requests.updating
    assert in_doubt
    assert requests.next_number(0.0) == 0
    assert not requests.accept(0, None, newest=6)
    assert requests.accept(0, 5, newest=7)
    assert requests.next_number(0.0) == 5
    assert requests.accept(5, None, newest=7)
    assert not requests.updating


def test_another_round_begins_after_2_s() -> None:
    requests = RosterRequests()
    requests.request_all(7, 0.0)
    requests.next_number(0.0)
    requests.request_all(9, 0.5)
    requests.request_all(8, 0.6)
    requests.accept(0, None, newest=8)
    assert requests.next_number(1.9) is None
    in_doubt = requests.updating
    assert in_doubt
    assert requests.deadline == 2.0
    assert requests.next_number(2.0) == 0
    assert not requests.accept(0, None, newest=8)
    assert requests.accept(0, None, newest=9)
    assert not requests.updating


def test_the_next_round_begins_after_the_first() -> None:
    requests = RosterRequests()
    requests.reset(more_from=40, newest=1)
    requests.request_all(7, 0.0)
    assert requests.next_number(0.0) == 40
    requests.accept(40, None, newest=7)
    assert not requests.first_round
    assert requests.next_number(0.1) == 0


def test_a_single_member_is_requested_before_the_next_page() -> None:
    requests = RosterRequests()
    requests.reset(more_from=40, newest=1)
    requests.request(70)
    assert requests.next_number(0.0) == 70
    requests.request(70)
    assert requests.accept(70, 80, newest=1)
    assert requests.next_number(0.0) == 40


def test_a_request_can_be_cancelled() -> None:
    requests = RosterRequests()
    requests.request(70)
    requests.request(71)
    requests.cancel(71)
    assert requests.next_number(0.0) == 70
    requests.cancel(70)
    assert requests.next_number(2.0) is None
    requests.cancel(70)


def test_the_number_of_requested_members_is_limited() -> None:
    requests = RosterRequests()
    for number in range(1, 100):
        requests.request(number)
    requested = []
    while (wanted := requests.next_number(0.0)) is not None:
        requested.append(wanted)
        requests.accept(wanted, None, newest=1)
    assert requested == list(range(1, 65))


def test_a_page_that_leads_back_ends_the_round() -> None:
    requests = RosterRequests()
    requests.reset(more_from=40, newest=1)
    requests.next_number(0.0)
    assert requests.accept(40, 40, newest=1)
    assert requests.next_number(0.0) is None
