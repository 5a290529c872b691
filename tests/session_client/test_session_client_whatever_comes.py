"""Whatever comes, and whenever: a membership does not raise, and nothing in it grows for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol_wire import DATAGRAMS, RELAY_TYPES
from session_client_machine import (
    BERT_RECORD,
    KEYS,
    OWN_NUMBER,
    SALT,
    SESSION,
    TAG,
    Client,
    joined,
    started,
)

from udprelay.protocol.wire.header import HEADER, PREFIX, Type
from udprelay.protocol.wire.joining import Unknown
from udprelay.session_client.events import Closed, Refused
from udprelay.session_client.sending import MessageError
from udprelay.session_client.state import State

OF_ATTEMPT = (Type.CHALLENGE, Type.VERSIONS, Type.WELCOME, Type.REFUSED)
OF_ROOM = (Type.DATA, Type.ENTRY, Type.HEARTBEAT)


def challenged(**settings: Any) -> Client:
    client = started(**settings)
    client.challenge()
    return client


def waiting() -> Client:
    client = joined(BERT_RECORD)
    client.hear(Unknown(SESSION))
    return client


def leaving() -> Client:
    client = joined(BERT_RECORD)
    client.do("leave")
    return client


def closed() -> Client:
    client = leaving()
    client.pass_time(1)
    return client


CLIENTS: dict[State, Callable[[], Client]] = {
    State.NEW: Client,
    State.GREETING: started,
    State.KEYING: lambda: challenged(keyed=True),
    State.JOINING: challenged,
    State.JOINED: lambda: joined(BERT_RECORD),
    State.WAITING: waiting,
    State.LEAVING: leaving,
    State.CLOSED: closed,
}
# Where a datagram with the id that is waited for can lead; elsewhere the state stays.
MOVES = {
    (State.GREETING, Type.CHALLENGE): {State.JOINING},
    (State.GREETING, Type.VERSIONS): {State.GREETING, State.CLOSED},
    (State.JOINING, Type.WELCOME): {State.JOINED, State.LEAVING},
    (State.JOINING, Type.REFUSED): {State.CLOSED},
    (State.JOINED, Type.UNKNOWN): {State.WAITING},
    (State.JOINED, Type.BYE): {State.WAITING, State.CLOSED},
    (State.LEAVING, Type.UNKNOWN): {State.CLOSED},
    (State.LEAVING, Type.BYE): {State.CLOSED},
}


def addressed(client: Client, datagram: bytes) -> bytes:
    """Give a datagram the id that the client waits for."""
    kind = datagram[4]
    if kind in OF_ATTEMPT:
        identifier = client.nonce if client.sent else bytes(8)
    else:
        identifier = TAG if kind in OF_ROOM else SESSION
    return datagram[:6] + identifier + datagram[HEADER:]


@settings(max_examples=30, deadline=None)
@given(st.fixed_dictionaries({kind: DATAGRAMS[kind] for kind in RELAY_TYPES}))
def test_each_type_in_each_state_leads_where_the_table_says(datagrams: dict[Type, Any]) -> None:
    for state, make_client in CLIENTS.items():
        for kind, datagram in datagrams.items():
            client = make_client()
            client.membership.receive(addressed(client, datagram.encode()), client.now)
            client.collect()
            assert client.membership.state in MOVES.get((state, kind), {state})


@given(st.sampled_from(list(CLIENTS)), st.sampled_from(RELAY_TYPES), st.binary(max_size=100))
def test_what_is_not_valid_or_not_for_it_is_counted_and_ignored(
    state: State, kind: Type, tail: bytes
) -> None:
    client = CLIENTS[state]()
    before = client.membership.next_deadline()
    client.events.clear()
    client.said.clear()
    datagram = PREFIX + bytes((kind, 0)) + b"stranger" + tail
    client.membership.receive(datagram, client.now)
    client.collect()
    assert client.membership.state is state
    assert client.membership.statistics.ignored == 1
    assert (client.events, client.said) == ([], [])
    assert client.membership.next_deadline() == before


@given(st.sampled_from(list(CLIENTS)), st.binary(max_size=200))
def test_arbitrary_bytes_change_nothing(state: State, datagram: bytes) -> None:
    client = CLIENTS[state]()
    client.membership.receive(datagram, client.now)
    assert client.membership.statistics.ignored == 1
    assert client.membership.state is state


@pytest.mark.parametrize("state", CLIENTS, ids=lambda state: state.value)
def test_each_call_can_be_made_in_each_state(state: State) -> None:
    calls: list[tuple[Any, ...]] = [
        ("start",),
        ("provide_keys", SALT, KEYS),
        ("change_nick", "berta"),
        ("ping",),
        ("unreachable",),
        ("expire",),
        ("leave",),
    ]
    for call in calls:
        CLIENTS[state]().do(*call)
    for call in (("send", b"x"), ("send_private", OWN_NUMBER + 1, b"x")):
        client = CLIENTS[state]()
        try:
            client.do(*call)
        except MessageError:
            continue


@settings(deadline=None)
@given(data=st.data(), keyed=st.booleans())
def test_a_relay_gone_mad_can_t_break_it(data: st.DataObject, keyed: bool) -> None:
    client = joined(BERT_RECORD, keyed=keyed)
    for _ in range(data.draw(st.integers(0, 20))):
        step = data.draw(st.sampled_from(["receive", "receive", "wait", "send", "call", "nick"]))
        if step == "receive":
            kind = data.draw(st.sampled_from(RELAY_TYPES))
            datagram = addressed(client, data.draw(DATAGRAMS[kind]).encode())
            client.membership.receive(datagram, client.now)
            client.collect()
        elif step == "wait":
            client.pass_time(data.draw(st.floats(0, 30)))
        elif step == "send":
            try:
                client.do("send", b"x" * data.draw(st.integers(1, 5000)))
            except MessageError:
                assert client.membership.state in (State.CLOSED, State.LEAVING)
        elif step == "nick":
            client.do("change_nick", data.draw(st.sampled_from(["berta", "carla"])))
        else:
            client.do(data.draw(st.sampled_from(["ping", "unreachable", "expire", "leave"])))
    ends = [event for event in client.events if isinstance(event, Closed | Refused)]
    assert len(ends) == (client.membership.state is State.CLOSED)
