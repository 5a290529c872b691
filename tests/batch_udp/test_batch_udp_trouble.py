"""Destinations in trouble: who is held back, tried again, and when it is over."""

from __future__ import annotations

import errno
from collections.abc import Hashable

import pytest

from udprelay.batch_udp.trouble import MAX_PROBES, MAX_TROUBLES, Kind, Troubles

REFUSED, NO_HOST = errno.ECONNREFUSED, errno.EHOSTUNREACH


class Watched(Troubles):
    """Keeps what is reported."""

    def __init__(self) -> None:
        super().__init__(
            lambda peer, code: self.began.append((peer, code)),
            lambda peer, seconds: self.ended.append((peer, seconds)),
        )
        self.began: list[tuple[Hashable, int]] = []
        self.ended: list[tuple[Hashable, float]] = []

    def kind(self, peer: Hashable) -> Kind | None:
        """Return as what a destination is held back, or None."""
        trouble = self.held(peer)
        return None if trouble is None else trouble.kind

    def probe_all(self, now: float) -> list[Hashable]:
        """Send the probes that are due; return their destinations."""
        probed = [peer for peer in self.due(now) if self.try_probe(peer, now)]
        for peer in probed:
            self.probe_sent(peer, now)
        return probed


def congested(troubles: Watched, peer: Hashable) -> None:
    troubles.suspect(peer, 0.0)
    troubles.judge(peer, guilty=True, now=0.1)
    assert troubles.kind(peer) is Kind.CONGESTED


@pytest.fixture
def troubles() -> Watched:
    return Watched()


def test_an_unreachable_destination_gets_one_datagram_a_second(troubles: Watched) -> None:
    troubles.refuse("ada", REFUSED, 0.0)
    assert troubles.kind("ada") is Kind.UNREACHABLE
    probed = []
    for tenth in range(45):
        now = tenth / 10
        if troubles.probe_all(now):
            probed.append(now)
            troubles.refuse("ada", REFUSED, now)
    assert probed == [1.0, 2.0, 3.0, 4.0]
    assert troubles.began == [("ada", REFUSED)]


@pytest.mark.parametrize(("code", "seconds"), [(REFUSED, 1.0), (NO_HOST, 4.0)])
def test_a_probe_without_an_error_ends_it(troubles: Watched, code: int, seconds: float) -> None:
    troubles.refuse("ada", code, 0.0)
    released = 0.0
    while troubles.kind("ada"):
        released += 0.5
        troubles.probe_all(released)
    # The error for a neighbour that is not there takes 3 s.
    assert released == 1.0 + seconds
    troubles.expire(released + 4.9)
    assert troubles.ended == []
    troubles.expire(released + 5.0)
    assert troubles.ended == [("ada", released + 5.0)]
    assert len(troubles) == 0


def test_a_destination_that_is_heard_gets_everything_at_once(troubles: Watched) -> None:
    troubles.refuse("ada", REFUSED, 0.0)
    troubles.hear("ada", 0.1)
    assert troubles.held("ada") is None
    assert troubles.due(1.0) == []


def test_errors_do_not_count_for_a_second_after_a_datagram(troubles: Watched) -> None:
    troubles.refuse("ada", REFUSED, 0.0)
    troubles.hear("ada", 0.1)
    troubles.refuse("ada", REFUSED, 1.0)
    assert not troubles.held("ada")
    troubles.refuse("ada", REFUSED, 1.2)
    assert troubles.held("ada")
    assert troubles.began == [("ada", REFUSED)]


def test_who_is_not_held_back_is_heard_without_effect(troubles: Watched) -> None:
    troubles.hear("ada", 0.0)
    assert len(troubles) == 0
    troubles.suspect("ada", 0.0)
    troubles.hear("ada", 0.1)
    assert troubles.kind("ada") is Kind.SUSPECTED


def test_all_probes_together_are_limited_and_everybody_has_a_turn(troubles: Watched) -> None:
    everybody = range(3 * MAX_PROBES)
    for number in everybody:
        troubles.refuse(number, NO_HOST, 0.0)
    probed: list[Hashable] = []
    for tenth in range(10, 45):
        now = tenth / 10
        for peer in troubles.probe_all(now):
            probed.append(peer)
            troubles.refuse(peer, NO_HOST, now)
    assert probed[: len(everybody)] == list(everybody)
    assert len(probed) <= 4.5 * MAX_PROBES


def test_a_destination_to_which_nothing_is_sent_is_forgotten(troubles: Watched) -> None:
    troubles.refuse("ada", REFUSED, 0.0)
    assert troubles.due(158.9) == ["ada"]
    assert troubles.due(159.0) == []
    assert troubles.ended == [("ada", 159.0)]


def test_a_suspect_that_is_cleared_is_not_reported(troubles: Watched) -> None:
    troubles.suspect("ada", 0.0)
    assert troubles.kind("ada") is Kind.SUSPECTED
    assert troubles.waiting
    assert not troubles.judge("ada", guilty=False, now=0.1)
    assert troubles.judge("ada", guilty=False, now=0.2)
    assert (troubles.held("ada"), troubles.is_waiting("ada")) == (None, False)
    assert (troubles.began, troubles.ended, len(troubles)) == ([], [], 0)


