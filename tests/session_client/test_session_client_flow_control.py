"""Reports of what is settled, and for whom the client's messages wait."""

from __future__ import annotations

import pytest
from session_client_machine import (
    BERT,
    BERT_RECORD,
    OTHER_SESSION,
    OTHER_TAG,
    OWN_NUMBER,
    PLAIN,
    SESSION,
    TAG,
    ClientDriver,
    joined,
    started,
)

from udprelay.protocol.wire.from_client import Ping
from udprelay.protocol.wire.from_relay import Gone, Waiting
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.joining import Join, Unknown
from udprelay.protocol.wire.ranges import Reason
from udprelay.protocol.wire.sequenced import Data, Private
from udprelay.session_client.events import WaitingFor

HISTORY = (40, 64)


def reporting(history: tuple[int, int] | None = HISTORY, **settings: bool) -> ClientDriver:
    """Return a joined client whose relay has told the length of its histories."""
    client = started(**settings)
    client.join([BERT_RECORD], history=history)
    client.datagrams.clear()
    client.events.clear()
    return client


def receive(client: ClientDriver, first: int, last: int) -> None:
    for sequence in range(first, last + 1):
        client.receive(Data(TAG, RELIABLE, sequence, BERT, sequence, b"line"))


def receive_private(client: ClientDriver, first: int, last: int) -> None:
    for sequence in range(first, last + 1):
        client.receive(Private(SESSION, RELIABLE, sequence, BERT, sequence, b"psst"))


def reports(client: ClientDriver) -> list[tuple[int, int | None]]:
    return [(ping.settled, ping.settled_private) for ping in client.drain(Ping)]


def waits(client: ClientDriver) -> list[tuple[tuple[int, ...], tuple[str | None, ...]]]:
    return [(event.numbers, event.nicks) for event in client.drain_events(WaitingFor)]


class TestReports:
    @pytest.mark.parametrize(("recover", "says"), [(True, True), (False, None)])
    def test_join_says_that_the_client_reports_if_it_recovers(
        self, recover: bool, says: bool | None
    ) -> None:
        client = started(recover=recover)
        client.challenge()
        assert [join.reports for join in client.drain(Join)] == [says]

    def test_each_quarter_of_the_history_is_reported(self) -> None:
        client = reporting()
        receive(client, 1, 9)
        assert reports(client) == []
        receive(client, 10, 35)
        assert reports(client) == [(10, 0), (20, 0), (30, 0)]

    def test_only_what_is_settled_is_reported(self) -> None:
        client = reporting()
        receive(client, 2, 30)
        assert reports(client) == []
        receive(client, 1, 1)
        assert reports(client) == [(30, 0)]

    def test_what_will_not_come_is_settled(self) -> None:
        client = reporting()
        receive(client, 12, 12)
        client.receive(Gone(SESSION, 0, ((1, 11, Reason.UNRELIABLE),)))
        assert reports(client) == [(12, 0)]

    def test_each_quarter_of_the_private_history_is_reported(self) -> None:
        client = reporting()
        receive(client, 1, 3)
        receive_private(client, 1, 40)
        assert reports(client) == [(3, 16), (3, 32)]

    @pytest.mark.parametrize(("length", "step"), [(1, 1), (3, 1), (10, 2), (1024, 256)])
    def test_short_histories_are_reported_more_often(self, length: int, step: int) -> None:
        client = reporting((length, 64))
        receive(client, 1, step - 1)
        assert reports(client) == []
        receive(client, step, step)
        assert reports(client) == [(step, 0)]

    def test_without_a_history_the_room_is_not_reported(self) -> None:
        client = reporting((0, 64))
        receive(client, 1, 1000)
        assert reports(client) == []
        receive_private(client, 1, 16)
        assert reports(client) == [(1000, 16)]

    def test_a_keepalive_is_a_report_too(self) -> None:
        client = reporting()
        receive(client, 1, 7)
        client.pass_time(10)
        assert reports(client) == [(7, 0)]
        receive(client, 8, 16)
        assert reports(client) == []
        receive(client, 17, 17)
        assert reports(client) == [(17, 0)]

    @pytest.mark.parametrize("recover", [True, False])
    def test_an_older_relay_gets_no_reports(self, recover: bool) -> None:
        client = reporting(None if recover else HISTORY, recover=recover)
        receive(client, 1, 1000)
        assert reports(client) == []
        client.pass_time(10)
        assert reports(client)[0] == (1000, None)

    def test_reports_begin_again_in_the_next_session(self) -> None:
        client = reporting()
        receive(client, 1, 15)
        client.receive(Unknown(SESSION))
        client.pass_time(1)
        client.join(session_id=OTHER_SESSION, tag=OTHER_TAG, history=(8, 64))
        client.datagrams.clear()
        client.receive(Data(OTHER_TAG, RELIABLE, 1, BERT, 16, b"line"))
        assert reports(client) == []
        client.receive(Data(OTHER_TAG, RELIABLE, 2, BERT, 17, b"line"))
        assert reports(client) == [(2, 0)]

    def test_an_older_relay_after_a_restart_gets_none(self) -> None:
        client = reporting()
        client.receive(Unknown(SESSION))
        client.pass_time(1)
        client.join(session_id=OTHER_SESSION, tag=OTHER_TAG)
        client.pass_time(10)
        assert {settled_private for _, settled_private in reports(client)} == {None}

    def test_the_client_reports_at_once_when_it_is_waited_for(self) -> None:
        client = reporting()
        receive(client, 1, 3)
        client.receive(Waiting(SESSION, (OWN_NUMBER,)))
        assert reports(client) == [(3, 0)]
        assert waits(client) == []


class TestWaitingFor:
    def test_the_user_is_told_once_for_whom_messages_wait(self) -> None:
        client = reporting()
        for _ in range(3):
            client.receive(Waiting(SESSION, (BERT,)))
            client.pass_time(1)
        assert waits(client) == [((BERT,), ("bert",))]
        client.receive(Waiting(SESSION, ()))
        assert waits(client) == [((), ())]

    def test_the_user_is_told_of_other_members(self) -> None:
        client = reporting()
        client.receive(Waiting(SESSION, (BERT, PLAIN)), Waiting(SESSION, (PLAIN,)))
        assert waits(client) == [((BERT, PLAIN), ("bert", None)), ((PLAIN,), (None,))]

    def test_the_client_itself_is_not_named(self) -> None:
        client = reporting()
        client.receive(Waiting(SESSION, (OWN_NUMBER, BERT)), Waiting(SESSION, (OWN_NUMBER,)))
        assert waits(client) == [((BERT,), ("bert",))]

    def test_a_wait_is_over_when_the_relay_does_not_repeat_it(self) -> None:
        client = reporting()
        client.receive(Waiting(SESSION, (BERT,)))
        client.events.clear()
        client.pass_time(2.9)
        assert waits(client) == []
        client.pass_time(0.1)
        assert waits(client) == [((), ())]

    def test_a_wait_is_over_with_the_session(self) -> None:
        client = reporting()
        client.receive(Waiting(SESSION, (BERT,)))
        client.events.clear()
        client.receive(Unknown(SESSION))
        assert waits(client) == [((), ())]

    def test_the_end_of_no_wait_is_no_event(self) -> None:
        client = reporting()
        client.receive(Waiting(SESSION, ()))
        assert client.events == []

    def test_a_wait_of_another_session_is_ignored(self) -> None:
        client = joined()
        client.receive(Waiting(OTHER_SESSION, (BERT,)))
        assert client.events == []
