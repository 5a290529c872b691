"""The private sequence of a session: its last 64 datagrams can be retransmitted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.relay.session.sequences import MAX_DATAGRAMS, PrivateStream

NOW = 0.0


def datagram(sequence: int) -> bytes:
    return b"private %d" % sequence


def test_a_new_stream_has_no_datagrams() -> None:
    stream = PrivateStream()
    assert (stream.first, stream.newest, [*stream.stored(0, 1)]) == (1, 0, [])


def test_a_datagram_is_made_with_its_sequence() -> None:
    stream = PrivateStream()
    assert [stream.append(datagram, NOW) for _ in range(2)] == [b"private 1", b"private 2"]
    assert (stream.newest, [*stream.stored(2, 2)]) == (2, [b"private 2"])


@given(st.integers(0, 200), st.integers(-1, 202), st.integers(-1, 202))
def test_only_the_last_64_datagrams_are_stored(count: int, first: int, last: int) -> None:
    stream = PrivateStream()
    for _ in range(count):
        stream.append(datagram, NOW)
    stored = range(max(1, count - MAX_DATAGRAMS + 1), count + 1)
    assert [*stream.stored(first, last)] == [datagram(n) for n in stored if first <= n <= last]
    assert (stream.first, stream.newest) == (stored.start, count)


def test_a_datagram_that_cannot_be_made_uses_no_sequence() -> None:
    def fail(sequence: int) -> bytes:
        raise ValueError(sequence)

    stream = PrivateStream()
    with pytest.raises(ValueError, match="1"):
        stream.append(fail, NOW)
    assert stream.append(datagram, NOW) == b"private 1"


def test_the_senders_of_recent_datagrams_are_returned() -> None:
    stream = PrivateStream()
    for when in (1.0, 2.0, 3.0):
        stream.append(datagram, when, (b"anna", int(when)))
    stream.append(datagram, 4.0)
    assert stream.senders_since(2.0) == [(b"anna", 2), (b"anna", 3)]
