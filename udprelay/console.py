"""The console: the relay's terminal as a member of a room, and as a front end of the operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from udprelay.net.relay import Relay
from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.protocol.text import LineSplitter, printable, printable_payload
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay import events
from udprelay.relay.drops import DropReason
from udprelay.relay.operator import MemberInfo, NotFoundError, Operator, OperatorError
from udprelay.relay.room import Group, Member
from udprelay.segments import Run, Source

NAME = "console"
MAX_ANSWERS = 65_536
"""Bytes of answers for a terminal that is too slow; then no more commands are read."""
HELP = """\
TEXT              send TEXT to the room; //TEXT sends /TEXT
/reply TEXT       send TEXT to the last sender alone
/msg WHO TEXT     send TEXT to one member of the room alone
/rooms            list the rooms
/join ROOM        leave the room and join another
/who [ROOM]       list the members of the room, or of another
/kick [ROOM] WHO  remove a member and keep it out for some time
/help             show this list
WHO is a nick or other name, such as guest-3, or an address, such as 192.0.2.7:5000."""

_MAX_LINE = MAX_PAYLOAD - 1
"""Bytes of a line, without its end."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class Console(Protocol):
    """
    Prints the messages of a room, sends typed lines to it, and has commands for the operator.

    It is a transport of the relay, with at most one member.
    """

    name = NAME

    def __init__(self, relay: Relay, room: str) -> None:
        self._relay = relay
        self._room = room
        self._lines = LineSplitter(_MAX_LINE)
        self._behind = False
        self._answered = 0
        self._stopped = False
        self._last_sender: Member | None = None
        self._operator = Operator(relay.driver, NAME, self)
        self._operator.join(room)

    # Called by the relay.

    def deliver(self, runs: Sequence[Run], group: Group, count: int) -> list[DropReason]:
        """Print each payload with its sender; drop it if the terminal is too slow."""
        failed = []
        for sender, segments, _ in runs:
            if sender.group is group:
                continue
            group.deliveries += segments.count
            self._last_sender = sender
            if self._behind:
                failed += [DropReason.CONSOLE_BEHIND] * segments.count
                continue
            for payload in segments:
                self._print(f"[{_origin(sender)}] {_content(sender, payload)}")
        return failed

    def reply(self, datagrams: Sequence[tuple[Source, bytes]]) -> list[DropReason]:
        """Print what is for the console alone; drop it if the terminal is too slow."""
        if self._behind:
            return [DropReason.CONSOLE_BEHIND] * len(datagrams)
        for _, payload in datagrams:
            self._print(f"[private] {printable_payload(payload)}")
        return []

    def stop(self) -> None:
        """Ignore the terminal from now on, as the relay stops."""
        self._stopped = True

    # Called by the terminal.

    def connectionMade(self) -> None:
        """Register for reports that the terminal is slow."""
        cast(Any, self.transport).registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """Handle typed lines."""
        if self._stopped:
            return
        for line in self._lines.feed(data):
            self._handle(line.content)

    def readConnectionLost(self) -> None:
        """Handle the last line and continue printing."""
        if self._stopped:
            return
        for line in self._lines.end():
            self._handle(line.content)
        self._relay.publish(events.ConsoleInputClosed(room=self._room))

    def pauseProducing(self) -> None:
        """Drop payloads: the terminal is too slow, or closed."""
        self._behind = True

    stopProducing = writeConnectionLost = pauseProducing

    def resumeProducing(self) -> None:
        """Print payloads again, and read commands."""
        self._behind = False
        self._answered = 0
        cast(Any, self.transport).resumeProducing()

    def _print(self, text: str) -> None:
        line = text.encode("utf-8", "backslashreplace") + b"\n"
        cast(Any, self.transport).write(line)
        if self._behind:
            # Answers to commands are not dropped, so commands have to wait.
            self._answered += len(line)
            if self._answered > MAX_ANSWERS:
                cast(Any, self.transport).pauseProducing()

    # Commands.

    def _handle(self, line: bytes | None) -> None:
        if line is None:
            self._print(f"not sent: a line has at most {_MAX_LINE} bytes")
        elif line.startswith(b"//"):
            self._send(line[1:])
        elif line.startswith(b"/"):
            name, _, rest = line.partition(b" ")
            command = _COMMANDS.get(name)
            if command is None:
                self._print(f"{printable_payload(name)}: no such command; /help lists them")
                return
            try:
                command(self, rest.strip())
            except OperatorError as error:
                self._print(printable(str(error)))
        else:
            self._send(line)

    def _send(self, text: bytes) -> None:
        if not text:
            return
        if self._operator.room is None:
            self._print(f"not sent: kicked from {printable(self._room)}; /join goes to a room")
            return
        self._operator.say(self._room, _line(text))

    def _reply(self, text: bytes) -> None:
        sender = self._last_sender
        if sender is None or sender.slot < 0:
            self._print("no member to reply to")
        else:
            self._operator.tell(sender.room.name, sender.number, _line(text))

    def _msg(self, rest: bytes) -> None:
        who = rest.partition(b" ")[0]
        for member in self._operator.members(self._room):
            # A nick may have spaces.
            name = member.name.encode()
            if len(name) > len(who) and (rest + b" ").startswith(name + b" "):
                who = name
        found = self._find(_text(who))
        self._operator.tell(found.room, found.number, _line(rest[len(who) :].strip()))

    def _who(self, room: bytes) -> None:
        for member in self._operator.members(_text(room) or self._room):
            line = f"{member.name:12} {member.kind.value:8} {member.address}"
            if member.silent is not None:
                line += f"  silent for {member.silent:.0f} s"
            self._print(printable(line.rstrip()))

    def _kick(self, rest: bytes) -> None:
        found = self._find(_text(rest))
        self._operator.kick(found.room, found.number)
        place = "" if found.room == self._room else f" from {found.room}"
        self._print(printable(f"kicked {found.name}{place}"))

    def _rooms(self, _: bytes) -> None:
        for room in self._operator.rooms():
            counted = f"{room.datagrams} datagrams in, {room.deliveries} deliveries out"
            here = "  (here)" if room.room == self._operator.room else ""
            self._print(printable(f"{room.room:12} {room.members} members, {counted}{here}"))

    def _join(self, room: bytes) -> None:
        self._operator.join(_text(room) or "ROOM")
        self._room = _text(room)

    def _help(self, _: bytes) -> None:
        self._print(HELP)

    def _find(self, text: str) -> MemberInfo:
        """Return the member that ``[ROOM] WHO`` means; those of this room take precedence."""
        places = [(self._room, text)]
        places += [
            (room.room, text[len(room.room) :].strip())
            for room in self._operator.rooms()
            if text.startswith(f"{room.room} ")
        ]
        for room, who in places:
            with suppress(NotFoundError):
                return self._operator.find(room, who)
        raise NotFoundError(f"{text or 'WHO'}: no such member; /who lists them")


def _line(text: bytes) -> bytes:
    """Return a text with the end of its line, for programs that print payloads as they are."""
    return text and text + b"\n"


def _text(typed: bytes) -> str:
    return typed.decode("utf-8", "replace")


def _origin(sender: Member) -> str:
    if sender.kind is MemberKind.SESSION:
        return printable(f"{sender.name} {sender.address}")
    return sender.address


def _content(sender: Member, payload: bytes) -> str:
    if sender.kind is MemberKind.SESSION and sender.room.rules.access_key is not None:
        return f"({len(payload)} bytes, sealed)"
    return printable_payload(payload)


_COMMANDS: dict[bytes, Callable[[Console, bytes], None]] = {
    b"/reply": Console._reply,
    b"/msg": Console._msg,
    b"/rooms": Console._rooms,
    b"/join": Console._join,
    b"/who": Console._who,
    b"/kick": Console._kick,
    b"/help": Console._help,
}
