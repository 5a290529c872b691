"""Every action of an operator on a live relay, for any front end: it gets data and prints it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen

from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.protocol.text import with_label
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay import events
from udprelay.relay.driver import HubDriver
from udprelay.relay.room import Member, Rendering, Room
from udprelay.relay.session.control import MAX_PRIVATE_PAYLOAD
from udprelay.relay.transport import Transport

_MEMBER = "console"
"""The name of every operator in a room: no client can have it."""


class OperatorError(Exception):
    """An action is not possible; the message is for people, and may have texts of peers."""


class NotFoundError(OperatorError):
    """There is no such room or member."""


@frozen
class MemberInfo:
    """
    A member, as an operator sees it.

    :param number: unique in its room while the room is open.
    :param address: empty for a local member.
    :param silent: seconds since its last datagram; None if it never times out.
    """

    room: str
    number: int
    name: str
    kind: MemberKind
    address: str
    silent: float | None


class Operator:
    """
    The actions of one front end.

    :param name: of the front end in events; members see ``console``.
    :param transport: gets the messages of the room that the front end is in.
    """

    def __init__(self, driver: HubDriver, name: str, transport: Transport) -> None:
        self._driver = driver
        self._transport = transport
        self._hub = driver.hub
        self._name = name
        self._member: Member | None = None

    @property
    def room(self) -> str | None:
        """The room that the front end is a member of, if there is one."""
        member = self._member
        return member.room.name if member is not None and member.slot >= 0 else None

    # What there is.

    def rooms(self) -> list[events.RoomStatistics]:
        """Return all open rooms with their counters."""
        return self._hub.roster.statistics()

    def members(self, room: str | None = None) -> list[MemberInfo]:
        """Return the members of a room, or of all rooms, in the order in which they joined."""
        rooms = self._hub.roster.rooms.values() if room is None else [self._open_room(room)]
        return [
            self._info(member)
            for one in rooms
            for member in sorted(one.members(), key=lambda member: member.number)
        ]

    def find(self, room: str, who: str | int) -> MemberInfo:
        """Return another member of a room, given its name, its address or its number."""
        return self._info(self._find(room, who))

    # Actions.

    def join(self, room: str) -> None:
        """
        Become a member of an open or configured room, and of no other.

        Its transport gets the messages of the room.
        """
        if room not in self._hub.named_rooms:
            self._open_room(room)
        if room == self.room:
            return
        before, now = self._member, self._driver.now()
        self._member = self._enter(room)
        if before is not None and before.slot >= 0:
            self._hub.roster.leave(before, "left", now)
        self._driver.settle()

    def say(self, room: str, text: bytes) -> None:
        """Send a text to a room; a front end that is not its member joins for that moment."""
        _check(text)
        with self._sender(room, "say", "") as sender:
            self._driver.send(sender, text)

    def tell(self, room: str, who: str | int, text: bytes) -> None:
        """Send a text to one member; a front end that is not in its room joins likewise."""
        member = self._find(room, who)
        _check(text)
        if member.kind is MemberKind.SESSION and len(text) > MAX_PRIVATE_PAYLOAD:
            limit = f"a session member gets at most {MAX_PRIVATE_PAYLOAD} bytes"
            raise OperatorError(f"not sent: {limit}")
        if member.group.rendering is Rendering.LABELLED:
            labelled = with_label(text, f"{_MEMBER}: ".encode(), MAX_PAYLOAD)
            if labelled is None:
                raise OperatorError(f"not sent: more than {MAX_PAYLOAD} bytes with its label")
            text = labelled
        with self._sender(room, "tell", member.name) as sender:
            self._hub.send_to(member, text, self._driver.now(), sender)
            self._driver.settle()

    def kick(self, room: str, who: str | int) -> MemberInfo:
        """Remove a member, and refuse its address and identity for ``kick_time``."""
        member = self._find(room, who)
        if member.kind is MemberKind.TARGET:
            raise OperatorError(f"{member.name} cannot be kicked: it is a target")
        kicked = self._info(member)
        self._report("kick", room, member.name)
        self._hub.kick(member, self._driver.now())
        self._driver.settle()
        return kicked

    def _report(self, action: str, room: str, member: str) -> None:
        acted = events.OperatorActed(operator=self._name, action=action, room=room, member=member)
        self._driver.publish(acted)

    @contextmanager
    def _sender(self, room: str, action: str, member: str) -> Iterator[Member]:
        if self._member is not None and self.room == room:
            yield self._member
            return
        self._open_room(room)
        self._report(action, room, member)
        sender = self._enter(room)
        try:
            yield sender
        finally:
            self._hub.roster.leave(sender, "left", self._driver.now())
            self._driver.settle()

    def _enter(self, room: str) -> Member:
        kind, now = MemberKind.CONSOLE, self._driver.now()
        return self._hub.add_local(room, _MEMBER, kind, self._transport, now)

    def _open_room(self, name: str) -> Room:
        try:
            return self._hub.roster.rooms[name]
        except KeyError:
            raise NotFoundError(f"{name}: no such room") from None

    def _find(self, room: str, who: str | int) -> Member:
        for member in self._open_room(room).members():
            names = (member.name, member.address or None, member.number)
            if member is not self._member and who in names:
                return member
        raise NotFoundError(f"{who}: no such member")

    def _info(self, member: Member) -> MemberInfo:
        times_out = member.listener is not None and member.kind is not MemberKind.TARGET
        return MemberInfo(
            room=member.room.name,
            number=member.number,
            name=member.name,
            kind=member.kind,
            address=member.address,
            silent=self._driver.now() - member.last_heard if times_out else None,
        )


def _check(text: bytes) -> None:
    if not text:
        raise OperatorError("no text to send")
