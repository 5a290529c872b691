"""Sending messages, and their outcomes."""

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
    ClientDriver,
    joined,
    started,
)

from udprelay.protocol.keys import RoomKeys, badge
from udprelay.protocol.seal import Seal, SealError
from udprelay.protocol.wire.entries import (
    FailedNotice,
    JoinEntry,
    LimitedNotice,
    MissedNotice,
    NoticeBody,
)
from udprelay.protocol.wire.from_client import DataUp, Nack, NickRequest, PrivateUp
from udprelay.protocol.wire.from_relay import Ack
from udprelay.protocol.wire.header import CONTINUED, MORE, RELIABLE, RESUBMITTED, SEALED
from udprelay.protocol.wire.joining import Join, Unknown
from udprelay.protocol.wire.members import MemberKind, MemberRecord
from udprelay.protocol.wire.sequenced import Data, Entry, Notice
from udprelay.session_client.events import Delivered, Failed, Limited, Missed
from udprelay.session_client.message_sender import MessageError
from udprelay.session_client.sealing import Sealing

STREAMS = {"unreliable": 0, "reliable": 1, "private": 2, "unreliable private": 3}


def notice(client: ClientDriver, sequence: int, body: NoticeBody) -> None:
    client.receive(Notice(SESSION, sequence, body))


def restart_relay(client: ClientDriver, *members: MemberRecord) -> None:
    """The relay forgets everything; the client joins again."""
    client.now += 5
    client.receive(Unknown(SESSION))
    client.challenge()
    client.welcome(members, session_id=OTHER_SESSION, tag=OTHER_TAG)


class TestMessages:
    def test_a_message_is_sent_to_the_room_at_once(self) -> None:
        client = joined()
        client.call("send", b"hello")
        assert client.drain(DataUp) == [DataUp(SESSION, RELIABLE, 1, b"hello")]
        assert (client.session_client.outstanding, client.session_client.backlog) == (1, 0)

    def test_a_message_waits_for_the_session(self) -> None:
        client = started()
        client.call("send", b"hello")
        assert (client.drain(DataUp), client.session_client.backlog) == ([], 1)
        client.join()
        assert client.drain_payloads() == [b"hello"]

    def test_a_message_can_be_queued_before_the_start(self) -> None:
        client = ClientDriver()
        client.call("send", b"hello")
        client.call("start")
        client.join()
        assert client.drain_payloads() == [b"hello"]

    def test_an_acknowledged_message_is_delivered(self) -> None:
        client = joined()
        message = client.call("send", b"hello")
        client.acknowledge(2)
        assert client.drain_events(Delivered) == [Delivered(message)]
        assert client.session_client.outstanding == 0

    def test_a_message_is_retransmitted_until_it_is_acknowledged(self) -> None:
        client = joined()
        client.call("send", b"hello")
        client.pass_time(1)
        client.acknowledge(2)
        client.pass_time(5)
        assert client.drain_payloads() == [b"hello"] * 4
        assert client.session_client.statistics.sent == 1
        assert client.session_client.statistics.repeated == 3

    def test_a_message_without_an_acknowledgement_fails(self) -> None:
        client = joined()
        message = client.call("send", b"hello")
        later = client.call("send", b"later")
        for _ in range(60):
            client.pass_time(1)
            client.acknowledge(1)
        assert client.drain_events(Failed) == [
            Failed(message, "unacknowledged"),
            Failed(later, "unacknowledged"),
        ]

    def test_a_new_session_lets_the_relay_skip_a_failed_message(self) -> None:
        client = joined()
        client.call("send", b"hello")
        client.pass_time(1)
        client.call("send", b"later")
        for _ in range(59):
            client.pass_time(1)
            client.acknowledge(1)
        client.drain(DataUp)
        client.challenge()
        assert client.drain(Join)[-1].own == (2, 1)
        client.welcome()
        assert client.drain_payloads() == [b"later"]

    def test_a_large_message_is_sliced(self) -> None:
        client = joined()
        client.call("send", b"x" * 3000)
        pieces = [(piece.flags - RELIABLE, len(piece.payload)) for piece in client.drain(DataUp)]
        assert pieces == [(MORE, 1200), (MORE | CONTINUED, 1200), (CONTINUED, 600)]

    def test_pieces_are_as_large_as_the_relay_allows(self) -> None:
        client = started()
        client.join(largest=300)
        client.call("send", b"x" * 700)
        assert [len(payload) for payload in client.drain_payloads()] == [300, 300, 100]

    def test_message_numbers_are_unique_across_all_kinds(self) -> None:
        client = joined(BERT_RECORD)
        messages = [
            client.call("send", b"x"),
            client.call("send", b"x", reliable=False),
            client.call("send_private", BERT, b"x"),
        ]
        assert len(set(messages)) == 3

    def test_a_missed_notice_names_the_message(self) -> None:
        client = joined(BERT_RECORD)
        first = client.call("send", b"x")
        client.call("send", b"y")
        client.acknowledge(3)
        notice(client, 1, MissedNotice(BERT, ((1, 1),)))
        assert client.drain_events(Missed) == [Missed(first, "bert")]

    def test_a_missed_notice_of_a_former_member_has_no_nick(self) -> None:
        client = joined()
        first = client.call("send", b"x")
        notice(client, 1, MissedNotice(77, ((1, 1),)))
        assert client.drain_events(Missed) == [Missed(first, None)]

    @pytest.mark.parametrize(
        ("payload", "reliable", "why"),
        [
            (b"", True, "empty"),
            (b"", False, "empty"),
            (bytes(65_537), True, "65537 bytes"),
            (bytes(65_462), False, "65462 bytes"),
        ],
    )
    def test_empty_and_too_large_messages_are_rejected(
        self, payload: bytes, reliable: bool, why: str
    ) -> None:
        client = joined()
        with pytest.raises(MessageError, match=why):
            client.call("send", payload, reliable=reliable)

    def test_the_largest_messages_are_sent(self) -> None:
        client = joined(BERT_RECORD)
        client.call("send", bytes(65_536))
        client.call("send", bytes(65_461), reliable=False)
        client.call("send_private", BERT, bytes(65_457), reliable=False)
        assert max(len(datagram.encode()) for datagram in client.datagrams) <= 65_507 - 16

    def test_the_backlog_has_at_most_64_mib(self) -> None:
        client = ClientDriver()
        payload = bytes(65_536)
        for _ in range(1024):
            client.call("send", payload)
        with pytest.raises(MessageError, match="waiting"):
            client.call("send", b"x")

    def test_the_backlog_has_at_most_100_000_datagrams(self) -> None:
        client = ClientDriver()
        for _ in range(100_000):
            client.session_client.send(b"x", client.now)
        with pytest.raises(MessageError, match="waiting"):
            client.call("send", b"x")