def test_a_suspect_that_is_not_tried_is_forgotten(troubles: Watched) -> None:
    troubles.suspect("ada", 0.0)
    troubles.expire(5.0)
    assert (troubles.began, troubles.ended, len(troubles)) == ([], [], 0)


def test_a_congested_destination_is_so_until_5_s_after_the_last_sign(troubles: Watched) -> None:
    troubles.suspect("ada", 0.0)
    troubles.judge("ada", guilty=True, now=0.1)
    assert troubles.kind("ada") is Kind.CONGESTED
    assert troubles.is_waiting("ada")
    assert troubles.began == [("ada", errno.EAGAIN)]
    troubles.suspect("ada", 2.0)
    troubles.judge("ada", guilty=True, now=3.0)
    troubles.expire(7.9)
    assert troubles.kind("ada") is Kind.CONGESTED
    troubles.expire(8.0)
    assert troubles.ended == [("ada", 8.0)]
    assert not troubles.waiting


def test_two_clean_trials_acquit_a_congested_destination(troubles: Watched) -> None:
    congested(troubles, "ada")
    assert [half / 2 for half in range(1, 7) if troubles.try_trial("ada", half / 2)] == [1, 2, 3]
    assert not troubles.judge("ada", guilty=False, now=3.1)
    # The second one follows at once.
    assert troubles.try_trial("ada", 3.1)
    assert troubles.judge("ada", guilty=False, now=3.2)
    assert (troubles.held("ada"), troubles.waiting) == (None, False)
    assert not troubles.judge("ada", guilty=True, now=3.2)
    troubles.suspect("ada", 3.3)
    assert troubles.kind("ada") is Kind.CONGESTED
    # It is still the same trouble.
    assert troubles.began == [("ada", errno.EAGAIN)]


def test_clean_trials_count_in_a_row(troubles: Watched) -> None:
    troubles.suspect("ada", 0.0)
    for guilty in (False, True, False):
        assert not troubles.judge("ada", guilty=guilty, now=0.1)
    assert troubles.judge("ada", guilty=False, now=0.2)


def test_suspects_are_tried_before_congested_destinations(troubles: Watched) -> None:
    congested(troubles, "ada")
    troubles.suspect("bob", 1.0)
    assert [troubles.try_trial(peer, 2.0) for peer in ("ada", "bob")] == [False, True]
    troubles.judge("bob", guilty=True, now=2.1)
    assert troubles.try_trial("ada", 2.1)


@pytest.mark.parametrize("judged", [False, True])
def test_a_congested_destination_that_turns_out_to_be_unreachable_is_probed(
    troubles: Watched, judged: bool
) -> None:
    troubles.suspect("ada", 0.0)
    if judged:
        troubles.judge("ada", guilty=True, now=0.1)
    troubles.refuse("ada", NO_HOST, 3.0)
    assert troubles.kind("ada") is Kind.UNREACHABLE
    assert not troubles.waiting
    assert troubles.probe_all(4.0) == ["ada"]
    # One trouble has one report.
    assert troubles.began == [("ada", errno.EAGAIN if judged else NO_HOST)]


def test_a_destination_on_probation_whose_datagrams_wait_is_congested(troubles: Watched) -> None:
    troubles.refuse("ada", NO_HOST, 0.0)
    troubles.hear("ada", 0.1)
    troubles.suspect("ada", 0.2)
    assert troubles.kind("ada") is Kind.CONGESTED
    assert troubles.began == [("ada", NO_HOST)]


def test_what_the_kernel_refuses_is_reported_and_not_held_back(troubles: Watched) -> None:
    troubles.note("ada", errno.EPERM, 0.0)
    troubles.note("ada", errno.EPERM, 4.0)
    assert troubles.held("ada") is None
    assert troubles.began == [("ada", errno.EPERM)]
    troubles.expire(8.9)
    assert troubles.ended == []
    troubles.expire(9.0)
    assert troubles.ended == [("ada", 9.0)]


def test_the_table_is_bounded(troubles: Watched) -> None:
    for peer in range(MAX_TROUBLES):
        troubles.refuse(peer, REFUSED, 0.0)
    troubles.refuse("ada", REFUSED, 0.0)
    troubles.suspect("ada", 0.0)
    troubles.note("ada", errno.EPERM, 0.0)
    assert len(troubles) == len(troubles.began) == MAX_TROUBLES


def test_the_version_tells_when_others_are_held_back(troubles: Watched) -> None:
    versions = [troubles.version]
    troubles.refuse("ada", REFUSED, 0.0)
    versions.append(troubles.version)
    troubles.refuse("ada", REFUSED, 0.1)
    assert troubles.version == versions[-1]
    troubles.hear("ada", 0.2)
    versions.append(troubles.version)
    troubles.suspect("bob", 0.2)
    versions.append(troubles.version)
    for now in (0.3, 0.4):
        troubles.judge("bob", guilty=False, now=now)
    versions.append(troubles.version)
    assert len(set(versions)) == len(versions)
