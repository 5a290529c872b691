"""The last 64 private datagrams of a session can be asked for again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.relay.session.private_stream import KEPT, PrivateStream

NOW = 0.0


def datagram(sequence: int) -> bytes:
    return b"private %d" % sequence


def test_there_is_nothing_at_first() -> None:
    stream = PrivateStream()
    assert (stream.first, stream.newest, stream.get(0), stream.get(1)) == (1, 0, None, None)


def test_the_sequence_is_given_out_as_the_datagram_is_made() -> None:
    stream = PrivateStream()
    assert [stream.append(datagram, NOW) for _ in range(2)] == [b"private 1", b"private 2"]
    assert (stream.newest, stream.get(2)) == (2, b"private 2")


@given(st.integers(0, 200), st.integers(-1, 202))
def test_the_last_are_kept(said: int, sequence: int) -> None:
    stream = PrivateStream()
    for _ in range(said):
        stream.append(datagram, NOW)
    kept = max(1, said - KEPT + 1) <= sequence <= said
    assert stream.get(sequence) == (datagram(sequence) if kept else None)
    assert (stream.first, stream.newest) == (max(1, said - KEPT + 1), said)


def test_a_datagram_that_can_not_be_made_uses_up_no_sequence() -> None:
    def fail(sequence: int) -> bytes:
        raise ValueError(sequence)

    stream = PrivateStream()
    with pytest.raises(ValueError, match="1"):
        stream.append(fail, NOW)
    assert stream.append(datagram, NOW) == b"private 1"


def test_the_senders_of_what_was_sent_last_are_known() -> None:
    stream = PrivateStream()
    for when in (1.0, 2.0, 3.0):
        stream.append(datagram, when, (b"anna", int(when)))
    stream.append(datagram, 4.0)
    assert stream.senders_since(2.0) == [(b"anna", 2), (b"anna", 3)]