class TestUnreliable:
    def test_it_is_sent_at_once_with_a_sequence_of_its_own(self) -> None:
        client = joined()
        client.call("send", b"x")
        client.call("send", b"y", reliable=False)
        client.call("send", b"z", reliable=False)
        sent = [(datagram.flags, datagram.own) for datagram in client.drain(DataUp)]
        assert sent == [(RELIABLE, 1), (0, 1), (0, 2)]

    def test_it_is_neither_outstanding_nor_retransmitted(self) -> None:
        client = joined()
        client.call("send", b"x", reliable=False)
        client.pass_time(5)
        assert client.drain_payloads() == [b"x"]
        assert client.session_client.outstanding == 0

    def test_a_gap_after_one_to_the_room_is_requested_50_ms_later(self) -> None:
        first = {}
        for receiver in (None, "room", "bert"):
            client = joined(BERT_RECORD)
            if receiver == "room":
                client.call("send", b"x", reliable=False)
            elif receiver == "bert":
                client.call("send_private", BERT, b"x", reliable=False)
            client.receive(Data(TAG, RELIABLE, 2, BERT, 1, b"y"))
            client.pass_time(0.1)
            first[receiver] = client.times(Nack)[0]
        assert first["room"] == pytest.approx(first[None] + 0.05)
        assert first["bert"] == first[None]

    def test_outside_a_session_it_fails_at_once(self) -> None:
        client = started()
        message = client.call("send", b"x", reliable=False)
        assert client.drain_events(Failed) == [Failed(message, "not-joined")]
        assert client.session_client.statistics.unsent == 1
        client.join()
        assert client.drain(DataUp) == []

    def test_private_ones_have_another_sequence(self) -> None:
        client = joined(BERT_RECORD)
        client.call("send", b"x", reliable=False)
        client.call("send_private", BERT, b"y", reliable=False)
        assert client.drain(PrivateUp) == [PrivateUp(SESSION, 0, 1, BERTS_IDENTITY, b"y")]


