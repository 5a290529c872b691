"""Each datagram counts once, by its sender's own sequence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.session_client.identities import MOST_IDENTITIES, WINDOW, Identities, Verdict

ALICE, BOB = b"a" * 16, b"b" * 16
NEW, REPEATED, TOO_OLD = Verdict.NEW, Verdict.REPEATED, Verdict.TOO_OLD


def test_a_sender_may_begin_anywhere():
    identities = Identities()
    assert identities.skipped(ALICE, 6) == 0
    assert identities.reliable(ALICE, 7) is NEW
    assert identities.reliable(ALICE, 8) is NEW


def test_what_is_before_the_next_is_repeated():
    identities = Identities()
    identities.reliable(ALICE, 7)
    assert identities.reliable(ALICE, 7) is REPEATED
    assert identities.reliable(ALICE, 3) is REPEATED
    assert identities.reliable(BOB, 3) is NEW


def test_what_lies_between_is_missing_and_counts_once():
    identities = Identities()
    identities.reliable(ALICE, 7)
    assert identities.skipped(ALICE, 9) == 2
    assert identities.skipped(ALICE, 9) == 0
    assert identities.reliable(ALICE, 9) is REPEATED
    assert identities.skipped(ALICE, 9) == 0
    assert identities.reliable(ALICE, 10) is NEW


def test_nothing_is_missing_of_a_sender_that_nothing_was_known_of():
    identities = Identities()
    assert identities.skipped(ALICE, 9) == 0
    assert identities.reliable(ALICE, 9) is REPEATED
    assert identities.reliable(ALICE, 10) is NEW


def test_a_sender_that_has_said_nothing_yet_is_known():
    identities = Identities()
    assert identities.skipped(ALICE, 0) == 0
    assert identities.skipped(ALICE, 2) == 2


def test_the_sequences_of_a_sender_have_nothing_to_do_with_each_other():
    identities = Identities()
    assert identities.reliable(ALICE, 5) is NEW
    assert identities.unreliable(ALICE, 5) is NEW
    assert identities.private(ALICE, 5) is NEW
    assert identities.private(ALICE, 5, reliable=False) is NEW


def test_private_datagrams_come_in_order_with_gaps():
    identities = Identities()
    assert identities.private(ALICE, 5) is NEW
    assert identities.private(ALICE, 9) is NEW
    assert identities.private(ALICE, 9) is REPEATED
    assert identities.private(ALICE, 7) is REPEATED


@pytest.mark.parametrize("take", [Identities.unreliable, Identities.reliable])
def test_out_of_order_the_last_ones_are_known_one_by_one(take):
    identities = Identities(ordered=False)
    assert take(identities, ALICE, 5) is NEW
    assert take(identities, ALICE, 3) is NEW
    assert take(identities, ALICE, 3) is REPEATED
    assert take(identities, ALICE, 2000) is NEW
    assert take(identities, ALICE, 2000 - WINDOW + 1) is NEW
    assert take(identities, ALICE, 2000 - WINDOW + 1) is REPEATED
    assert take(identities, ALICE, 2000 - WINDOW) is TOO_OLD
    assert take(identities, ALICE, 2**32 - 2) is NEW
    assert take(identities, ALICE, 2000) is TOO_OLD


@given(st.lists(st.integers(1, 3000)))
def test_a_window_lets_nothing_through_twice(owns):
    identities = Identities()
    seen = set()
    for own in owns:
        verdict = identities.unreliable(ALICE, own)
        if own in seen:
            assert verdict is not NEW
        else:
            newest = max(seen, default=0)
            assert verdict is (TOO_OLD if own <= newest - WINDOW else NEW)
            if verdict is NEW:
                seen.add(own)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30))))
def test_each_own_sequence_is_new_missing_or_before_the_first(steps):
    identities = Identities()
    new, missing, first = [], [], None
    for is_page, own in steps:
        last = own if is_page else own - 1
        count = identities.skipped(ALICE, last)
        missing += range(last - count + 1, last + 1)
        first = last + 1 if first is None else first
        if not is_page and identities.reliable(ALICE, own) is NEW:
            new.append(own)
    assert sorted(new + missing) == list(range(first or 1, (first or 1) + len(new + missing)))
    assert new == sorted(new)


def test_the_identities_heard_of_last_are_kept():
    identities = Identities()
    for number in range(MOST_IDENTITIES):
        identities.reliable(number.to_bytes(16, "big"), 7)
    identities.unreliable(bytes(16), 1)
    identities.reliable(ALICE, 1)
    assert len(identities) == MOST_IDENTITIES
    assert identities.reliable(bytes(16), 7) is REPEATED
    assert identities.reliable((1).to_bytes(16, "big"), 7) is NEW
