"""What members have said is opened, if it is sealed, and never believed otherwise."""

from __future__ import annotations

import pytest
from session_client_arrivals import says, whispers

from udprelay.protocol.keys import RoomKeys
from udprelay.protocol.seal import PRIVATE, RELIABLE, UNRELIABLE, UNRELIABLE_PRIVATE
from udprelay.protocol.wire import header
from udprelay.protocol.wire.members import MemberKind
from udprelay.session_client.events import Distrusted, Lost, Received
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.losses import Losses
from udprelay.session_client.messages import RESUMPTION, Messages
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.suspicions import Suspicions

KEYS = RoomKeys(access=b"a" * 32, content=b"c" * 32)
SEALED = header.RELIABLE | header.SEALED
LATER = RESUMPTION


def sealing(secret):
    sealing = Sealing("room", secret)
    sealing.use(KEYS)
    return sealing


OURS = sealing(b"o" * 16)
ALICES = sealing(b"a" * 16)
ALICE = KnownMember(1, "Alice", MemberKind.SESSION, ALICES.identity, trusted=True)
GUEST = KnownMember(2, "guest-2", MemberKind.PLAIN, b"", trusted=False)


class Reader:
    """Takes what Alice says in a room with a passphrase, or without."""

    def __init__(self, sealing=OURS, ordered=True):
        self.events = []
        tell = self.events.append
        self.losses = Losses(tell)
        self.messages = Messages(ordered, sealing, self.losses, Suspicions(tell), tell)

    def take(self, said, member=ALICE, now=LATER):
        identity = ALICES.identity if member is ALICE else b"somebody"
        self.messages.take(said, member, identity, 0.0, now)

    def take_all(self):
        events = self.events.copy()
        self.events.clear()
        return events


def sealed(sequence, own, payload=b"hello", flags=SEALED, again=0):
    stream = RELIABLE if flags & header.RELIABLE else UNRELIABLE
    return says(sequence, 1, own, ALICES.seal(stream, own, flags, payload, b""), flags | again)


def heard(payload=b"hello", reliable=True, private=False):
    return Received(1, "Alice", payload, reliable, private, True)


@pytest.mark.parametrize("flags", [SEALED, header.SEALED])
def test_what_is_sealed_is_opened(flags):
    reader = Reader()
    reader.take(sealed(1, 1, flags=flags))
    assert reader.take_all() == [heard(reliable=bool(flags & header.RELIABLE))]


@pytest.mark.parametrize(
    ("flags", "stream"), [(SEALED, PRIVATE), (header.SEALED, UNRELIABLE_PRIVATE)]
)
def test_private_messages_are_opened(flags, stream):
    reader = Reader()
    payload = ALICES.seal(stream, 1, flags, b"psst", OURS.identity)
    reader.take(whispers(1, 1, 1, payload, flags))
    assert reader.take_all() == [heard(b"psst", bool(flags & header.RELIABLE), private=True)]


def test_a_private_message_for_somebody_else_is_dropped():
    reader = Reader()
    payload = ALICES.seal(PRIVATE, 1, SEALED, b"psst", b"x" * 16)
    reader.take(whispers(1, 1, 1, payload, SEALED))
    assert reader.take_all() == [Distrusted("seal", 1, "Alice", 1)]


def test_what_is_offered_again_is_sealed_as_it_was():
    reader = Reader()
    reader.take(sealed(1, 1, again=header.AGAIN))
    assert reader.take_all() == [heard()]


def test_what_is_not_sealed_is_dropped_in_a_room_with_a_passphrase():
    reader = Reader()
    reader.take(says(1, 1, 1))
    reader.take(says(2, 2, 0), GUEST)
    assert reader.take_all() == [
        Distrusted("unsealed", 1, "Alice", 1),
        Distrusted("unsealed", 2, None, 1),
    ]
    assert reader.messages.received == 0


def test_what_is_sealed_is_dropped_in_a_room_without_a_passphrase():
    reader = Reader(sealing=None)
    reader.take(sealed(1, 1))
    reader.take(says(2, 1, 2))
    assert reader.take_all() == [
        Distrusted("seal", 1, "Alice", 1),
        Received(1, "Alice", b"hello", True, False, False),
    ]


def altered(said):
    return says(said.sequence, said.number, said.own, said.payload[:-1] + b"?", said.flags)


def test_what_cannot_be_opened_is_dropped_and_does_not_count():
    reader = Reader()
    reader.take(altered(sealed(1, 1)))
    reader.take(sealed(2, 1))
    assert reader.take_all() == [Distrusted("seal", 1, "Alice", 1), heard()]


def test_what_nobody_can_have_sealed_is_dropped():
    reader = Reader()
    reader.take(sealed(1, 1), GUEST)
    assert reader.take_all() == [Distrusted("seal", 1, None, 1)]


def test_nobody_is_accused_of_what_nobody_knows_the_sender_of():
    reader = Reader()
    reader.take(sealed(1, 1), None)
    assert reader.take_all() == [Lost(1, None)]


