"""What a member sends, and what becomes of it."""

from __future__ import annotations

import pytest
from session_client_machine import (
    BERT,
    BERT_RECORD,
    BERTS_IDENTITY,
    KEYS,
    OTHER_SESSION,
    OTHER_TAG,
    OWN_NUMBER,
    PLAIN,
    PLAIN_RECORD,
    SESSION,
    TAG,
    Client,
    joined,
    started,
)

from udprelay.protocol.keys import RoomKeys, badge
from udprelay.protocol.seal import Seal, SealError
from udprelay.protocol.wire.entries import FailedNotice, JoinEntry, MissedNotice
from udprelay.protocol.wire.from_client import DataUp, Nack, NickRequest, PrivateUp
from udprelay.protocol.wire.from_relay import Ack, Data, Entry, Notice
from udprelay.protocol.wire.header import AGAIN, CONTINUED, MORE, RELIABLE, SEALED
from udprelay.protocol.wire.joining import Join, Unknown
from udprelay.protocol.wire.members import MemberKind, MemberRecord
from udprelay.session_client.events import Delivered, Failed, Missed
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.sending import MessageError

STREAMS = {"unreliable": 0, "reliable": 1, "private": 2, "unreliable private": 3}


def notice(client: Client, sequence: int, body: MissedNotice | FailedNotice) -> None:
    client.hear(Notice(SESSION, sequence, body))


def restart_relay(client: Client, *members: MemberRecord) -> None:
    """The relay forgets everything; the client joins again."""
    client.now += 5
    client.hear(Unknown(SESSION))
    client.challenge()
    client.welcome(members, session_id=OTHER_SESSION, tag=OTHER_TAG)


