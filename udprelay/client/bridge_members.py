"""A local socket for each other member, so that a program sees distinct peers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall

from udprelay.client import bridge_notices
from udprelay.client.bridge_port import BridgePort
from udprelay.client.notices import Notice
from udprelay.protocol.wire.members import MemberKind
from udprelay.session_client.known_member import KnownMember

MOST = 256
"""Sockets at once; the members beyond that share the room's."""
GRACE = 30.0
"""Seconds for which the socket of a member that has left stays open."""
# Members that have left, whose ports are kept for them as long as there are others.
_MOST_REMEMBERED = 1024
# Ports that are tried for one socket.
_ATTEMPTS = 512
_FIRST_PORT, _LAST_PORT = 1024, 65_535

Received = Callable[[bytes], object]
"""Takes what the program says."""


@define(eq=False)
class MemberPort:
    """
    The socket of one member.

    :ivar number: the member's; ``None`` while it is not there.
    """

    port: BridgePort = field(init=False)
    identity: bytes | None = None
    nick: str | None = None
    number: int | None = None
    closing: IDelayedCall | None = None


class BridgeMembers:
    """
    Opens sockets for members that come, and closes those of members that have left.

    Who comes back, in another session or under the same nick, has the same port as before.

    :param room_port: what those share who have no socket; the ports after its are tried first.
    :param open_port: opens a socket at a port; raises OSError.
    :param send: takes what the program says to the member with a number, if it is there.
    :param tell: takes notices.
    """

    def __init__(
        self,
        clock: Any,
        room_port: BridgePort,
        open_port: Callable[[int, Received], BridgePort],
        send: Callable[[bytes, int | None], object],
        tell: Callable[[Notice], None],
    ) -> None:
        self._clock = clock
        self._room_port = room_port
        self._open_port = open_port
        self._send = send
        self._tell = tell
        self._next = room_port.address[1] + 1
        self._ports: list[MemberPort] = []
        self._by_number: dict[int, BridgePort] = {}
        self._remembered: OrderedDict[bytes | str, int] = OrderedDict()
        self._without: set[int] = set()

    def find(self, number: int) -> BridgePort | None:
        """Return the socket for a member, if that is settled."""
        return self._by_number.get(number)

    def settle(self, others: Iterable[KnownMember]) -> None:
        """
        Take who is in the room now.

        Only sessions get a socket before they have said something, as only they can be
        answered alone.
        """
        by_identity = {made.identity: made for made in self._ports if made.identity}
        unplaced = []
        others = list(others)
        self._without.intersection_update(member.number for member in others)
        self._by_number.clear()
        for made in self._ports:
            made.number = None
        for member in others:
            known = by_identity.get(member.identity)
            if known is None:
                unplaced.append(member)
            else:
                self._place(known, member)
        unplaced = [member for member in unplaced if not self._follow(member)]
        for made in self._ports:
            if made.number is None and made.closing is None:
                made.closing = self._clock.callLater(GRACE, self._close, made)
        for member in unplaced:
            if member.kind is MemberKind.SESSION:
                self._provide(member)

    def add(self, member: KnownMember) -> None:
        """Settle which socket is for a member that has none yet."""
        if not self._follow(member):
            self._provide(member)

    def close(self) -> None:
        for made in self._ports:
            if made.closing is not None:
                made.closing.cancel()
            made.port.close()
        self._ports.clear()
        self._by_number.clear()

    def _follow(self, member: KnownMember) -> bool:
        """Give a member the socket of one that had its nick and has left, if there is one."""
        for made in self._ports:
            if made.number is None and made.nick is not None and made.nick == member.shown:
                self._place(made, member)
                return True
        return False

    def _provide(self, member: KnownMember) -> None:
        opened = self._open(member)
        if opened is not None:
            self._ports.append(opened)
            self._place(opened, member)
            return
        self._by_number[member.number] = self._room_port
        if member.number not in self._without:
            self._without.add(member.number)
            local = str(self._room_port)
            self._tell(bridge_notices.full(member.number, member.shown, local))

    def _place(self, made: MemberPort, member: KnownMember) -> None:
        back = made.closing is not None or made.identity != member.identity
        if made.closing is not None:
            made.closing.cancel()
            made.closing = None
        made.identity, made.nick, made.number = member.identity, member.shown, member.number
        self._by_number[member.number] = made.port
        if back:
            self._tell(bridge_notices.member(member.number, member.shown, str(made.port)))

    def _open(self, member: KnownMember) -> MemberPort | None:
        if len(self._ports) >= MOST and not self._close_one():
            return None
        made = MemberPort()

        def received(payload: bytes) -> None:
            self._send(payload, made.number)

        for number in self._candidates(member):
            try:
                made.port = self._open_port(number, received)
            except OSError:
                continue
            return made
        return None

    def _candidates(self, member: KnownMember) -> Iterator[int]:
        """Yield ports: those that the member had, the ones after the last one, any."""
        for name in (member.identity, member.shown):
            if name and name in self._remembered:
                yield self._remembered[name]
        taken = set(self._remembered.values())
        for _ in range(_ATTEMPTS):
            number = self._next if self._next <= _LAST_PORT else _FIRST_PORT
            self._next = number + 1
            if number not in taken:
                yield number
        yield 0

    def _close_one(self) -> bool:
        """Close a socket whose member has left; return whether there was one."""
        for made in self._ports:
            if made.closing is not None:
                made.closing.cancel()
                self._close(made)
                return True
        return False

    def _close(self, made: MemberPort) -> None:
        self._ports.remove(made)
        made.port.close()
        for name in (made.identity, made.nick):
            if name:
                self._remembered[name] = made.port.address[1]
                self._remembered.move_to_end(name)
        while len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        self._tell(bridge_notices.closed(made.nick, str(made.port)))