def test_what_may_have_come_before_is_lost_if_nobody_knows_the_sender():
    reader = Reader(sealing=None)
    reader.take(says(1, 1, 1, flags=header.RELIABLE | header.AGAIN), None)
    assert reader.take_all() == [Lost(1, None)]


def test_what_comes_a_second_time_is_dropped_and_told():
    reader = Reader()
    reader.take(sealed(1, 1))
    reader.take(sealed(2, 1))
    assert reader.take_all() == [heard(), Distrusted("repeated", 1, "Alice", 1)]
    assert reader.messages.repeated == 1


def test_what_is_offered_again_may_come_a_second_time():
    reader = Reader()
    reader.take(sealed(1, 1))
    reader.take(sealed(2, 1, again=header.AGAIN))
    assert reader.take_all() == [heard()]


def test_after_a_resumption_some_may_come_a_second_time():
    reader = Reader()
    reader.take(sealed(1, 1))
    reader.take(sealed(2, 1), now=RESUMPTION - 1)
    assert reader.take_all() == [heard()]


def test_unreliable_ones_may_come_a_second_time():
    reader = Reader()
    reader.take(sealed(1, 1, flags=header.SEALED))
    reader.take(sealed(2, 1, flags=header.SEALED))
    assert reader.take_all() == [heard(reliable=False)]


def test_what_is_too_old_to_tell_is_dropped_and_not_told():
    reader = Reader()
    reader.take(sealed(1, 5000, flags=header.SEALED))
    reader.take(sealed(2, 1, flags=header.SEALED))
    assert reader.take_all() == [heard(reliable=False)]
    assert reader.messages.repeated == 1


def test_without_a_passphrase_repetitions_are_nobodys_fault():
    reader = Reader(sealing=None)
    reader.take(says(1, 1, 1))
    reader.take(says(2, 1, 1))
    assert len(reader.take_all()) == 1


def test_what_the_relay_kept_back_is_told():
    reader = Reader()
    reader.take(sealed(1, 1))
    reader.take(sealed(2, 4))
    assert reader.take_all() == [
        heard(),
        Lost(2, "Alice"),
        Distrusted("withheld", 1, "Alice", 2),
        heard(),
    ]


def test_what_was_lost_on_the_way_was_not_kept_back():
    reader = Reader()
    reader.take(sealed(1, 1))
    reader.losses.hole(3, LATER)
    reader.take(sealed(5, 4))
    assert reader.take_all() == [heard(), Lost(2, "Alice"), heard()]


def test_unknown_senders_have_gaps_too():
    reader = Reader(sealing=None)
    reader.take(says(1, 7, 1), None)
    reader.take(says(2, 7, 3), None)
    assert Lost(1, None) in reader.take_all()


def test_out_of_order_each_counts_once():
    reader = Reader(sealing=None, ordered=False)
    for own in (3, 1, 3, 2):
        reader.take(says(own, 1, own, b"%d" % own))
    assert [event.payload for event in reader.take_all()] == [b"3", b"1", b"2"]
    reader.messages.account(ALICE, 9)
    assert reader.take_all() == []


def test_what_the_roster_tells_shows_what_is_missing():
    reader = Reader()
    reader.messages.account(ALICE, 1)
    reader.messages.account(ALICE, 3)
    reader.messages.account(GUEST, 3)
    assert reader.take_all() == [Lost(2, "Alice")]
    assert reader.losses.reports.take({1: ALICE}, 0.0)[:2] == (1, ((2, 2),))


def test_pieces_are_lost_if_they_do_not_fit_together():
    reader = Reader()
    reader.take(sealed(1, 1, flags=SEALED | header.MORE))
    reader.take(sealed(2, 2))
    assert reader.take_all() == [Lost(1, "Alice"), heard()]


def test_whoever_leaves_for_good_takes_partial_messages_along():
    reader = Reader()
    reader.take(sealed(1, 1, flags=SEALED | header.MORE))
    payload = ALICES.seal(PRIVATE, 1, SEALED | header.MORE, b"psst", OURS.identity)
    reader.take(whispers(1, 1, 1, payload, SEALED | header.MORE))
    assert reader.messages.deadline is not None
    reader.messages.gone(ALICE)
    reader.messages.gone(ALICE)
    assert reader.take_all() == [Lost(1, "Alice")] * 2
    assert reader.messages.deadline is None


def test_partial_messages_expire():
    reader = Reader()
    reader.take(sealed(1, 1, flags=SEALED | header.MORE))
    reader.messages.expire(LATER + 60)
    assert reader.take_all() == [Lost(1, "Alice")]
    assert reader.losses.reports.take({1: ALICE}, 0.0)[:2] == (1, ((1, 1),))


def test_of_private_messages_that_expire_nobody_is_told_but_the_reader():
    reader = Reader()
    payload = ALICES.seal(PRIVATE, 1, SEALED | header.MORE, b"psst", OURS.identity)
    reader.take(whispers(1, 1, 1, payload, SEALED | header.MORE))
    reader.messages.expire(LATER + 60)
    assert reader.take_all() == [Lost(1, "Alice")]
    assert len(reader.losses.reports) == 0
