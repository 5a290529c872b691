"""A local socket for each other member, so that a program sees distinct peers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall

from udprelay.client.bridge_socket import BridgeSocket
from udprelay.client.channel import member_name
from udprelay.client.notices import Notice
from udprelay.protocol.wire.members import MemberKind
from udprelay.session_client.known_member import KnownMember

MAX_MEMBER_SOCKETS = 256
"""Sockets that are open at once; further members share the room's socket."""
GRACE_PERIOD = 30.0
"""Seconds for which the socket of a member that has left stays open."""
MAX_REMEMBERED_PORTS = 1024
"""Identities and nicks of members that have left, each with the port of its closed socket."""
# Ports that are tried for one socket before the kernel chooses one.
_MAX_PORT_ATTEMPTS = 512
_FIRST_PORT, _LAST_PORT = 1024, 65_535

Receive = Callable[[bytes], object]
"""Is called with each payload that the program sends to a socket."""


@define(eq=False)
class _MemberSocket:
    """
    The socket of one member.

    :ivar number: the member's number; ``None`` while it is not in the room.
    :ivar closing: closes the socket at the end of the grace period.
    """

    socket: BridgeSocket = field(init=False)
    identity: bytes | None = None
    nick: str | None = None
    number: int | None = None
    closing: IDelayedCall | None = None


class MemberSockets:
    """
    Opens sockets for members that join, and closes those of members that have left.

    A member that comes back, with its old identity or its old nick, gets its old port.

    :param room_socket: shared by members without a socket; the ports after its are tried first.
    :param open_socket: opens a socket at a port; raises OSError.
    :param send: called with each payload from the program and the number of the member that it
        is for; ``None`` if that member has left.
    :param notify: called with each notice.
    """

    def __init__(
        self,
        clock: Any,
        room_socket: BridgeSocket,
        open_socket: Callable[[int, Receive], BridgeSocket],
        send: Callable[[bytes, int | None], object],
        notify: Callable[[Notice], None],
    ) -> None:
        self._clock = clock
        self._room_socket = room_socket
        self._open_socket = open_socket
        self._send = send
        self._notify = notify
        self._next_port = room_socket.address[1] + 1
        self._sockets: list[_MemberSocket] = []
        self._by_number: dict[int, BridgeSocket] = {}
        self._ports: OrderedDict[bytes | str, int] = OrderedDict()
        self._sharing: set[int] = set()

    def get(self, number: int) -> BridgeSocket | None:
        """Return the socket assigned to a member, if there is one."""
        return self._by_number.get(number)

    def update(self, others: Iterable[KnownMember]) -> None:
        """
        Assign sockets to the other members that are in the room now.

        New sockets are opened for sessions only, as only they can be answered alone. Plain
        members get one with :meth:`add`, when they first send something.
        """
        by_identity = {known.identity: known for known in self._sockets if known.identity}
        unassigned = []
        others = list(others)
        self._sharing.intersection_update(member.number for member in others)
        self._by_number.clear()
        for known in self._sockets:
            known.number = None
        for member in others:
            same = by_identity.get(member.identity)
            if same is None:
                unassigned.append(member)
            else:
                self._assign(same, member)
        unassigned = [member for member in unassigned if not self._assign_by_nick(member)]
        for known in self._sockets:
            if known.number is None and known.closing is None:
                known.closing = self._clock.callLater(GRACE_PERIOD, self._close, known)
        for member in unassigned:
            if member.kind is MemberKind.SESSION:
                self._assign_new(member)

    def add(self, member: KnownMember) -> None:
        """Assign a socket to a member that has none."""
        if not self._assign_by_nick(member):
            self._assign_new(member)

    def close(self) -> None:
        for known in self._sockets:
            if known.closing is not None:
                known.closing.cancel()
            known.socket.close()
        self._sockets.clear()
        self._by_number.clear()

    def _assign_by_nick(self, member: KnownMember) -> bool:
        """Assign the socket of a member that had the same nick and has left, if any."""
        nick = member.trusted_nick
        for known in self._sockets:
            if known.number is None and known.nick is not None and known.nick == nick:
                self._assign(known, member)
                return True
        return False

    def _assign_new(self, member: KnownMember) -> None:
        opened = self._open(member)
        if opened is not None:
            self._sockets.append(opened)
            self._assign(opened, member)
            return
        self._by_number[member.number] = self._room_socket
        if member.number not in self._sharing:
            self._sharing.add(member.number)
            self._notify(_about("bridge.full", member, self._room_socket))

    def _assign(self, known: _MemberSocket, member: KnownMember) -> None:
        changed = known.closing is not None or known.identity != member.identity
        if known.closing is not None:
            known.closing.cancel()
            known.closing = None
        known.number = member.number
        known.identity, known.nick = member.identity, member.trusted_nick
        self._by_number[member.number] = known.socket
        if changed:
            self._notify(_about("bridge.member", member, known.socket))

    def _open(self, member: KnownMember) -> _MemberSocket | None:
        if len(self._sockets) >= MAX_MEMBER_SOCKETS and not self._close_unused():
            return None
        opened = _MemberSocket()

        def receive(payload: bytes) -> None:
            self._send(payload, opened.number)

        for port in self._candidate_ports(member):
            try:
                opened.socket = self._open_socket(port, receive)
            except OSError:
                continue
            return opened
        return None

    def _candidate_ports(self, member: KnownMember) -> Iterator[int]:
        """Yield the member's old ports, the ports after the last one assigned, then 0: any."""
        for name in (member.identity, member.trusted_nick):
            if name and name in self._ports:
                yield self._ports[name]
        reserved = set(self._ports.values())
        for _ in range(_MAX_PORT_ATTEMPTS):
            port = self._next_port if self._next_port <= _LAST_PORT else _FIRST_PORT
            self._next_port = port + 1
            if port not in reserved:
                yield port
        yield 0

    def _close_unused(self) -> bool:
        """Close a socket in its grace period; return whether there was one."""
        for known in self._sockets:
            if known.closing is not None:
                known.closing.cancel()
                self._close(known)
                return True
        return False

    def _close(self, known: _MemberSocket) -> None:
        self._sockets.remove(known)
        known.socket.close()
        for name in (known.identity, known.nick):
            if name:
                self._ports[name] = known.socket.address[1]
                self._ports.move_to_end(name)
        while len(self._ports) > MAX_REMEMBERED_PORTS:
            self._ports.popitem(last=False)
        nick, name = known.nick, known.nick or "a member"
        self._notify(Notice.of("bridge.closed", nick=nick, name=name, local=str(known.socket)))


def _about(kind: str, member: KnownMember, local: BridgeSocket) -> Notice:
    number, nick = member.number, member.trusted_nick
    name = member_name(nick, number)
    return Notice.of(kind, member=number, nick=nick, name=name, local=str(local))
