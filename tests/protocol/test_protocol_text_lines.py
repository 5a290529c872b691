"""Chunks of input become lines, in bounded memory."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.text import Line, LineSplitter


def split(max_length: int, *chunks: bytes) -> list[Line]:
    splitter = LineSplitter(max_length)
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.end()


def test_a_line_ends_with_a_line_feed_or_a_carriage_return_before_it() -> None:
    assert split(10, b"a\nb\r\n\r\nc\r\rd\n") == [
        Line(1, 1, b"a"),
        Line(2, 1, b"b"),
        Line(3, 0, b""),
        Line(4, 4, b"c\r\rd"),
    ]


def test_a_line_ends_with_its_line_break() -> None:
    splitter = LineSplitter(10)
    assert splitter.feed(b"a") == []
    assert splitter.feed(b"b\r") == []
    assert splitter.feed(b"\nc") == [Line(1, 2, b"ab")]


def test_the_last_line_needs_no_line_break() -> None:
    assert split(10, b"a\nb\r") == [Line(1, 1, b"a"), Line(2, 2, b"b\r")]
    assert split(10, b"a\n") == [Line(1, 1, b"a")]
    assert split(10) == []


def test_a_longer_line_has_no_content_and_does_not_affect_others() -> None:
    assert split(3, b"abc\r\nabcd\r\nabcd\nabc\n", b"x" * 9, b"\r", b"\nyy\n", b"abc\r") == [
        Line(1, 3, b"abc"),
        Line(2, 4, None),
        Line(3, 4, None),
        Line(4, 3, b"abc"),
        Line(5, 9, None),
        Line(6, 2, b"yy"),
        Line(7, 4, None),
    ]


def test_a_line_without_end_needs_no_memory() -> None:
    splitter = LineSplitter(100)
    tracemalloc.start()
    try:
        for _ in range(1000):
            assert splitter.feed(b"x" * 1000) == []
        assert tracemalloc.get_traced_memory()[1] < 50_000
    finally:
        tracemalloc.stop()
    assert splitter.feed(b"\n") == [Line(1, 1_000_000, None)]


pieces = st.lists(st.sampled_from([b"a", b"bc", b"\r", b"\n", b"\r\n", b"\x00\xff", b"dddd"]))


@given(pieces, st.lists(st.integers(0, 60)), st.integers(0, 6))
def test_lines_do_not_depend_on_the_chunks(
    pieces: list[bytes], cuts: list[int], max_length: int
) -> None:
    text = b"".join(pieces)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    chunks = [text[start:end] for start, end in pairwise(edges)]
    assert split(max_length, *chunks) == split(max_length, text)


@given(st.lists(st.binary(max_size=8).filter(lambda line: b"\n" not in line)))
def test_concatenated_lines_are_split_into_the_same_lines(lines: list[bytes]) -> None:
    found = split(8, b"".join(line + b"\r\n" for line in lines))
    assert found == [Line(number, len(line), line) for number, line in enumerate(lines, 1)]
