"""Forwards datagrams between a room and a program, through local sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from udprelay.client.bridge_counters import BridgeCounters
from udprelay.client.bridge_members import MemberSockets, Receive
from udprelay.client.channel import Channel, IncomingMessage
from udprelay.client.member import Member
from udprelay.client.notices import Notice
from udprelay.client.sockets import BridgeSocket, SocketAddress

# Seconds between two reads of the roster for datagrams to a member that has left.
_ROSTER_INTERVAL = 0.25


class BridgeForwarder:
    """
    Forwards each payload once, unchanged and at once, or drops and counts it.

    :param local: the address of the bridge; port 0 is any.
    :param program: the program's address; ``None``: the source of the first datagram.
    :param per_member: whether each other member has a socket of its own.
    :param notify: called with each notice.
    :raises OSError: if the address can't be bound.
    """

    def __init__(
        self,
        reactor: Any,
        local: SocketAddress,
        program: SocketAddress | None,
        per_member: bool,
        notify: Callable[[Notice], None],
    ) -> None:
        self._reactor = reactor
        self._local = local
        self._program = program
        self._socket = self._open_socket(local[1], self._to_room)
        self.counters = BridgeCounters(reactor, notify)
        self._members: MemberSockets | None = None
        if per_member:
            self._members = MemberSockets(
                reactor, self._socket, self._open_socket, self._to_member, notify
            )
        self._channel: Channel | None = None
        self._member: Member | None = None
        self._next_update = 0.0

    @property
    def address(self) -> str:
        """The room's local address, as ``host:port``."""
        return str(self._socket)

    def start(self, channel: Channel) -> None:
        """Forward what the program sends from now on."""
        self._channel = channel

    def roster_changed(self, member: Member) -> None:
        """:param member: the client's own membership, which has the roster."""
        self._member = member
        self._update_sockets()

    def to_program(self, message: IncomingMessage) -> None:
        """Forward a message from the room."""
        local = self._socket
        if self._members is not None and message.sender is not None:
            number = message.sender.number
            local = self._members.get(number) or self._socket_for(number)
        # A program that has not sent to a member's socket may have sent to the room's.
        reason = local.send(message.payload, local.program or self._socket.program)
        if reason is None:
            self.counters.traffic["to_program"] += 1
        else:
            self.counters.drop(reason)

    def close(self) -> None:
        self._socket.close()
        if self._members is not None:
            self._members.close()
        self.counters.close()

    def _open_socket(self, port: int, receive: Receive) -> BridgeSocket:
        local = (self._local[0], port, *self._local[2:])
        return BridgeSocket(self._reactor, local, self._program, receive, self._rejected)

    def _to_room(self, payload: bytes) -> None:
        self._send(payload, None)

    def _to_member(self, payload: bytes, number: int | None) -> None:
        if number is not None:
            self._send(payload, number)
            return
        # After a restart of the relay, the member may be back under another number, and no
        # event says so.
        now = self._reactor.seconds()
        if now >= self._next_update:
            self._next_update = now + _ROSTER_INTERVAL
            self._update_sockets()
        self.counters.drop("absent")

    def _send(self, payload: bytes, number: int | None) -> None:
        reason = "no-contact" if self._channel is None else self._channel.send_now(payload, number)
        if reason is None:
            self.counters.traffic["to_room"] += 1
        else:
            self.counters.drop(reason)

    def _rejected(self) -> None:
        self.counters.drop("stranger")

    def _update_sockets(self) -> None:
        member = self._member
        if member is not None and self._members is not None:
            roster = member.members
            self._members.update(
                roster[number] for number in sorted(roster) if number != member.number
            )

    def _socket_for(self, number: int) -> BridgeSocket:
        """Return the socket for a sender that has none yet."""
        if self._member is None or self._members is None or number not in self._member.members:
            return self._socket
        self._update_sockets()
        if self._members.get(number) is None:
            self._members.add(self._member.members[number])
        return self._members.get(number) or self._socket
