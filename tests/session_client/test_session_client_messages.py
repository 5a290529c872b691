"""Messages are opened if they are sealed, and dropped if they contradict the passphrase."""

from __future__ import annotations

from math import inf

import pytest
from session_client_arrivals import message, private_message

from udprelay.protocol.keys import RoomKeys
from udprelay.protocol.seal import PRIVATE, RELIABLE, UNRELIABLE, UNRELIABLE_PRIVATE
from udprelay.protocol.wire import header
from udprelay.protocol.wire.members import MemberKind
from udprelay.protocol.wire.ranges import Ranges
from udprelay.protocol.wire.sequenced import Data, Private
from udprelay.session_client.events import Distrusted, Event, Lost, Received
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.losses import Losses
from udprelay.session_client.messages import RESUMPTION_PERIOD, Messages
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.settings import Statistics
from udprelay.session_client.suspicions import Suspicions

KEYS = RoomKeys(access=b"a" * 32, content=b"c" * 32)
SEALED = header.RELIABLE | header.SEALED
LATER = RESUMPTION_PERIOD


def sealing(secret: bytes) -> Sealing:
    sealing = Sealing("room", secret)
    sealing.set_keys(KEYS)
    return sealing


OURS = sealing(b"o" * 16)
ALICES = sealing(b"a" * 16)
ALICE = KnownMember(1, "Alice", MemberKind.SESSION, ALICES.identity, trusted=True)
GUEST = KnownMember(2, "guest-2", MemberKind.PLAIN, b"", trusted=False)


class Reader:
    """Receives Alice's messages in a room with or without a passphrase."""

    def __init__(self, sealing: Sealing | None = OURS, ordered: bool = True) -> None:
        self.events: list[Event] = []
        emit = self.events.append
        self.statistics = Statistics()
        self.losses = Losses(emit, self.statistics)
        self.messages = Messages(
            ordered, sealing, self.losses, Suspicions(emit), emit, self.statistics
        )

    def receive(
        self, data: Data | Private, member: KnownMember | None = ALICE, now: float = LATER
    ) -> None:
        identity = ALICES.identity if member is ALICE else b"another"
        self.messages.receive(data, member, identity, 0.0, now)

    def report(self) -> tuple[int, Ranges]:
        """Return the number and the ranges of the MISSED to send."""
        report = self.losses.reports.next_missed({1: ALICE}, 0.0, updating=False)
        assert report is not None
        number, ranges, _ = report
        return number, ranges

    def drain_events(self) -> list[Event]:
        events = self.events.copy()
        self.events.clear()
        return events


def sealed(
    sequence: int, own: int, payload: bytes = b"hello", flags: int = SEALED, resubmitted: int = 0
) -> Data:
    stream = RELIABLE if flags & header.RELIABLE else UNRELIABLE
    return message(
        sequence, 1, own, ALICES.seal(stream, own, flags, payload, b""), flags | resubmitted
    )


def received(payload: bytes = b"hello", reliable: bool = True, private: bool = False) -> Received:
    return Received(1, "Alice", payload, reliable, private, True)


@pytest.mark.parametrize("flags", [SEALED, header.SEALED])
def test_sealed_messages_are_opened(flags: int) -> None:
    reader = Reader()
    reader.receive(sealed(1, 1, flags=flags))
    assert reader.drain_events() == [received(reliable=bool(flags & header.RELIABLE))]


@pytest.mark.parametrize(
    ("flags", "stream"), [(SEALED, PRIVATE), (header.SEALED, UNRELIABLE_PRIVATE)]
)
def test_private_messages_are_opened(flags: int, stream: int) -> None:
    reader = Reader()
    payload = ALICES.seal(stream, 1, flags, b"psst", OURS.identity)
    reader.receive(private_message(1, 1, 1, payload, flags))
    assert reader.drain_events() == [
        received(b"psst", bool(flags & header.RELIABLE), private=True)
    ]


def test_a_private_message_for_another_member_is_dropped() -> None:
    reader = Reader()
    payload = ALICES.seal(PRIVATE, 1, SEALED, b"psst", b"x" * 16)
    reader.receive(private_message(1, 1, 1, payload, SEALED))
    assert reader.drain_events() == [Distrusted("seal", 1, "Alice", 1)]


def test_a_resubmitted_message_is_opened() -> None:
    reader = Reader()
    reader.receive(sealed(1, 1, resubmitted=header.RESUBMITTED))
    assert reader.drain_events() == [received()]


def test_an_unsealed_message_is_dropped_in_a_room_with_a_passphrase() -> None:
    reader = Reader()
    reader.receive(message(1, 1, 1))
    reader.receive(message(2, 2, 0), GUEST)
    assert reader.drain_events() == [
        Distrusted("unsealed", 1, "Alice", 1),
        Distrusted("unsealed", 2, None, 1),
    ]
    assert reader.statistics.received == 0


def test_a_sealed_message_is_dropped_in_a_room_without_a_passphrase() -> None:
    reader = Reader(sealing=None)
    reader.receive(sealed(1, 1))
    reader.receive(message(2, 1, 2))
    assert reader.drain_events() == [
        Distrusted("seal", 1, "Alice", 1),
        Received(1, "Alice", b"hello", True, False, False),
    ]


def altered(data: Data) -> Data:
    return message(data.sequence, data.number, data.own, data.payload[:-1] + b"?", data.flags)


def test_a_forged_message_does_not_make_the_real_one_a_duplicate() -> None:
    reader = Reader()
    reader.receive(altered(sealed(1, 1)))
    reader.receive(sealed(2, 1))
    assert reader.drain_events() == [Distrusted("seal", 1, "Alice", 1), received()]