class TestMessages:
    def test_a_message_goes_to_the_room_at_once(self) -> None:
        client = joined()
        client.do("send", b"hello")
        assert client.take(DataUp) == [DataUp(SESSION, RELIABLE, 1, b"hello")]
        assert (client.membership.outstanding, client.membership.backlog) == (1, 0)

    def test_a_message_waits_until_the_client_is_a_member(self) -> None:
        client = started()
        client.do("send", b"hello")
        assert (client.take(DataUp), client.membership.backlog) == ([], 1)
        client.join()
        assert client.payloads() == [b"hello"]

    def test_messages_can_be_given_before_it_is_started(self) -> None:
        client = Client()
        client.do("send", b"hello")
        client.do("start")
        client.join()
        assert client.payloads() == [b"hello"]

    def test_a_message_that_the_relay_has_is_delivered(self) -> None:
        client = joined()
        message = client.do("send", b"hello")
        client.acknowledge(2)
        assert client.told(Delivered) == [Delivered(message)]
        assert client.membership.outstanding == 0

    def test_a_message_is_repeated_until_it_is_acknowledged(self) -> None:
        client = joined()
        client.do("send", b"hello")
        client.pass_time(1)
        client.acknowledge(2)
        client.pass_time(5)
        assert client.payloads() == [b"hello"] * 4
        assert client.membership.statistics.sent == 1
        assert client.membership.statistics.repeated == 3

    def test_a_message_that_is_not_acknowledged_has_failed_in_the_end(self) -> None:
        client = joined()
        message = client.do("send", b"hello")
        later = client.do("send", b"later")
        for _ in range(60):
            client.pass_time(1)
            client.acknowledge(1)
        assert client.told(Failed) == [
            Failed(message, "unacknowledged"),
            Failed(later, "unacknowledged"),
        ]

    def test_the_relay_is_told_in_a_new_session_not_to_wait_for_it(self) -> None:
        client = joined()
        client.do("send", b"hello")
        client.pass_time(1)
        client.do("send", b"later")
        for _ in range(59):
            client.pass_time(1)
            client.acknowledge(1)
        client.take(DataUp)
        client.challenge()
        assert client.take(Join)[-1].own == (2, 1)
        client.welcome()
        assert client.payloads() == [b"later"]

    def test_a_large_message_goes_in_pieces(self) -> None:
        client = joined()
        client.do("send", b"x" * 3000)
        pieces = [(piece.flags - RELIABLE, len(piece.payload)) for piece in client.take(DataUp)]
        assert pieces == [(MORE, 1200), (MORE | CONTINUED, 1200), (CONTINUED, 600)]

    def test_pieces_are_as_large_as_the_relay_allows(self) -> None:
        client = started()
        client.join(largest=300)
        client.do("send", b"x" * 700)
        assert [len(payload) for payload in client.payloads()] == [300, 300, 100]

    def test_messages_are_counted_over_all_their_kinds(self) -> None:
        client = joined(BERT_RECORD)
        messages = [
            client.do("send", b"x"),
            client.do("send", b"x", reliable=False),
            client.do("send_private", BERT, b"x"),
        ]
        assert len(set(messages)) == 3

    def test_what_a_member_has_missed_is_told_by_message(self) -> None:
        client = joined(BERT_RECORD)
        first = client.do("send", b"x")
        client.do("send", b"y")
        client.acknowledge(3)
        notice(client, 1, MissedNotice(BERT, ((1, 1),)))
        assert client.told(Missed) == [Missed(first, "bert")]

    def test_whoever_has_missed_it_may_have_left(self) -> None:
        client = joined()
        first = client.do("send", b"x")
        notice(client, 1, MissedNotice(77, ((1, 1),)))
        assert client.told(Missed) == [Missed(first, None)]

    @pytest.mark.parametrize(
        ("payload", "reliable", "why"),
        [
            (b"", True, "empty"),
            (b"", False, "empty"),
            (bytes(65_537), True, "65537 bytes"),
            (bytes(65_462), False, "65462 bytes"),
        ],
    )
    def test_what_is_empty_or_too_large_is_not_taken(
        self, payload: bytes, reliable: bool, why: str
    ) -> None:
        client = joined()
        with pytest.raises(MessageError, match=why):
            client.do("send", payload, reliable=reliable)

    def test_the_largest_messages_are_taken(self) -> None:
        client = joined(BERT_RECORD)
        client.do("send", bytes(65_536))
        client.do("send", bytes(65_461), reliable=False)
        client.do("send_private", BERT, bytes(65_457), reliable=False)
        assert max(len(datagram.encode()) for datagram in client.said) <= 65_507 - 16

    def test_64_mib_may_wait(self) -> None:
        client = Client()
        payload = bytes(65_536)
        for _ in range(1024):
            client.do("send", payload)
        with pytest.raises(MessageError, match="waiting"):
            client.do("send", b"x")

    def test_100_000_datagrams_may_wait(self) -> None:
        client = Client()
        for _ in range(100_000):
            client.membership.send(b"x", client.now)
        with pytest.raises(MessageError, match="waiting"):
            client.do("send", b"x")


class TestUnreliable:
    def test_it_goes_at_once_with_its_own_sequence(self) -> None:
        client = joined()
        client.do("send", b"x")
        client.do("send", b"y", reliable=False)
        client.do("send", b"z", reliable=False)
        sent = [(datagram.flags, datagram.own) for datagram in client.take(DataUp)]
        assert sent == [(RELIABLE, 1), (0, 1), (0, 2)]

    def test_it_is_neither_waited_for_nor_repeated(self) -> None:
        client = joined()
        client.do("send", b"x", reliable=False)
        client.pass_time(5)
        assert client.payloads() == [b"x"]
        assert client.membership.outstanding == 0

    def test_what_is_missing_after_it_may_be_itself_and_is_asked_for_50_ms_later(self) -> None:
        first = {}
        for receiver in (None, "room", "bert"):
            client = joined(BERT_RECORD)
            if receiver == "room":
                client.do("send", b"x", reliable=False)
            elif receiver == "bert":
                client.do("send_private", BERT, b"x", reliable=False)
            client.hear(Data(TAG, RELIABLE, 2, BERT, 1, b"y"))
            client.pass_time(0.1)
            first[receiver] = client.times(Nack)[0]
        assert first["room"] == pytest.approx(first[None] + 0.05)
        assert first["bert"] == first[None]

    def test_between_sessions_it_has_failed_at_once(self) -> None:
        client = started()
        message = client.do("send", b"x", reliable=False)
        assert client.told(Failed) == [Failed(message, "not-joined")]
        assert client.membership.statistics.unsent == 1
        client.join()
        assert client.take(DataUp) == []

    def test_a_private_one_has_another_sequence(self) -> None:
        client = joined(BERT_RECORD)
        client.do("send", b"x", reliable=False)
        client.do("send_private", BERT, b"y", reliable=False)
        assert client.take(PrivateUp) == [PrivateUp(SESSION, 0, 1, BERTS_IDENTITY, b"y")]


