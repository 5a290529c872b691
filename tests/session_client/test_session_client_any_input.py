"""Any datagram, call and time in any state: the client raises nothing and ends once."""

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
    ClientDriver,
    joined,
    started,
)

from udprelay.protocol.wire.header import HEADER_SIZE, PREFIX, Type
from udprelay.protocol.wire.joining import Unknown
from udprelay.session_client.events import Closed, Refused
from udprelay.session_client.message_sender import MessageError
from udprelay.session_client.settings import State

OF_HANDSHAKE = (Type.CHALLENGE, Type.VERSIONS, Type.WELCOME, Type.REFUSED)
OF_ROOM = (Type.DATA, Type.ENTRY, Type.HEARTBEAT)


def challenged(**settings: Any) -> ClientDriver:
    client = started(**settings)
    client.challenge()
    return client


def waiting() -> ClientDriver:
    client = joined(BERT_RECORD)
    client.receive(Unknown(SESSION))
    return client


def leaving() -> ClientDriver:
    client = joined(BERT_RECORD)
    client.call("leave")
    return client


def closed() -> ClientDriver:
    client = leaving()
    client.pass_time(1)
    return client


CLIENTS: dict[State, Callable[[], ClientDriver]] = {
    State.NEW: ClientDriver,
    State.GREETING: started,
    State.KEYING: lambda: challenged(keyed=True),
    State.JOINING: challenged,
    State.JOINED: lambda: joined(BERT_RECORD),
    State.WAITING: waiting,
    State.LEAVING: leaving,
    State.CLOSED: closed,
}
# The states after a datagram with the expected id; other datagrams do not change the state.
TRANSITIONS = {
    (State.GREETING, Type.CHALLENGE): {State.JOINING},
    (State.GREETING, Type.VERSIONS): {State.GREETING, State.CLOSED},
    (State.JOINING, Type.WELCOME): {State.JOINED, State.LEAVING},
    (State.JOINING, Type.REFUSED): {State.CLOSED},
    (State.JOINED, Type.UNKNOWN): {State.WAITING},
    (State.JOINED, Type.BYE): {State.WAITING, State.CLOSED},
    (State.LEAVING, Type.UNKNOWN): {State.CLOSED},
    (State.LEAVING, Type.BYE): {State.CLOSED},
}


def addressed(client: ClientDriver, datagram: bytes) -> bytes:
    """Return the datagram with the id that the client expects."""
    kind = datagram[4]
    if kind in OF_HANDSHAKE:
        identifier = client.nonce if client.log else bytes(8)
    else:
        identifier = TAG if kind in OF_ROOM else SESSION
    return datagram[:6] + identifier + datagram[HEADER_SIZE:]


@settings(max_examples=30, deadline=None)
@given(st.fixed_dictionaries({kind: DATAGRAMS[kind] for kind in RELAY_TYPES}))
def test_each_type_in_each_state_leads_to_the_state_in_the_table(
    datagrams: dict[Type, Any],
) -> None:
    for state, make_client in CLIENTS.items():
        for kind, datagram in datagrams.items():
            client = make_client()
            client.session_client.receive(addressed(client, datagram.encode()), client.now)
            client.collect()
            assert client.session_client.state in TRANSITIONS.get((state, kind), {state})


@given(st.sampled_from(list(CLIENTS)), st.sampled_from(RELAY_TYPES), st.binary(max_size=100))
def test_a_datagram_with_another_id_is_counted_and_ignored(
    state: State, kind: Type, tail: bytes
) -> None:
    client = CLIENTS[state]()
    before = client.session_client.next_deadline()
    client.events.clear()
    client.datagrams.clear()
    datagram = PREFIX + bytes((kind, 0)) + b"other id" + tail
    client.session_client.receive(datagram, client.now)
    client.collect()
    assert client.session_client.state is state
    assert client.session_client.statistics.ignored == 1
    assert (client.events, client.datagrams) == ([], [])
    assert client.session_client.next_deadline() == before


@given(st.sampled_from(list(CLIENTS)), st.binary(max_size=200))
def test_arbitrary_bytes_are_ignored(state: State, datagram: bytes) -> None:
    client = CLIENTS[state]()
    client.session_client.receive(datagram, client.now)
    assert client.session_client.statistics.ignored == 1
    assert client.session_client.state is state


@pytest.mark.parametrize("state", CLIENTS, ids=lambda state: state.value)
def test_no_method_raises_in_any_state(state: State) -> None:
    calls: list[tuple[Any, ...]] = [
        ("start",),
        ("provide_keys", SALT, KEYS),
        ("change_nick", "berta"),
        ("ping",),
        ("receive_icmp_error",),
        ("expire",),
        ("leave",),
    ]
    for call in calls:
        CLIENTS[state]().call(*call)
    for call in (("send", b"x"), ("send_private", OWN_NUMBER + 1, b"x")):
        client = CLIENTS[state]()
        try:
            client.call(*call)
        except MessageError:
            continue


@settings(deadline=None)
@given(data=st.data(), keyed=st.booleans())
def test_a_misbehaving_relay_causes_no_error_and_one_end(data: st.DataObject, keyed: bool) -> None:
    client = joined(BERT_RECORD, keyed=keyed)
    for _ in range(data.draw(st.integers(0, 20))):
        step = data.draw(st.sampled_from(["receive", "receive", "wait", "send", "call", "nick"]))
        if step == "receive":
            kind = data.draw(st.sampled_from(RELAY_TYPES))
            datagram = addressed(client, data.draw(DATAGRAMS[kind]).encode())
            client.session_client.receive(datagram, client.now)
            client.collect()
        elif step == "wait":
            client.pass_time(data.draw(st.floats(0, 30)))
        elif step == "send":
            try:
                client.call("send", b"x" * data.draw(st.integers(1, 5000)))
            except MessageError:
                assert client.session_client.state in (State.CLOSED, State.LEAVING)
        elif step == "nick":
            client.call("change_nick", data.draw(st.sampled_from(["berta", "carla"])))
        else:
            client.call(
                data.draw(st.sampled_from(["ping", "receive_icmp_error", "expire", "leave"]))
            )
    ends = [event for event in client.events if isinstance(event, Closed | Refused)]
    assert len(ends) == (client.session_client.state is State.CLOSED)
