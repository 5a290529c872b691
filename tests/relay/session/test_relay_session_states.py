"""Each input in each state of an identity, as in the table of docs/protocol.rst."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from relay_driver import BERT
from relay_session import Client, SessionRelay, session_rules

from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.wire.entries import JoinEntry, LeaveEntry, NickEntry
from udprelay.protocol.wire.from_client import (
    DataUp,
    Leave,
    Missed,
    Nack,
    NickRequest,
    PathResponse,
    Ping,
    PrivateUp,
    RosterRequest,
)
from udprelay.protocol.wire.from_relay import (
    Ack,
    Bye,
    Gone,
    Heartbeat,
    Members,
    Nicked,
    PathChallenge,
    Pong,
)
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.joining import Challenge, Hello, Refused, Unknown, Versions, Welcome
from udprelay.protocol.wire.sequenced import Data, Entry, Notice, Private

KEY = AccessKey(b"s" * 16, b"k" * 32)
UNKNOWN_ID = b"no such."
NO_MEMBER, MEMBER, ELSEWHERE = "no member", "member", "member at another address"
STATES = (NO_MEMBER, MEMBER, ELSEWHERE)
NOTHING: list[type] = []


class Scene:
    """
    A room with a witness, and a client in one state.

    :ivar id: the session id that the client uses.
    """

    def __init__(self, state: str) -> None:
        self.relay = SessionRelay(session_rules(room={"access_key": KEY}))
        self.witness = Client(self.relay, "10.0.8.8:8", "witness", access_key=KEY.key)
        self.witness.join()
        self.client = Client(self.relay, "10.0.1.1:1", "anna", access_key=KEY.key)
        self.id = UNKNOWN_ID
        if state != NO_MEMBER:
            self.client.join()
            self.id = self.client.id
            self.witness.send_data(b"for NACK")
        if state == ELSEWHERE:
            self.client.source = BERT
        self.relay.inboxes.clear()
        self.home = "10.0.1.1:1"

    def got(self) -> list[type]:
        """Return the types of the datagrams received by the client at any address."""
        client = self.client
        kinds = [type(one) for one in client.drain()]
        if client.source != self.home:
            client.source, here = self.home, client.source
            kinds = [type(one) for one in client.drain()] + kinds
            client.source = here
        return kinds

    def witnessed(self) -> list[Any]:
        """Return the types of the datagrams received by the witness."""
        return [
            type(one.body) if isinstance(one, Entry) else type(one) for one in self.witness.drain()
        ]


Input = Callable[[Scene], Any]


def encoded(make: Callable[[Scene], Any]) -> Input:
    """Return an input that is one datagram."""
    return lambda scene: scene.client.send(make(scene).encode())


def join(**changes: Any) -> Input:
    return lambda scene: scene.client.send(scene.client.join_datagram(**changes).encode())


def kick(scene: Scene) -> None:
    if scene.client.is_member():
        scene.relay.hub.kick(scene.client.session, scene.relay.now)
        scene.relay.settle()


def idle(scene: Scene) -> None:
    for _ in range(5):
        scene.relay.wait(10)
        scene.witness.send(Ping(scene.witness.id, bytes(8), 0).encode())


def stop(scene: Scene) -> None:
    scene.relay.hub.close(scene.relay.now)
    for source, datagram in scene.relay.replies():
        scene.relay.inboxes[source].append(datagram)


INPUTS: dict[str, tuple[Input, dict[str, tuple[list[type], list[type]]]]] = {
    # The input; for each state, the datagrams that the client and the witness get.
    "HELLO": (
        encoded(lambda s: Hello(bytes(8), "lobby")),
        {state: ([Challenge], NOTHING) for state in STATES},
    ),
    "JOIN, cookie wrong": (
        join(cookie=b"wrong"),
        dict.fromkeys(STATES, (NOTHING, NOTHING)),
    ),
    "JOIN, not admitted": (
        join(proof=bytes(32), badge=bytes(16)),
        {state: ([Refused], NOTHING) for state in STATES},
    ),
    "JOIN, admitted": (
        join(),
        {
            NO_MEMBER: ([Welcome], [JoinEntry]),
            MEMBER: ([Welcome], NOTHING),
            ELSEWHERE: ([Welcome], NOTHING),
        },
    ),
    "DATA, reliable": (
        encoded(lambda s: DataUp(s.id, RELIABLE, 1, b"12345")),
        {
            NO_MEMBER: ([Unknown], NOTHING),
            MEMBER: ([Ack], [Data]),
            ELSEWHERE: ([Ack, PathChallenge], [Data]),
        },
    ),
    "DATA": (
        encoded(lambda s: DataUp(s.id, 0, 1, b"12345")),
        {
            NO_MEMBER: ([Unknown], NOTHING),
            MEMBER: (NOTHING, [Data]),
            ELSEWHERE: ([PathChallenge], [Data]),
        },
    ),
    "PRIVATE": (
        encoded(lambda s: PrivateUp(s.id, RELIABLE, 1, s.witness.identity, b"1")),
        {
            NO_MEMBER: ([Unknown], NOTHING),
            MEMBER: ([Ack], [Private]),
            ELSEWHERE: ([Ack, PathChallenge], [Private]),
        },
    ),
    "PRIVATE, receiver absent": (
        encoded(lambda s: PrivateUp(s.id, RELIABLE, 1, bytes(16), b"1")),
        {
            NO_MEMBER: ([Unknown], NOTHING),
            MEMBER: ([Notice, Ack], NOTHING),
            ELSEWHERE: ([Notice, Ack, PathChallenge], NOTHING),
        },
    ),
    "NACK": (
        encoded(lambda s: Nack(s.id, 0, ((3, 1),))),
        {
            NO_MEMBER: ([Unknown], NOTHING),
            MEMBER: ([Data], NOTHING),
            ELSEWHERE: ([Data, PathChallenge], NOTHING),
        },
    ),
    "PING": (
        encoded(lambda s: Ping(s.id, bytes(8), 0)),
        {
            NO_MEMBER: ([Unknown], NOTHING),
            MEMBER: ([Pong], NOTHING),
            ELSEWHERE: ([Pong, PathChallenge], NOTHING),
        },
    ),
    "ROSTER": (
        # Too short for a challenge of a new address.
        encoded(lambda s: RosterRequest(s.id, 0)),
        {
            NO_MEMBER: ([Unknown], NOTHING),
            MEMBER: ([Members], NOTHING),
            ELSEWHERE: ([Members], NOTHING),
        },
    ),
    "NICK": (
        encoded(lambda s: NickRequest(s.id, 1, "dora")),
        {
            NO_MEMBER: ([Unknown], NOTHING),
            MEMBER: ([Nicked, Entry], [NickEntry]),
            ELSEWHERE: ([Nicked, Entry, PathChallenge], [NickEntry]),
        },
    ),
    "MISSED": (
        encoded(lambda s: Missed(s.id, 1, ((1, 1),))),
        {
            NO_MEMBER: ([Unknown], NOTHING),
            MEMBER: (NOTHING, [Notice]),
            ELSEWHERE: ([PathChallenge], [Notice]),
        },
    ),
    "PATH-RESPONSE, wrong": (
        encoded(lambda s: PathResponse(s.id, bytes(8))),
        {
            NO_MEMBER: ([Unknown], NOTHING),
            MEMBER: (NOTHING, NOTHING),
            ELSEWHERE: (NOTHING, NOTHING),
        },
    ),
    "LEAVE": (
        encoded(lambda s: Leave(s.id)),
        {
            NO_MEMBER: ([Unknown], NOTHING),
            MEMBER: ([Bye], [LeaveEntry]),
            ELSEWHERE: ([Bye], [LeaveEntry]),
        },
    ),
    "idle time over": (
        idle,
        {
            state: (
                [Bye] if state != NO_MEMBER else NOTHING,
                [LeaveEntry] if state != NO_MEMBER else NOTHING,
            )
            for state in STATES
        },
    ),
    "kicked": (
        lambda scene: kick(scene) if scene.id != UNKNOWN_ID else None,
        {
            NO_MEMBER: (NOTHING, NOTHING),
            MEMBER: ([Bye], [LeaveEntry]),
            ELSEWHERE: ([Bye], [LeaveEntry]),
        },
    ),
    "relay stops": (
        stop,
        {NO_MEMBER: (NOTHING, [Bye]), MEMBER: ([Bye], [Bye]), ELSEWHERE: ([Bye], [Bye])},
    ),
}

FROM_RELAYS = (
    Challenge(bytes(8), b"cookie", bytes(16)),
    Refused(bytes(8), "room-full", "", 0),
    Unknown(UNKNOWN_ID),
    Versions(bytes(8), (1,)),
    Data(bytes(8), RELIABLE, 1, 1, 1, b"x"),
    Entry(bytes(8), 1, 1, LeaveEntry("left")),
    Private(UNKNOWN_ID, RELIABLE, 1, 1, 1, b"x"),
    Ack(UNKNOWN_ID, 1, 0, 1, 0, ()),
    Gone(UNKNOWN_ID, 0, ((1, 1, 0),)),
    Heartbeat(bytes(8), 1),
    Pong(UNKNOWN_ID, bytes(8), 1, 1),
    Members(UNKNOWN_ID, 0, 1, ()),
    PathChallenge(UNKNOWN_ID, bytes(8)),
    Bye(UNKNOWN_ID, "left", "", 0),
    Nicked(UNKNOWN_ID, 1, "anna"),
)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", INPUTS)
def test_each_input_in_each_state_has_its_answer(name: str, state: str) -> None:
    scene = Scene(state)
    cause, expected = INPUTS[name]
    cause(scene)
    # Heartbeats and unasked PONGs depend on the time.
    got = [kind for kind in scene.got() if kind is not Heartbeat]
    witnessed = [kind for kind in scene.witnessed() if kind not in (Heartbeat, Pong)]
    assert (got, witnessed) == expected[state]
    member = state != NO_MEMBER and name not in ("LEAVE", "idle time over", "kicked")
    member = member or name == "JOIN, admitted"
    if name != "relay stops":
        identities = scene.relay.room_log().by_identity
        assert (scene.client.identity in identities) == member


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("datagram", FROM_RELAYS, ids=lambda one: type(one).__name__)
def test_datagrams_of_relays_are_never_answered(datagram: Any, state: str) -> None:
    scene = Scene(state)
    encoded_ = datagram.encode()
    if state != NO_MEMBER:
        encoded_ = encoded_.replace(UNKNOWN_ID, scene.id)
    scene.client.send(encoded_)
    assert (scene.got(), scene.witnessed()) == ([], [])
    assert scene.relay.dropped() == {"malformed": 1}


def test_the_right_token_moves_the_member() -> None:
    scene = Scene(ELSEWHERE)
    scene.client.send(Ping(scene.id, bytes(8), 0).encode())
    (challenge,) = scene.client.drain(PathChallenge)
    scene.client.send(PathResponse(scene.id, challenge.token).encode())
    scene.relay.inboxes.clear()
    scene.client.send(Ping(scene.id, bytes(8), 0).encode())
    assert [type(one) for one in scene.client.drain()] == [Pong]