class TestPrivate:
    def test_it_goes_to_the_identity_of_a_member(self) -> None:
        client = joined(BERT_RECORD)
        message = client.do("send_private", BERT, b"psst")
        assert client.take(PrivateUp) == [PrivateUp(SESSION, RELIABLE, 1, BERTS_IDENTITY, b"psst")]
        client.acknowledge(1, private=2)
        assert client.told(Delivered) == [Delivered(message)]

    def test_its_pieces_leave_room_for_the_identity(self) -> None:
        client = joined(BERT_RECORD)
        client.do("send_private", BERT, bytes(1200))
        assert [len(payload) for _, payload in client.privates()] == [1184, 16]

    @pytest.mark.parametrize("number", [77, OWN_NUMBER, PLAIN])
    def test_strangers_oneself_and_plain_members_can_t_be_sent_any(self, number: int) -> None:
        client = joined(BERT_RECORD, PLAIN_RECORD)
        with pytest.raises(MessageError):
            client.do("send_private", number, b"psst")

    def test_nobody_can_be_sent_any_before_members_are_known(self) -> None:
        client = started()
        with pytest.raises(MessageError, match="number"):
            client.do("send_private", BERT, b"psst")

    def test_it_fails_if_the_relay_says_so(self) -> None:
        client = joined(BERT_RECORD)
        message = client.do("send_private", BERT, b"psst")
        client.acknowledge(1, private=2)
        notice(client, 1, FailedNotice(1, "absent"))
        assert client.told(Failed) == [Failed(message, "absent")]

    def test_a_failure_of_what_was_not_sent_is_ignored(self) -> None:
        client = joined(BERT_RECORD)
        notice(client, 1, FailedNotice(1, "absent"))
        assert client.told(Failed) == []

    def test_after_a_restart_it_waits_for_its_receiver(self) -> None:
        client = joined(BERT_RECORD)
        client.do("send_private", BERT, b"psst")
        client.do("send", b"hello")
        client.take(PrivateUp)
        restart_relay(client)
        client.pass_time(5)
        client.hear(Ack(OTHER_SESSION, 2, 0, 1, 0))
        assert client.privates() == []
        back = JoinEntry("bert", MemberKind.SESSION, BERTS_IDENTITY, 0, b"")
        client.hear(Entry(OTHER_TAG, 1, 3, back))
        assert client.privates() == [(BERTS_IDENTITY, b"psst")]

    def test_but_10_s_at_most(self) -> None:
        client = joined(BERT_RECORD)
        client.do("send_private", BERT, b"psst")
        client.take(PrivateUp)
        restart_relay(client)
        client.take(PrivateUp)
        client.pass_time(9.9)
        assert client.privates() == []
        client.pass_time(0.1)
        assert client.privates() == [(BERTS_IDENTITY, b"psst")]

    def test_it_does_not_wait_if_the_receiver_is_there_already(self) -> None:
        client = joined(BERT_RECORD)
        client.do("send_private", BERT, b"psst")
        client.take(PrivateUp)
        restart_relay(client, BERT_RECORD)
        (sent,) = client.take(PrivateUp)
        assert (sent.own, sent.flags) == (1, RELIABLE | AGAIN)


