"""Which port of a bridge is assigned to which member."""

from __future__ import annotations

from collections.abc import Callable
from errno import EADDRINUSE
from typing import Any

import pytest
from twisted.internet.task import Clock

from udprelay.client.bridge_members import (
    GRACE_PERIOD,
    MAX_MEMBER_SOCKETS,
    MAX_REMEMBERED_PORTS,
    MemberSockets,
)
from udprelay.client.notices import Notice
from udprelay.protocol.wire.members import MemberKind
from udprelay.session_client.known_member import KnownMember

ROOM = 7000


def session(number: int, nick: str, identity: bytes = b"", trusted: bool = True) -> KnownMember:
    identity = identity or nick.encode().ljust(16)
    return KnownMember(number, nick, MemberKind.SESSION, identity, trusted)


def plain(number: int, nick: str) -> KnownMember:
    return KnownMember(number, nick, MemberKind.PLAIN, b"", trusted=True)


class FakeSocket:
    """Stands in for a bridge's socket."""

    def __init__(self, port: int, received: Callable[[bytes], object] = print) -> None:
        self.address = ("127.0.0.1", port)
        self.receive = received
        self.open = True

    def __str__(self) -> str:
        return f"127.0.0.1:{self.address[1]}"

    def close(self) -> None:
        self.open = False


class Fixture:
    """The sockets of a bridge without a network: what they open, send and report."""

    def __init__(self, room: int = ROOM) -> None:
        self.clock = Clock()
        self.in_use: set[int] = set()
        self.opened: dict[int, FakeSocket] = {}
        self.sent: list[tuple[bytes, int | None]] = []
        self.notices: list[Notice] = []
        self.members = MemberSockets(
            self.clock, self._socket(room), self._open, self._send, self.notices.append
        )

    def _socket(self, port: int) -> Any:
        return FakeSocket(port)

    def _open(self, port: int, received: Callable[[bytes], object]) -> Any:
        if port in self.in_use or (port in self.opened and self.opened[port].open):
            raise OSError(EADDRINUSE, "in use")
        port = port or 50_000
        self.opened[port] = FakeSocket(port, received)
        return self.opened[port]

    def _send(self, payload: bytes, number: int | None) -> None:
        self.sent.append((payload, number))

    def has_open(self, port: int) -> bool:
        return self.opened[port].open

    def update(self, *members: KnownMember) -> None:
        self.members.update(members)

    def port_of(self, number: int) -> int | None:
        found = self.members.get(number)
        return None if found is None else found.address[1]

    @property
    def reported(self) -> list[str]:
        return [notice.text for notice in self.notices]


@pytest.fixture
def sockets() -> Fixture:
    return Fixture()


def test_each_session_has_a_port_after_the_rooms(sockets: Fixture) -> None:
    sockets.update(session(1, "ada"), session(5, "bob"))
    assert (sockets.port_of(1), sockets.port_of(5)) == (7001, 7002)
    assert sockets.reported == ["ada is at 127.0.0.1:7001", "bob is at 127.0.0.1:7002"]


def test_ports_in_use_are_skipped(sockets: Fixture) -> None:
    sockets.in_use = {7001, 7003}
    sockets.update(session(1, "ada"), session(5, "bob"))
    assert (sockets.port_of(1), sockets.port_of(5)) == (7002, 7004)


def test_after_the_last_port_the_first_ones_are_tried() -> None:
    sockets = Fixture(room=65_534)
    sockets.update(session(1, "ada"), session(5, "bob"))
    assert (sockets.port_of(1), sockets.port_of(5)) == (65_535, 1024)


def test_if_many_ports_are_in_use_the_kernel_chooses_one(sockets: Fixture) -> None:
    sockets.in_use = set(range(7001, 8000))
    sockets.update(session(1, "ada"))
    assert sockets.port_of(1) == 50_000


def test_a_datagram_to_a_port_is_for_its_member(sockets: Fixture) -> None:
    sockets.update(session(1, "ada"), session(5, "bob"))
    sockets.opened[7002].receive(b"hello")
    assert sockets.sent == [(b"hello", 5)]


def test_a_plain_member_has_a_port_only_after_it_is_added(sockets: Fixture) -> None:
    sockets.update(plain(3, "guest-3"))
    assert sockets.port_of(3) is None
    sockets.members.add(plain(3, "guest-3"))
    assert sockets.port_of(3) == 7001
    sockets.update(plain(3, "guest-3"))
    assert sockets.port_of(3) == 7001
    assert sockets.reported == ["guest-3 is at 127.0.0.1:7001"]


