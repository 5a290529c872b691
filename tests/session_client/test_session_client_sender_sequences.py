"""Duplicates and gaps by the senders' own sequences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.seal import PRIVATE, RELIABLE, UNRELIABLE, UNRELIABLE_PRIVATE
from udprelay.session_client.sender_sequences import (
    MAX_SENDERS,
    REPLAY_WINDOW,
    SenderSequences,
    Verdict,
)

ALICE, BOB = b"a" * 16, b"b" * 16
NEW, DUPLICATE, TOO_OLD = Verdict.NEW, Verdict.DUPLICATE, Verdict.TOO_OLD


def test_a_sequence_may_begin_anywhere() -> None:
    sequences = SenderSequences(ordered=True)
    assert sequences.advance(ALICE, 6) == 0
    assert sequences.add(ALICE, RELIABLE, 7) is NEW
    assert sequences.add(ALICE, RELIABLE, 8) is NEW


def test_reliable_numbers_below_the_expected_are_duplicates() -> None:
    sequences = SenderSequences(ordered=True)
    sequences.add(ALICE, RELIABLE, 7)
    assert sequences.add(ALICE, RELIABLE, 7) is DUPLICATE
    assert sequences.add(ALICE, RELIABLE, 3) is DUPLICATE
    assert sequences.add(BOB, RELIABLE, 3) is NEW


def test_a_gap_is_missing_and_counts_once() -> None:
    sequences = SenderSequences(ordered=True)
    sequences.add(ALICE, RELIABLE, 7)
    assert sequences.advance(ALICE, 9) == 2
    assert sequences.advance(ALICE, 9) == 0
    assert sequences.add(ALICE, RELIABLE, 9) is DUPLICATE
    assert sequences.advance(ALICE, 9) == 0
    assert sequences.add(ALICE, RELIABLE, 10) is NEW


def test_nothing_is_missing_from_an_unknown_sender() -> None:
    sequences = SenderSequences(ordered=True)
    assert sequences.advance(ALICE, 9) == 0
    assert sequences.add(ALICE, RELIABLE, 9) is DUPLICATE
    assert sequences.add(ALICE, RELIABLE, 10) is NEW


def test_a_sender_without_messages_is_known() -> None:
    sequences = SenderSequences(ordered=True)
    assert sequences.advance(ALICE, 0) == 0
    assert sequences.advance(ALICE, 2) == 2


def test_the_sequences_of_a_sender_are_independent() -> None:
    sequences = SenderSequences(ordered=True)
    assert sequences.add(ALICE, RELIABLE, 5) is NEW
    assert sequences.add(ALICE, UNRELIABLE, 5) is NEW
    assert sequences.add(ALICE, PRIVATE, 5) is NEW
    assert sequences.add(ALICE, UNRELIABLE_PRIVATE, 5) is NEW


def test_private_sequences_may_have_gaps() -> None:
    sequences = SenderSequences(ordered=True)
    assert sequences.add(ALICE, PRIVATE, 5) is NEW
    assert sequences.add(ALICE, PRIVATE, 9) is NEW
    assert sequences.add(ALICE, PRIVATE, 9) is DUPLICATE
    assert sequences.add(ALICE, PRIVATE, 7) is DUPLICATE


@pytest.mark.parametrize("stream", [UNRELIABLE, RELIABLE, UNRELIABLE_PRIVATE])
def test_a_replay_window_recognises_duplicates_out_of_order(stream: int) -> None:
    sequences = SenderSequences(ordered=False)
    assert sequences.add(ALICE, stream, 5) is NEW
    assert sequences.add(ALICE, stream, 3) is NEW
    assert sequences.add(ALICE, stream, 3) is DUPLICATE
    assert sequences.add(ALICE, stream, 2000) is NEW
    assert sequences.add(ALICE, stream, 2000 - REPLAY_WINDOW + 1) is NEW
    assert sequences.add(ALICE, stream, 2000 - REPLAY_WINDOW + 1) is DUPLICATE
    assert sequences.add(ALICE, stream, 2000 - REPLAY_WINDOW) is TOO_OLD
    assert sequences.add(ALICE, stream, 2**32 - 2) is NEW
    assert sequences.add(ALICE, stream, 2000) is TOO_OLD


@given(st.lists(st.integers(1, 3000)))
def test_a_replay_window_passes_each_number_at_most_once(owns: list[int]) -> None:
    sequences = SenderSequences(ordered=True)
    seen: set[int] = set()
    for own in owns:
        verdict = sequences.add(ALICE, UNRELIABLE, own)
        if own in seen:
            assert verdict is not NEW
        else:
            newest = max(seen, default=0)
            assert verdict is (TOO_OLD if own <= newest - REPLAY_WINDOW else NEW)
            if verdict is NEW:
                seen.add(own)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30))))
def test_each_number_is_new_or_missing_once(
    steps: list[tuple[bool, int]],
) -> None:
    sequences = SenderSequences(ordered=True)
    new: list[int] = []
    missing: list[int] = []
    first = None
    for is_page, own in steps:
        last = own if is_page else own - 1
        count = sequences.advance(ALICE, last)
        missing += range(last - count + 1, last + 1)
        first = last + 1 if first is None else first
        if not is_page and sequences.add(ALICE, RELIABLE, own) is NEW:
            new.append(own)
    assert sorted(new + missing) == list(range(first or 1, (first or 1) + len(new + missing)))
    assert new == sorted(new)


def test_the_latest_senders_are_kept() -> None:
    sequences = SenderSequences(ordered=True)
    for number in range(MAX_SENDERS):
        sequences.add(number.to_bytes(16, "big"), RELIABLE, 7)
    sequences.add(bytes(16), UNRELIABLE, 1)
    sequences.add(ALICE, RELIABLE, 1)
    assert sequences.add(bytes(16), RELIABLE, 7) is DUPLICATE
    assert sequences.add((1).to_bytes(16, "big"), RELIABLE, 7) is NEW
