"""Joins, leaves and nicks of one turn go out together, under churn those of 50 ms."""

from __future__ import annotations

from collections.abc import Sequence

from relay_session import Client, InboxesWithReplies, SessionRelay, joined, session_rules

from udprelay.protocol.wire import decode_from_relay
from udprelay.protocol.wire.entries import JoinEntry, LeaveEntry
from udprelay.protocol.wire.from_client import Leave
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.sequenced import Data, Entry
from udprelay.relay.drops import DropReason
from udprelay.relay.room import Group
from udprelay.relay.session.schedule import ENTRIES_DELAY
from udprelay.segments import Run


class Counting(InboxesWithReplies):
    """Counts fan-outs, and the runs in each."""

    def deliver(self, runs: Sequence[Run], group: Group, count: int) -> list[DropReason]:
        self.fan_outs.append(len(runs))
        return super().deliver(runs, group, count)

    fan_outs: list[int]


class CountingRelay(SessionRelay):
    def new_transport(self, name: str) -> Counting:
        transport = Counting(name, self.inboxes)
        transport.fan_outs = []
        return transport

    def fan_outs(self) -> list[int]:
        """Drain the numbers of runs."""
        transport = self.transports["main"]
        assert isinstance(transport, Counting)
        counted, transport.fan_outs = transport.fan_outs, []
        return counted


def leave(*clients: Client) -> list[tuple[str, bytes]]:
    return [(client.source, Leave(client.id).encode()) for client in clients]


def with_members(*nicks: str) -> tuple[CountingRelay, list[Client]]:
    relay = CountingRelay(session_rules())
    clients = joined(relay, *nicks)
    relay.wait(2 * ENTRIES_DELAY)
    for client in clients:
        client.drain()
    relay.fan_outs()
    return relay, clients


def test_those_of_one_turn_are_one_fan_out() -> None:
    relay, (anna, *others) = with_members("anna", "bert", "carl", "dora")
    relay.receive_batch(*leave(*others))
    assert relay.fan_outs() == [3]
    assert [type(entry.body) for entry in anna.drain(Entry)] == [LeaveEntry] * 3


def test_nobody_gets_the_one_of_its_own_join() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    bert = Client(relay, "10.0.0.77:1", "bert")
    bert.send(bert.join_datagram().encode())
    relay.wait(ENTRIES_DELAY)
    assert [type(datagram) for datagram in bert.drain()] == [Welcome]
    assert [type(entry.body) for entry in anna.drain(Entry)] == [JoinEntry]


def test_a_single_one_goes_out_at_once() -> None:
    relay, (anna, bert) = with_members("anna", "bert")
    relay.receive_batch(*leave(bert))
    assert relay.fan_outs() == [1]
    assert len(anna.drain(Entry)) == 1


def test_under_churn_they_wait_for_50_ms_and_are_one_fan_out() -> None:
    relay, (anna, *others) = with_members(*"abcdefghijkl")
    for other in others:
        relay.receive_batch(*leave(other))
    at_once = relay.fan_outs()
    assert at_once == [1] * len(at_once)
    assert len(at_once) < 6
    relay.wait(ENTRIES_DELAY)
    assert relay.fan_outs() == [len(others) - len(at_once)]
    assert sorted(entry.number for entry in anna.drain(Entry)) == list(range(2, 13))


def test_data_takes_those_that_wait_with_it() -> None:
    relay, (anna, bert, *others) = with_members(*"abcdefghijkl")
    for other in others:
        relay.receive_batch(*leave(other))
    anna.send_data(b"hello")
    got = bert.drain()
    assert sorted(one.sequence for one in got if isinstance(one, (Data, Entry))) == list(
        range(got[0].sequence, got[0].sequence + len(others) + 1)
    )
    relay.fan_outs()
    relay.wait(ENTRIES_DELAY)
    assert relay.fan_outs() == []


def test_many_of_one_size_stand_together() -> None:
    relay, (anna, *others) = with_members("a", *("x" * (1 + n % 3) + str(n) for n in range(9)))
    relay.receive_batch(*leave(*others))
    sizes = [len(datagram) for datagram in anna.drain_raw()]
    assert sizes == sorted(sizes, reverse=True)


def test_data_that_a_resumption_releases_comes_before_the_leave_that_follows() -> None:
    relay, (anna, bert) = with_members("anna", "bert")
    anna.send_data(b"early", own=2)
    join = anna.join_datagram(own=(2, 1)).encode()
    relay.receive_batch((anna.source, join), *leave(anna))
    datagrams = bert.drain_raw()
    (data,) = [one for one in map(decode_from_relay, datagrams) if isinstance(one, Data)]
    (left,) = [one for one in map(decode_from_relay, datagrams) if isinstance(one, Entry)]
    assert (data.payload, type(left.body)) == (b"early", LeaveEntry)
    assert data.sequence < left.sequence
