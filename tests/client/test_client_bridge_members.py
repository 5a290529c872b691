"""Which member is at which port of a bridge, over time."""

from __future__ import annotations

from collections.abc import Callable
from errno import EADDRINUSE
from typing import Any

import pytest
from twisted.internet.task import Clock

from udprelay.client import bridge_members
from udprelay.client.bridge_members import GRACE, MOST, BridgeMembers
from udprelay.client.notices import Notice
from udprelay.protocol.wire.members import MemberKind
from udprelay.session_client.known_member import KnownMember

ROOM = 7000


def session(number: int, nick: str, identity: bytes = b"", trusted: bool = True) -> KnownMember:
    identity = identity or nick.encode().ljust(16)
    return KnownMember(number, nick, MemberKind.SESSION, identity, trusted)


def plain(number: int, nick: str) -> KnownMember:
    return KnownMember(number, nick, MemberKind.PLAIN, b"", trusted=True)


class Socket:
    """What stands for a socket."""

    def __init__(self, port: int, received: Callable[[bytes], object] = print) -> None:
        self.address = ("127.0.0.1", port)
        self.receive = received
        self.open = True

    def __str__(self) -> str:
        return f"127.0.0.1:{self.address[1]}"

    def close(self) -> None:
        self.open = False


class Sockets:
    """The sockets of a bridge, and what came of them."""

    def __init__(self, room: int = ROOM) -> None:
        self.clock = Clock()
        self.taken: set[int] = set()
        self.opened: dict[int, Socket] = {}
        self.said: list[tuple[bytes, int | None]] = []
        self.notices: list[Notice] = []
        self.members = BridgeMembers(
            self.clock, self._socket(room), self._open, self._said, self.notices.append
        )

    def _socket(self, port: int) -> Any:
        return Socket(port)

    def _open(self, port: int, received: Callable[[bytes], object]) -> Any:
        if port in self.taken or (port in self.opened and self.opened[port].open):
            raise OSError(EADDRINUSE, "in use")
        port = port or 50_000
        self.opened[port] = Socket(port, received)
        return self.opened[port]

    def _said(self, payload: bytes, number: int | None) -> None:
        self.said.append((payload, number))

    def settle(self, *members: KnownMember) -> None:
        self.members.settle(members)

    def at(self, number: int) -> int | None:
        found = self.members.find(number)
        return None if found is None else found.address[1]

    @property
    def told(self) -> list[str]:
        return [notice.text for notice in self.notices]


@pytest.fixture
def sockets() -> Sockets:
    return Sockets()


def test_each_session_has_a_port_after_the_rooms(sockets: Sockets) -> None:
    sockets.settle(session(1, "ada"), session(5, "bob"))
    assert (sockets.at(1), sockets.at(5)) == (7001, 7002)
    assert sockets.told == ["ada is at 127.0.0.1:7001", "bob is at 127.0.0.1:7002"]


def test_ports_in_use_are_passed_over(sockets: Sockets) -> None:
    sockets.taken = {7001, 7003}
    sockets.settle(session(1, "ada"), session(5, "bob"))
    assert (sockets.at(1), sockets.at(5)) == (7002, 7004)


def test_behind_the_last_port_the_first_ones_are_tried() -> None:
    sockets = Sockets(room=65_534)
    sockets.settle(session(1, "ada"), session(5, "bob"))
    assert (sockets.at(1), sockets.at(5)) == (65_535, 1024)


def test_if_many_ports_are_in_use_any_will_do(sockets: Sockets) -> None:
    sockets.taken = set(range(7001, 8000))
    sockets.settle(session(1, "ada"))
    assert sockets.at(1) == 50_000


def test_what_the_program_says_to_a_port_is_for_its_member(sockets: Sockets) -> None:
    sockets.settle(session(1, "ada"), session(5, "bob"))
    sockets.opened[7002].receive(b"hello")
    assert sockets.said == [(b"hello", 5)]


def test_who_can_not_be_answered_has_a_port_only_after_saying_something(sockets: Sockets) -> None:
    sockets.settle(plain(3, "guest-3"))
    assert sockets.at(3) is None
    sockets.members.add(plain(3, "guest-3"))
    assert sockets.at(3) == 7001
    sockets.settle(plain(3, "guest-3"))
    assert sockets.at(3) == 7001
    assert sockets.told == ["guest-3 is at 127.0.0.1:7001"]