def test_a_sealed_message_of_a_plain_member_is_dropped() -> None:
    reader = Reader()
    reader.receive(sealed(1, 1), GUEST)
    assert reader.drain_events() == [Distrusted("seal", 1, None, 1)]


def test_a_sealed_message_of_an_unknown_sender_is_lost() -> None:
    reader = Reader()
    reader.receive(sealed(1, 1), None)
    assert reader.drain_events() == [Lost(1, None)]


def test_a_resubmitted_message_of_an_unknown_sender_is_lost() -> None:
    reader = Reader(sealing=None)
    reader.receive(message(1, 1, 1, flags=header.RELIABLE | header.RESUBMITTED), None)
    assert reader.drain_events() == [Lost(1, None)]


def test_a_duplicate_is_dropped_and_reported() -> None:
    reader = Reader()
    reader.receive(sealed(1, 1))
    reader.receive(sealed(2, 1))
    assert reader.drain_events() == [received(), Distrusted("repeated", 1, "Alice", 1)]
    assert reader.statistics.duplicates == 1


def test_a_resubmitted_duplicate_is_not_reported() -> None:
    reader = Reader()
    reader.receive(sealed(1, 1))
    reader.receive(sealed(2, 1, resubmitted=header.RESUBMITTED))
    assert reader.drain_events() == [received()]


def test_a_duplicate_soon_after_a_join_is_not_reported() -> None:
    reader = Reader()
    reader.receive(sealed(1, 1))
    reader.receive(sealed(2, 1), now=RESUMPTION_PERIOD - 1)
    assert reader.drain_events() == [received()]


def test_an_unreliable_duplicate_is_not_reported() -> None:
    reader = Reader()
    reader.receive(sealed(1, 1, flags=header.SEALED))
    reader.receive(sealed(2, 1, flags=header.SEALED))
    assert reader.drain_events() == [received(reliable=False)]


def test_a_message_older_than_the_replay_window_is_not_reported() -> None:
    reader = Reader()
    reader.receive(sealed(1, 5000, flags=header.SEALED))
    reader.receive(sealed(2, 1, flags=header.SEALED))
    assert reader.drain_events() == [received(reliable=False)]
    assert reader.statistics.duplicates == 1


def test_without_a_passphrase_a_duplicate_is_not_reported() -> None:
    reader = Reader(sealing=None)
    reader.receive(message(1, 1, 1))
    reader.receive(message(2, 1, 1))
    assert len(reader.drain_events()) == 1


def test_withheld_messages_are_reported() -> None:
    reader = Reader()
    reader.receive(sealed(1, 1))
    reader.receive(sealed(2, 4))
    assert reader.drain_events() == [
        received(),
        Lost(2, "Alice"),
        Distrusted("withheld", 1, "Alice", 2),
        received(),
    ]


def test_messages_lost_in_transit_are_not_withheld() -> None:
    reader = Reader()
    reader.receive(sealed(1, 1))
    reader.losses.add_unattributed(3, LATER)
    reader.receive(sealed(5, 4))
    assert reader.drain_events() == [received(), Lost(2, "Alice"), received()]


def test_gaps_of_unknown_senders_are_reported() -> None:
    reader = Reader(sealing=None)
    reader.receive(message(1, 7, 1), None)
    reader.receive(message(2, 7, 3), None)
    assert Lost(1, None) in reader.drain_events()


def test_without_order_duplicates_are_dropped() -> None:
    reader = Reader(sealing=None, ordered=False)
    for own in (3, 1, 3, 2):
        reader.receive(message(own, 1, own, b"%d" % own))
    assert reader.drain_events() == [
        Received(1, "Alice", b"%d" % own, True, False, False) for own in (3, 1, 2)
    ]
    reader.messages.settle(ALICE, 9)
    assert reader.drain_events() == []


def test_own_sequences_in_the_roster_reveal_gaps() -> None:
    reader = Reader()
    reader.messages.settle(ALICE, 1)
    reader.messages.settle(ALICE, 3)
    reader.messages.settle(GUEST, 3)
    assert reader.drain_events() == [Lost(2, "Alice")]
    assert reader.report() == (1, ((2, 2),))


def test_an_incomplete_message_is_lost() -> None:
    reader = Reader()
    reader.receive(sealed(1, 1, flags=SEALED | header.MORE))
    reader.receive(sealed(2, 2))
    assert reader.drain_events() == [Lost(1, "Alice"), received()]


def test_incomplete_messages_are_lost_when_their_sender_leaves() -> None:
    reader = Reader()
    reader.receive(sealed(1, 1, flags=SEALED | header.MORE))
    payload = ALICES.seal(PRIVATE, 1, SEALED | header.MORE, b"psst", OURS.identity)
    reader.receive(private_message(1, 1, 1, payload, SEALED | header.MORE))
    assert reader.messages.deadline < inf
    reader.messages.member_left(ALICE)
    reader.messages.member_left(ALICE)
    assert reader.drain_events() == [Lost(1, "Alice")] * 2
    assert reader.messages.deadline == inf


def test_incomplete_messages_time_out() -> None:
    reader = Reader()
    reader.receive(sealed(1, 1, flags=SEALED | header.MORE))
    reader.messages.expire(LATER + 60)
    assert reader.drain_events() == [Lost(1, "Alice")]
    assert reader.report() == (1, ((1, 1),))


def test_a_private_message_that_times_out_is_not_reported_to_its_sender() -> None:
    reader = Reader()
    payload = ALICES.seal(PRIVATE, 1, SEALED | header.MORE, b"psst", OURS.identity)
    reader.receive(private_message(1, 1, 1, payload, SEALED | header.MORE))
    reader.messages.expire(LATER + 60)
    assert reader.drain_events() == [Lost(1, "Alice")]
    assert reader.losses.reports.deadline == inf
