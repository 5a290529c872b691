"""The way between a room and a program, through local sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from udprelay.client.bridge_counts import BridgeCounts
from udprelay.client.bridge_members import BridgeMembers, Received
from udprelay.client.bridge_port import BridgePort, SocketAddress
from udprelay.client.member import Member
from udprelay.client.notices import Notice
from udprelay.client.talk import Heard, Talk

# Seconds between two looks for a member that the program speaks to and that is not there.
_PAUSE = 0.25


class BridgePassage:
    """
    Passes datagrams on: verbatim, once, and without waiting for anything.

    :param bound: the address for the program to send to; port 0 is any.
    :param program: where the program is; ``None``: wherever something comes from.
    :param per_member: whether each other member has a port of its own, besides the room's.
    :param tell: takes notices.
    :raises OSError: if the address can't be had.
    """

    def __init__(
        self,
        reactor: Any,
        bound: SocketAddress,
        program: SocketAddress | None,
        per_member: bool,
        tell: Callable[[Notice], None],
    ) -> None:
        self._reactor = reactor
        self._bound = bound
        self._program = program
        self._port = self._open_port(bound[1], self._to_room)
        self.counts = BridgeCounts(reactor, tell)
        self._members: BridgeMembers | None = None
        if per_member:
            self._members = BridgeMembers(
                reactor, self._port, self._open_port, self._to_member, tell
            )
        self._talk: Talk | None = None
        self._member: Member | None = None
        self._next_look = 0.0

    @property
    def address(self) -> str:
        """Where the program sends to what is for the room."""
        return str(self._port)

    def begin(self, talk: Talk) -> None:
        """Let what the program sends pass from now on."""
        self._talk = talk

    def take_company(self, member: Member) -> None:
        """Take note of who is in the room with oneself, ``member``."""
        self._member = member
        self._settle()

    def show(self, message: Heard) -> None:
        """Pass a message from the room on to the program."""
        port = self._port
        if self._members is not None and message.sender is not None:
            port = self._members.find(message.sender.number) or self._found(message.sender.number)
        # Whoever has not spoken to a member's port may be who speaks to the room's.
        reason = port.give(message.payload, port.program or self._port.program)
        if reason is None:
            self.counts.to_program += 1
        else:
            self.counts.drop(reason)

    def close(self) -> None:
        self._port.close()
        if self._members is not None:
            self._members.close()
        self.counts.close()

    def _open_port(self, number: int, received: Received) -> BridgePort:
        bound = (self._bound[0], number, *self._bound[2:])
        return BridgePort(self._reactor, bound, self._program, received, self._strange)

    def _to_room(self, payload: bytes) -> None:
        self._throw(payload, None)

    def _to_member(self, payload: bytes, number: int | None) -> None:
        if number is None:
            # After a restart of the relay it may be back without a word, under another number.
            now = self._reactor.seconds()
            if now >= self._next_look:
                self._next_look = now + _PAUSE
                self._settle()
            self.counts.drop("absent")
        else:
            self._throw(payload, number)

    def _throw(self, payload: bytes, number: int | None) -> None:
        reason = "no-contact" if self._talk is None else self._talk.throw(payload, number)
        if reason is None:
            self.counts.to_room += 1
        else:
            self.counts.drop(reason)

    def _strange(self) -> None:
        self.counts.drop("stranger")

    def _settle(self) -> None:
        member = self._member
        if member is not None and self._members is not None:
            everybody = member.members
            self._members.settle(
                everybody[number] for number in sorted(everybody) if number != member.number
            )

    def _found(self, number: int) -> BridgePort:
        """Return the port for a member that has spoken and has none that is known."""
        if self._member is None or self._members is None or number not in self._member.members:
            return self._port
        self._settle()
        if self._members.find(number) is None:
            self._members.add(self._member.members[number])
        return self._members.find(number) or self._port