def test_the_socket_of_who_has_left_is_closed_after_a_while(sockets: Sockets) -> None:
    sockets.settle(session(1, "ada"))
    sockets.settle()
    sockets.settle()
    sockets.clock.advance(GRACE - 1)
    sockets.opened[7001].receive(b"still there?")
    assert sockets.said == [(b"still there?", None)]
    assert sockets.opened[7001].open
    sockets.clock.advance(1)
    assert not sockets.opened[7001].open
    assert sockets.told[1:] == ["ada is no longer at 127.0.0.1:7001"]


def test_who_is_back_soon_in_another_session_has_the_same_socket(sockets: Sockets) -> None:
    sockets.settle(session(1, "ada"))
    socket = sockets.opened[7001]
    sockets.settle()
    sockets.settle(session(4, "ada"))
    sockets.clock.advance(2 * GRACE)
    assert socket.open
    assert (sockets.at(4), sockets.at(1)) == (7001, None)
    socket.receive(b"welcome back")
    assert sockets.said == [(b"welcome back", 4)]
    assert sockets.told == ["ada is at 127.0.0.1:7001"] * 2


def test_who_is_back_under_the_same_nick_has_the_same_socket(sockets: Sockets) -> None:
    sockets.settle(session(1, "ada"))
    sockets.settle(session(4, "ada", b"another identity"))
    assert sockets.at(4) == 7001


def test_who_is_back_late_has_the_same_port(sockets: Sockets) -> None:
    sockets.settle(session(1, "ada"), session(2, "bob"))
    sockets.settle()
    sockets.clock.advance(GRACE)
    sockets.settle(session(7, "carol"))
    sockets.settle(session(7, "carol"), session(8, "bob", b"another identity"))
    assert (sockets.at(7), sockets.at(8)) == (7003, 7002)


def test_a_nick_that_nobody_vouches_for_is_nobodys(sockets: Sockets) -> None:
    sockets.settle(session(1, "ada"))
    sockets.settle(session(4, "ada", b"another identity", trusted=False))
    assert sockets.at(4) == 7002
    assert sockets.told[-1] == "member 4 is at 127.0.0.1:7002"


def test_a_new_nick_keeps_the_socket_and_frees_the_name(sockets: Sockets) -> None:
    sockets.settle(session(1, "ada"))
    sockets.settle(
        session(1, "countess", b"ada".ljust(16)), session(2, "ada", b"another identity")
    )
    assert (sockets.at(1), sockets.at(2)) == (7001, 7002)


def test_after_a_restart_of_the_relay_numbers_mean_others(sockets: Sockets) -> None:
    sockets.settle(session(1, "ada"), session(2, "bob"))
    sockets.settle(session(1, "bob"), session(2, "ada"))
    assert (sockets.at(1), sockets.at(2)) == (7002, 7001)
    assert len(sockets.told) == 2


def test_beyond_the_most_members_share_the_socket_of_the_room(sockets: Sockets) -> None:
    crowd = [session(number, f"n{number}") for number in range(1, MOST + 2)]
    sockets.settle(*crowd)
    sockets.settle(*crowd)
    assert sockets.at(MOST + 1) == ROOM
    assert sockets.told[MOST:] == [
        f"no more sockets for members: n{MOST + 1} is at 127.0.0.1:7000, with the room"
    ]
    sockets.settle(*crowd[1:])
    assert sockets.at(MOST + 1) == 7000 + MOST + 1
    assert not sockets.opened[7001].open


def test_no_more_ports_are_remembered_than_needed(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge_members, "_MOST_REMEMBERED", 2)
    sockets.settle(session(1, "ada"), session(2, "bob"))
    sockets.settle()
    sockets.clock.advance(GRACE)
    sockets.settle(session(3, "ada"), session(4, "bob"))
    assert (sockets.at(3), sockets.at(4)) == (7003, 7002)


def test_closing_leaves_nothing_open(sockets: Sockets) -> None:
    sockets.settle(session(1, "ada"), session(2, "bob"))
    sockets.settle(session(2, "bob"))
    sockets.members.close()
    assert not any(socket.open for socket in sockets.opened.values())
    assert not sockets.clock.getDelayedCalls()