def test_the_socket_of_a_member_that_has_left_is_closed_after_the_grace_period(
    sockets: Fixture,
) -> None:
    sockets.update(session(1, "ada"))
    sockets.update()
    sockets.update()
    sockets.clock.advance(GRACE_PERIOD - 1)
    sockets.opened[7001].receive(b"still there?")
    assert sockets.sent == [(b"still there?", None)]
    assert sockets.has_open(7001)
    sockets.clock.advance(1)
    assert not sockets.has_open(7001)
    assert sockets.reported[1:] == ["ada is no longer at 127.0.0.1:7001"]


def test_a_member_that_is_back_soon_under_another_number_has_the_same_socket(
    sockets: Fixture,
) -> None:
    sockets.update(session(1, "ada"))
    socket = sockets.opened[7001]
    sockets.update()
    sockets.update(session(4, "ada"))
    sockets.clock.advance(2 * GRACE_PERIOD)
    assert socket.open
    assert (sockets.port_of(4), sockets.port_of(1)) == (7001, None)
    socket.receive(b"welcome back")
    assert sockets.sent == [(b"welcome back", 4)]
    assert sockets.reported == ["ada is at 127.0.0.1:7001"] * 2


def test_a_member_that_is_back_with_the_same_nick_has_the_same_socket(sockets: Fixture) -> None:
    sockets.update(session(1, "ada"))
    sockets.update(session(4, "ada", b"another identity"))
    assert sockets.port_of(4) == 7001


def test_a_member_that_is_back_late_has_the_same_port(sockets: Fixture) -> None:
    sockets.update(session(1, "ada"), session(2, "bob"))
    sockets.update()
    sockets.clock.advance(GRACE_PERIOD)
    sockets.update(session(7, "carol"))
    sockets.update(session(7, "carol"), session(8, "bob", b"another identity"))
    assert (sockets.port_of(7), sockets.port_of(8)) == (7003, 7002)


def test_a_nick_that_is_not_authenticated_gets_no_old_socket(sockets: Fixture) -> None:
    sockets.update(session(1, "ada"))
    sockets.update(session(4, "ada", b"another identity", trusted=False))
    assert sockets.port_of(4) == 7002
    assert sockets.reported[-1] == "member 4 is at 127.0.0.1:7002"


def test_a_renamed_member_keeps_its_socket_and_its_old_nick_is_free(sockets: Fixture) -> None:
    sockets.update(session(1, "ada"))
    sockets.update(
        session(1, "countess", b"ada".ljust(16)), session(2, "ada", b"another identity")
    )
    assert (sockets.port_of(1), sockets.port_of(2)) == (7001, 7002)


def test_after_a_restart_of_the_relay_members_have_other_numbers_and_the_same_sockets(
    sockets: Fixture,
) -> None:
    sockets.update(session(1, "ada"), session(2, "bob"))
    sockets.update(session(1, "bob"), session(2, "ada"))
    assert (sockets.port_of(1), sockets.port_of(2)) == (7002, 7001)
    assert len(sockets.reported) == 2


def test_beyond_the_limit_members_share_the_socket_of_the_room(sockets: Fixture) -> None:
    crowd = [session(number, f"n{number}") for number in range(1, MAX_MEMBER_SOCKETS + 2)]
    sockets.update(*crowd)
    sockets.update(*crowd)
    assert sockets.port_of(MAX_MEMBER_SOCKETS + 1) == ROOM
    shares = f"n{MAX_MEMBER_SOCKETS + 1} shares 127.0.0.1:7000 with the room"
    assert sockets.reported[MAX_MEMBER_SOCKETS:] == [f"no more sockets for members: {shares}"]
    sockets.update(*crowd[1:])
    assert sockets.port_of(MAX_MEMBER_SOCKETS + 1) == 7000 + MAX_MEMBER_SOCKETS + 1
    assert not sockets.opened[7001].open


def test_the_ports_of_the_members_that_left_first_are_forgotten(sockets: Fixture) -> None:
    # Two entries for each member: its identity and its nick.
    last = MAX_REMEMBERED_PORTS // 2 + 1
    for number in range(1, last + 1):
        sockets.update(session(number, f"n{number}"))
        sockets.update()
        sockets.clock.advance(GRACE_PERIOD)
    sockets.update(session(1, "n1"), session(last, f"n{last}"))
    assert (sockets.port_of(1), sockets.port_of(last)) == (ROOM + last + 1, ROOM + last)


def test_closing_closes_all_sockets(sockets: Fixture) -> None:
    sockets.update(session(1, "ada"), session(2, "bob"))
    sockets.update(session(2, "bob"))
    sockets.members.close()
    assert not any(socket.open for socket in sockets.opened.values())
    assert not sockets.clock.getDelayedCalls()