class TestPrivate:
    def test_it_is_sent_to_the_identity_of_a_member(self) -> None:
        client = joined(BERT_RECORD)
        message = client.call("send_private", BERT, b"psst")
        assert client.drain(PrivateUp) == [
            PrivateUp(SESSION, RELIABLE, 1, BERTS_IDENTITY, b"psst")
        ]
        client.acknowledge(1, private=2)
        assert client.drain_events(Delivered) == [Delivered(message)]

    def test_its_pieces_leave_space_for_the_identity(self) -> None:
        client = joined(BERT_RECORD)
        client.call("send_private", BERT, bytes(1200))
        assert [len(payload) for _, payload in client.drain_private()] == [1184, 16]

    @pytest.mark.parametrize("number", [77, OWN_NUMBER, PLAIN])
    def test_only_other_session_members_can_be_receivers(self, number: int) -> None:
        client = joined(BERT_RECORD, PLAIN_RECORD)
        with pytest.raises(MessageError):
            client.call("send_private", number, b"psst")

    def test_there_is_no_receiver_before_the_session(self) -> None:
        client = started()
        with pytest.raises(MessageError, match="number"):
            client.call("send_private", BERT, b"psst")

    def test_it_fails_if_the_relay_reports_it(self) -> None:
        client = joined(BERT_RECORD)
        message = client.call("send_private", BERT, b"psst")
        client.acknowledge(1, private=2)
        notice(client, 1, FailedNotice(1, "absent"))
        assert client.drain_events(Failed) == [Failed(message, "absent")]

    def test_a_limit_of_the_relay_is_reported_and_no_message_fails(self) -> None:
        client = joined(BERT_RECORD)
        client.call("send_private", BERT, b"psst")
        notice(client, 1, LimitedNotice("member-output", 7))
        assert client.drain_events(Limited) == [Limited("member-output", 7)]
        assert client.drain_events(Failed) == []

    def test_a_failure_of_an_unsent_message_is_ignored(self) -> None:
        client = joined(BERT_RECORD)
        notice(client, 1, FailedNotice(1, "absent"))
        assert client.drain_events(Failed) == []

    def test_after_a_restart_it_waits_for_its_receiver(self) -> None:
        client = joined(BERT_RECORD)
        client.call("send_private", BERT, b"psst")
        client.call("send", b"hello")
        client.drain(PrivateUp)
        restart_relay(client)
        client.pass_time(5)
        client.receive(Ack(OTHER_SESSION, 2, 0, 1, 0))
        assert client.drain_private() == []
        back = JoinEntry("bert", MemberKind.SESSION, BERTS_IDENTITY, 0, b"")
        client.receive(Entry(OTHER_TAG, 1, 3, back))
        assert client.drain_private() == [(BERTS_IDENTITY, b"psst")]

    def test_after_a_restart_it_waits_10_s_at_most(self) -> None:
        client = joined(BERT_RECORD)
        client.call("send_private", BERT, b"psst")
        client.drain(PrivateUp)
        restart_relay(client)
        client.drain(PrivateUp)
        client.pass_time(9.9)
        assert client.drain_private() == []
        client.pass_time(0.1)
        assert client.drain_private() == [(BERTS_IDENTITY, b"psst")]

    def test_after_a_restart_it_does_not_wait_for_a_present_receiver(self) -> None:
        client = joined(BERT_RECORD)
        client.call("send_private", BERT, b"psst")
        client.drain(PrivateUp)
        restart_relay(client, BERT_RECORD)
        (sent,) = client.drain(PrivateUp)
        assert (sent.own, sent.flags) == (1, RELIABLE | RESUBMITTED)


