"""Floods: whose datagrams the kernel is to drop, and for how long."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from relay_driver import ANNA, BERT, CARL, UNTRUSTED, Relay, read_endpoint
from relay_session import Client, SessionRelay, session_rules

from udprelay.protocol.wire.from_client import Ping
from udprelay.protocol.wire.joining import Hello
from udprelay.relay import floods
from udprelay.relay.events import FloodFiltered, FloodOver
from udprelay.relay.flood_source import FloodSource
from udprelay.relay.rules import ListenerRules, PlainPolicy, Protocol, RelayRules, RoomRules

MANY = 64
LARGE = 41
"""Datagrams for which one of 60,000 bytes counts."""
GARBAGE = b"\xfdUR\x01\x10\x00" + bytes(30)


ONE_A_SECOND = {"member_rate": 1, "control_rate": 1}


def flood(relay: Relay, source: str, number: int, payload: bytes = b"flood") -> None:
    """Receive so many datagrams at once, in batches."""
    while number > 0:
        relay.receive_batch(*[(source, payload)] * min(number, MANY))
        number -= MANY


def filtered(relay: Relay, listener: str = "main") -> list[FloodSource]:
    return relay.transports[listener].filtered


def at(source: str, session_id: bytes = b"") -> FloodSource:
    endpoint = read_endpoint(source)
    return FloodSource(endpoint.ip, endpoint.port, session_id)


def everyone(source: str) -> FloodSource:
    return FloodSource(read_endpoint(source).ip, None)


@pytest.fixture(params=[ANNA, CARL], ids=["IPv4", "IPv6"])
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def relay(source: str) -> Relay:
    """A relay with two plain members that may send one datagram a second."""
    made = Relay(session_rules(room=ONE_A_SECOND))
    made.join(source, BERT)
    return made


def test_a_plain_member_that_goes_on_beyond_its_allowance_is_filtered(
    relay: Relay, source: str
) -> None:
    flood(relay, source, floods.MEMBER_LIMIT - MANY)
    assert filtered(relay) == []
    flood(relay, source, 2 * MANY)
    assert filtered(relay) == [at(source)]


def test_the_event_tells_the_member(relay: Relay, source: str) -> None:
    flood(relay, source, floods.MEMBER_LIMIT + MANY)
    (event,) = relay.events(FloodFiltered)
    assert event == FloodFiltered(
        listener="main", address=source, room="lobby", member="guest-1", sources=1
    )


@pytest.mark.parametrize("payload", [b"", b"flood", GARBAGE], ids=["empty", "short", "framed"])
@pytest.mark.parametrize("local", ["", " 10.0.0.9"], ids=["same", "another"])
@pytest.mark.parametrize("protocol", list(Protocol))
def test_whatever_a_plain_member_sends_to_whichever_address_it_counts(
    payload: bytes, local: str, protocol: Protocol
) -> None:
    if protocol is Protocol.SESSION:
        pytest.skip("has no plain members")
    relay = Relay(session_rules(room=ONE_A_SECOND, protocol=protocol))
    relay.join(ANNA, BERT)
    flood(relay, ANNA + local, 2 * floods.STRANGER_LIMIT, payload)
    assert filtered(relay) == [at(ANNA)]


def test_a_plain_member_among_framed_datagrams_counts(relay: Relay, source: str) -> None:
    for _ in range(floods.MEMBER_LIMIT):
        relay.receive_batch((source, b"flood"), (source, b"\xfdxx12"))
    assert filtered(relay) == [at(source)]


def test_a_member_within_its_allowance_is_never_filtered() -> None:
    relay = Relay(session_rules())
    relay.join(ANNA, BERT)
    flood(relay, ANNA, 3 * floods.STRANGER_LIMIT)
    assert filtered(relay) == []


def test_what_is_spread_over_time_is_no_flood(relay: Relay, source: str) -> None:
    for _ in range(10):
        flood(relay, source, floods.MEMBER_LIMIT - MANY)
        relay.wait(floods.INTERVAL)
    assert filtered(relay) == []


def test_a_member_that_only_a_shared_limit_has_cut_is_not_filtered() -> None:
    relay = Relay(session_rules(room={"room_output": 1}))
    relay.join(ANNA, BERT)
    flood(relay, ANNA, 2 * floods.MEMBER_LIMIT)
    assert filtered(relay) == []


def joined(relay: SessionRelay, source: str, nick: str = "anna") -> Client:
    client = Client(relay, source, nick)
    client.join()
    return client


@pytest.fixture
def session(source: str) -> Client:
    """A session member that may send one datagram a second."""
    return joined(SessionRelay(session_rules(room=ONE_A_SECOND)), source)


def flood_by(client: Client, number: int, source: str = "") -> None:
    for _ in range(0, number, MANY):
        batch = [(source or client.source, client.data(b"flood", 0)) for _ in range(MANY)]
        client.relay.receive_batch(*batch)


def test_a_session_member_is_filtered_by_its_source_and_its_session_id(session: Client) -> None:
    flood_by(session, floods.MEMBER_LIMIT + MANY)
    assert filtered(session.relay) == [at(session.source, session.id)]
    (event,) = session.relay.events(FloodFiltered)
    assert (event.room, event.member, event.sources) == ("lobby", "anna", 1)


def test_a_session_member_is_filtered_where_its_flood_comes_from(session: Client) -> None:
    flood_by(session, floods.MEMBER_LIMIT + MANY, BERT)
    assert filtered(session.relay) == [at(BERT, session.id)]


@pytest.mark.parametrize("payload", [b"flood", GARBAGE, Hello(bytes(8), "lobby").encode()])
def test_others_cannot_have_a_session_member_filtered_in_its_name(
    session: Client, payload: bytes
) -> None:
    flood(session.relay, session.source, 2 * floods.STRANGER_LIMIT, payload)
    assert filtered(session.relay) == []


# Those who are no members.


def challenging(protocol: Protocol = Protocol.AUTO) -> Relay:
    """Return a relay that trusts the addresses of ANNA and BERT alone."""
    networks = (IPv4Network("10.0.0.0/8"),)
    rules = ListenerRules(protocol=protocol, plain_networks=networks)
    room = RoomRules(member_rate=1)
    return Relay(RelayRules(listeners={"main": rules}, room_defaults=room))


def any_payload() -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"flood",
            GARBAGE,
            Hello(bytes(8), "lobby").encode(),
            Ping(bytes(8), bytes(8), 0).encode(),
        ],
        ids=["empty", "plain", "DATA", "HELLO", "PING"],
    )


@any_payload()
@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_source_that_sends_much_and_is_no_member_is_filtered(
    payload: bytes, protocol: Protocol
) -> None:
    relay = challenging(protocol)
    flood(relay, UNTRUSTED, floods.STRANGER_LIMIT - MANY, payload)
    assert filtered(relay) == []
    flood(relay, UNTRUSTED, 2 * MANY, payload)
    assert filtered(relay) == [at(UNTRUSTED)]
    (event,) = relay.events(FloodFiltered)
    assert (event.address, event.room, event.member) == (UNTRUSTED, "", "")


def test_a_source_that_becomes_a_member_is_no_stranger_any_more() -> None:
    relay = Relay(session_rules())
    flood(relay, UNTRUSTED, 2 * floods.STRANGER_LIMIT)
    assert filtered(relay) == []


def from_many_ports(relay: Relay, host: str, number: int, listener: str = "main") -> None:
    """Receive datagrams that count for so many from one address, each from another port."""
    for port in range(10_000, 10_000 + number // LARGE):
        relay.receive(f"{host}:{port}", bytes(60_000), listener=listener)


@pytest.mark.parametrize(
    ("hosts", "wanted"),
    [
        (["203.0.113.9"], [FloodSource(read_endpoint("203.0.113.9:1").ip, None)]),
        (
            ["[2001:db8::1:2:3:4]", "[2001:db8::2:3:4:5]"],
            [FloodSource(read_endpoint("[2001:db8::]:1").ip, None)],
        ),
    ],
    ids=["IPv4", "IPv6"],
)
def test_an_address_without_members_is_filtered_for_all_its_ports(
    hosts: list[str], wanted: list[FloodSource]
) -> None:
    relay = challenging()
    for host in hosts:
        from_many_ports(relay, host, floods.ADDRESS_LIMIT // len(hosts) + MANY)
    assert filtered(relay) == wanted
    (event,) = relay.events(FloodFiltered)
    assert event.address == str(wanted[0])


@pytest.mark.parametrize("join", ["plain", "session", "target"])
def test_an_address_with_a_member_is_never_filtered_as_a_whole(join: str) -> None:
    relay = SessionRelay(RelayRules(listeners={"main": ListenerRules(plain=PlainPolicy.OFF)}))
    if join == "session":
        joined(relay, "203.0.113.9:1")
    elif join == "target":
        relay.target("203.0.113.9:1")
    else:
        relay = SessionRelay(session_rules())
        relay.join("203.0.113.9:1")
        relay.listeners["main"].rules = ListenerRules(plain=PlainPolicy.OFF)
    from_many_ports(relay, "203.0.113.9", 2 * floods.ADDRESS_LIMIT)
    assert filtered(relay) == []


def test_a_link_local_network_is_of_many_hosts() -> None:
    relay = challenging()
    from_many_ports(relay, "[fe80::1%2]", 2 * floods.ADDRESS_LIMIT)
    assert filtered(relay) == []


def test_members_are_looked_for_once_in_an_interval() -> None:
    relay = challenging()
    from_many_ports(relay, "203.0.113.7", floods.ADDRESS_LIMIT // 2)
    from_many_ports(relay, "203.0.113.8", floods.ADDRESS_LIMIT + MANY)
    from_many_ports(relay, "203.0.113.9", floods.ADDRESS_LIMIT + MANY)
    assert filtered(relay) == [everyone("203.0.113.8:1")]
    relay.now += floods.INTERVAL - 0.01
    from_many_ports(relay, "203.0.113.9", MANY)
    assert filtered(relay) == [everyone("203.0.113.8:1")]
    relay.now += 0.01
    from_many_ports(relay, "203.0.113.9", floods.ADDRESS_LIMIT + MANY)
    assert everyone("203.0.113.9:1") in filtered(relay)


def test_addresses_at_another_listener_are_left_to_it() -> None:
    listeners = {"main": ListenerRules(), "other": ListenerRules(port=6001)}
    relay = Relay(RelayRules(listeners=listeners))
    for name in ("other", "main"):
        from_many_ports(relay, "203.0.113.9", floods.ADDRESS_LIMIT + MANY, name)
    assert filtered(relay, "other") == [everyone("203.0.113.9:1")]
    assert filtered(relay) == []


# For how long.


def test_a_filter_is_lifted_and_comes_back_for_twice_as_long(relay: Relay, source: str) -> None:
    times = []
    flood(relay, source, floods.MEMBER_LIMIT + MANY)
    for _ in range(7):
        began = relay.now
        while filtered(relay):
            relay.wait(relay.deadline() - relay.now)
        times.append(relay.now - began)
        # The relay looks again: a part of the limit is enough.
        flood(relay, source, floods.MEMBER_LIMIT // floods.AGAIN + MANY)
        assert filtered(relay) == [at(source)]
    assert times == [1, 2, 4, 8, 16, 16, 16]
    assert len(relay.events(FloodFiltered)) == 1


def test_what_waited_in_the_receive_buffer_makes_no_filter_longer(
    relay: Relay, source: str
) -> None:
    flood(relay, source, 10 * floods.MEMBER_LIMIT)
    relay.wait(floods.FIRST_TIME)
    assert filtered(relay) == []


def test_a_flood_is_over_when_its_source_has_been_watched_without_one(
    relay: Relay, source: str
) -> None:
    flood(relay, source, floods.MEMBER_LIMIT + MANY)
    relay.wait(floods.FIRST_TIME + floods.WATCH_TIME - 0.1)
    assert relay.events(FloodOver) == []
    relay.wait(0.1)
    (over,) = relay.events(FloodOver)
    assert over == FloodOver(sources=1, seconds=floods.FIRST_TIME + floods.WATCH_TIME)
    assert relay.hub.census.read()["tables.floods"] == 0
    flood(relay, source, floods.MEMBER_LIMIT - MANY)
    assert filtered(relay) == []


# How many, and how often it is said.


def floods_of(relay: Relay, hosts: range) -> None:
    for host in hosts:
        flood(relay, f"198.51.100.{host}:1000", floods.STRANGER_LIMIT // LARGE + 1, bytes(60_000))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bound the number of sources to a few."""
    monkeypatch.setattr(floods, "MAX_SOURCES", 5)