class TestPace:
    def test_no_more_is_sent_than_the_relay_allows(self) -> None:
        client = started()
        client.join(allowance=(20, 0))
        for _ in range(30):
            client.do("send", b"x")
        assert len(client.take(DataUp)) == 6
        client.acknowledge(7)
        client.pass_time(1.01)
        client.acknowledge(27)
        assert len(client.take(DataUp)) == 20

    def test_unreliable_messages_don_t_wait_but_count(self) -> None:
        client = started()
        client.join(allowance=(20, 0))
        for _ in range(30):
            client.do("send", b"x", reliable=False)
        assert len(client.take(DataUp)) == 30
        client.do("send", b"y")
        assert client.take(DataUp) == []
        client.pass_time(1)
        assert client.payloads()[0] == b"y"

    def test_private_messages_have_their_turn(self) -> None:
        client = started()
        client.join((BERT_RECORD,), allowance=(8, 0))
        for _ in range(20):
            client.do("send", b"x")
        client.do("send_private", BERT, b"psst")
        client.take(DataUp)
        client.pass_time(0.25)
        assert client.privates() == [(BERTS_IDENTITY, b"psst")]


class TestSealed:
    def opened(self, client: Client, stream: str, datagram: DataUp | PrivateUp) -> bytes:
        join = next(d for _, d in client.sent if isinstance(d, Join))
        own = Sealing("lobby", join.secret).identity
        receiver = datagram.receiver if isinstance(datagram, PrivateUp) else b""
        seal = Seal(KEYS.content, own, "lobby")
        return seal.open(STREAMS[stream], datagram.own, datagram.flags, datagram.payload, receiver)

    def test_everything_is_sealed(self) -> None:
        client = joined(BERT_RECORD, keyed=True)
        client.do("send", b"one")
        client.do("send", b"two", reliable=False)
        client.do("send_private", BERT, b"three")
        client.do("send_private", BERT, b"four", reliable=False)
        sent = [d for d in client.said if isinstance(d, DataUp | PrivateUp)]
        assert all(datagram.flags & SEALED for datagram in sent)
        payloads = [
            self.opened(client, *pair)
            for pair in zip(
                ("reliable", "unreliable", "private", "unreliable private"), sent, strict=True
            )
        ]
        assert payloads == [b"one", b"two", b"three", b"four"]

    def test_what_is_repeated_is_the_same(self) -> None:
        client = joined(keyed=True)
        client.do("send", b"one")
        client.pass_time(0.2)
        first, second = client.take(DataUp)
        assert first == second

    def test_sealed_pieces_leave_room_for_the_seal(self) -> None:
        client = joined(keyed=True)
        client.do("send", bytes(1185))
        assert [len(payload) for payload in client.payloads()] == [1200, 17]

    def test_what_is_offered_in_a_room_with_another_key_is_sealed_with_that(self) -> None:
        client = joined(keyed=True)
        client.do("send", b"one")
        other_keys = RoomKeys(access=b"A" * 32, content=b"C" * 32)
        client.now += 5
        client.hear(Unknown(SESSION))
        client.challenge(salt=bytes(16))
        client.do("provide_keys", bytes(16), other_keys)
        client.take(DataUp)
        client.welcome(tag=OTHER_TAG)
        (again,) = client.take(DataUp)
        with pytest.raises(SealError):
            self.opened(client, "reliable", again)

    def test_a_new_nick_has_its_badge(self) -> None:
        client = joined(keyed=True)
        client.do("change_nick", "berta")
        (request,) = client.take(NickRequest)
        own = next(iter(client.membership.members.values())).identity
        assert request.badge == badge(KEYS.content, "lobby", own, "berta")

    def test_sealing_without_keys_is_a_mistake(self) -> None:
        with pytest.raises(RuntimeError):
            Sealing("lobby", bytes(16)).seal(1, 1, 1, b"x", b"")

    def test_a_thousand_senders_are_known_at_a_time(self) -> None:
        sealing = Sealing("lobby", bytes(16))
        sealing.use(KEYS)
        sealed = Seal(KEYS.content, bytes(16), "lobby").seal(1, 1, RELIABLE, b"x")
        for number in [0, *range(1030), 0]:
            identity = number.to_bytes(16, "big")
            if number == 0:
                assert sealing.open(identity, 1, 1, RELIABLE, sealed) == b"x"
            else:
                with pytest.raises(SealError):
                    sealing.open(identity, 1, 1, RELIABLE, sealed)