class TestAllowance:
    def test_reliable_messages_keep_to_the_allowance(self) -> None:
        client = started()
        client.join(allowance=(20, 0))
        for _ in range(30):
            client.call("send", b"x")
        assert len(client.drain(DataUp)) == 6
        client.acknowledge(7)
        client.pass_time(1.01)
        client.acknowledge(27)
        assert len(client.drain(DataUp)) == 20

    def test_unreliable_messages_do_not_wait_but_use_the_allowance(self) -> None:
        client = started()
        client.join(allowance=(20, 0))
        for _ in range(30):
            client.call("send", b"x", reliable=False)
        assert len(client.drain(DataUp)) == 30
        client.call("send", b"y")
        assert client.drain(DataUp) == []
        client.pass_time(1)
        assert client.drain_payloads()[0] == b"y"

    def test_room_and_private_messages_take_turns(self) -> None:
        client = started()
        client.join((BERT_RECORD,), allowance=(8, 0))
        for _ in range(20):
            client.call("send", b"x")
        client.call("send_private", BERT, b"psst")
        client.drain(DataUp)
        client.pass_time(0.25)
        assert client.drain_private() == [(BERTS_IDENTITY, b"psst")]


class TestSealed:
    def opened(self, client: ClientDriver, stream: str, datagram: DataUp | PrivateUp) -> bytes:
        join = next(d for _, d in client.log if isinstance(d, Join))
        own = Sealing("lobby", join.secret).identity
        receiver = datagram.receiver if isinstance(datagram, PrivateUp) else b""
        seal = Seal(KEYS.content, own, "lobby")
        return seal.open(STREAMS[stream], datagram.own, datagram.flags, datagram.payload, receiver)

    def test_everything_is_sealed(self) -> None:
        client = joined(BERT_RECORD, keyed=True)
        client.call("send", b"one")
        client.call("send", b"two", reliable=False)
        client.call("send_private", BERT, b"three")
        client.call("send_private", BERT, b"four", reliable=False)
        sent = [d for d in client.datagrams if isinstance(d, DataUp | PrivateUp)]
        assert all(datagram.flags & SEALED for datagram in sent)
        payloads = [
            self.opened(client, *pair)
            for pair in zip(
                ("reliable", "unreliable", "private", "unreliable private"), sent, strict=True
            )
        ]
        assert payloads == [b"one", b"two", b"three", b"four"]

    def test_a_retransmission_has_the_same_bytes(self) -> None:
        client = joined(keyed=True)
        client.call("send", b"one")
        client.pass_time(0.2)
        first, second = client.drain(DataUp)
        assert first == second

    def test_pieces_leave_space_for_the_seal(self) -> None:
        client = joined(keyed=True)
        client.call("send", bytes(1185))
        assert [len(payload) for payload in client.drain_payloads()] == [1200, 17]

    def test_a_message_is_sealed_again_for_a_room_with_another_key(self) -> None:
        client = joined(keyed=True)
        client.call("send", b"one")
        other_keys = RoomKeys(access=b"A" * 32, content=b"C" * 32)
        client.now += 5
        client.receive(Unknown(SESSION))
        client.challenge(salt=bytes(16))
        client.call("provide_keys", bytes(16), other_keys)
        client.drain(DataUp)
        client.welcome(tag=OTHER_TAG)
        (resubmitted,) = client.drain(DataUp)
        with pytest.raises(SealError):
            self.opened(client, "reliable", resubmitted)

    def test_a_nick_request_has_a_badge(self) -> None:
        client = joined(keyed=True)
        client.call("change_nick", "berta")
        (request,) = client.drain(NickRequest)
        own = next(iter(client.session_client.members.values())).identity
        assert request.badge == badge(KEYS.content, "lobby", own, "berta")

    def test_sealing_without_keys_is_an_error(self) -> None:
        with pytest.raises(RuntimeError):
            Sealing("lobby", bytes(16)).seal(1, 1, 1, b"x", b"")

    def test_seals_can_be_opened_after_the_cache_has_dropped_them(self) -> None:
        sealing = Sealing("lobby", bytes(16))
        sealing.set_keys(KEYS)
        sealed = Seal(KEYS.content, bytes(16), "lobby").seal(1, 1, RELIABLE, b"x")
        for number in [0, *range(1030), 0]:
            identity = number.to_bytes(16, "big")
            if number == 0:
                assert sealing.open(identity, 1, 1, RELIABLE, sealed) == b"x"
            else:
                with pytest.raises(SealError):
                    sealing.open(identity, 1, 1, RELIABLE, sealed)