@pytest.mark.usefixtures("few")
def test_the_number_of_sources_is_bounded_and_members_have_places_of_their_own() -> None:
    relay = challenging()
    relay.join(ANNA)
    floods_of(relay, range(floods.MAX_SOURCES + 2))
    assert len(filtered(relay)) == floods.MAX_SOURCES
    flood(relay, ANNA, floods.MEMBER_LIMIT + MANY)
    assert len(filtered(relay)) == floods.MAX_SOURCES + 1
    assert filtered(relay)[0] == at(ANNA)
    assert relay.hub.census.read()["tables.floods"] == floods.MAX_SOURCES + 1


@pytest.mark.usefixtures("few")
def test_a_source_that_is_only_watched_makes_place() -> None:
    relay = challenging()
    floods_of(relay, range(floods.MAX_SOURCES))
    relay.wait(floods.FIRST_TIME)
    flood(relay, UNTRUSTED, floods.STRANGER_LIMIT)
    assert filtered(relay) == [at(UNTRUSTED)]
    assert relay.hub.census.read()["tables.floods"] == floods.MAX_SOURCES


def test_many_sources_are_said_in_few_events() -> None:
    relay = challenging()
    floods_of(relay, range(20))
    (first,) = relay.events(FloodFiltered)
    assert first.sources == 1
    relay.now += floods.REPORT_INTERVAL
    floods_of(relay, range(20, 21))
    (second,) = relay.events(FloodFiltered)
    assert second.sources == 20
    relay.wait(60.0)
    assert relay.events(FloodOver)[0].sources == 21


def test_each_listener_filters_its_own_sources() -> None:
    relay = Relay(
        RelayRules(listeners={"main": ListenerRules(), "other": ListenerRules(port=6001)})
    )
    flood(relay, UNTRUSTED, floods.STRANGER_LIMIT)
    assert filtered(relay) == [at(UNTRUSTED)]
    assert filtered(relay, "other") == []
