"""Framing: each datagram gets its room sequence and its sender's number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.wire import decode_from_relay
from udprelay.protocol.wire.from_client import DataUp
from udprelay.protocol.wire.header import RELIABLE, Type, header
from udprelay.protocol.wire.members import MemberKind
from udprelay.protocol.wire.sequenced import Data
from udprelay.relay.room import NOWHERE, Member, Room
from udprelay.relay.rules import RoomRules
from udprelay.relay.session.framing import frame
from udprelay.segments import Segments

TAG = b"room tag"

# Around sequences at which one or more bytes overflow.
sequences = st.sampled_from([1, 255, 256, 65_535, 2**32 - 1, 2**63]).flatmap(
    lambda near: st.integers(max(1, near - 70), near + 70)
)
numbers = st.one_of(st.integers(1, 255), st.integers(1, 2**32 - 1))
payloads = st.builds(
    lambda number, size, end: [bytes([n % 251]) * size for n in range(number)] + [b"e" * end],
    st.integers(0, 70),
    st.integers(1, 9),
    st.just(1),
)


class SessionSender(Member):
    """Sends own sequences before its payloads, behind a header."""

    overhead = 18


def sender(number: int, kind: type[Member]) -> Member:
    made = kind(Room("lobby", RoomRules()), NOWHERE, MemberKind.SESSION, "nick", None, None, 0.0)
    made.number = number
    return made


@given(numbers, payloads, sequences, st.sampled_from([0, 2, RELIABLE]))
def test_session_datagrams_keep_their_own_sequences(
    number: int, payloads: list[bytes], first: int, flags: int
) -> None:
    sent = [DataUp(b"sender's", flags, own, p).encode() for own, p in enumerate(payloads, 1)]
    segments = Segments(b"".join(sent), len(sent[0]))
    run = (sender(number, SessionSender), segments, flags)
    framed = frame(run, header(Type.DATA, TAG, flags), first)
    assert framed[::2] == run[::2]
    assert [decode_from_relay(datagram) for datagram in framed[1]] == [
        Data(TAG, flags, first + i, number, i + 1, payload) for i, payload in enumerate(payloads)
    ]


@given(numbers, payloads, sequences)
def test_payloads_of_others_have_no_own_sequence(
    number: int, payloads: list[bytes], first: int
) -> None:
    run = (sender(number, Member), Segments(b"".join(payloads), len(payloads[0])), RELIABLE)
    framed = frame(run, header(Type.DATA, TAG, RELIABLE), first)
    assert [decode_from_relay(datagram) for datagram in framed[1]] == [
        Data(TAG, RELIABLE, first + i, number, 0, payload) for i, payload in enumerate(payloads)
    ]
