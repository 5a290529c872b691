"""The console: the relay's terminal as a member of a room."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from udprelay.relay.room import Group, Member
from udprelay.relay.session.control import MAX_PRIVATE_PAYLOAD
from udprelay.segments import Run, Source

HELP = """\
TEXT             send TEXT to the room; //TEXT sends /TEXT
/reply TEXT      send TEXT to the last sender alone
/msg WHO TEXT    send TEXT to one member alone
/who             list the members
/kick WHO        remove a member and keep it out for some time
/help            show this list
WHO is a nick or other name, such as guest-3, or an address, such as 192.0.2.7:5000."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class Console(Protocol):
    """
    Prints the messages of a room, and sends typed lines to it.

    It is a transport of the relay, with one member.
    """

    name = "console"

    def __init__(self, relay: Relay, room: str) -> None:
        self._relay = relay
        self._room = room
        self._lines = LineSplitter(MAX_PAYLOAD)
        self._behind = False
        self._stopped = False
        self._last_sender: Member | None = None
        self._member = relay.hub.add_console(room, self, relay.now())
        self._settle()

    # Called by the relay.

    def deliver(self, runs: Sequence[Run], group: Group, count: int) -> list[DropReason]:
        """Print each payload with its sender; drop it if the terminal is too slow."""
        failed = []
        for sender, segments, _ in runs:
            if sender is self._member:
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
        """Print payloads for the console alone."""
        for _, payload in datagrams:
            self._print(printable_payload(payload))
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

    def writeConnectionLost(self) -> None:
        """Drop all payloads from now on."""
        self._behind = True

    def pauseProducing(self) -> None:
        """Drop payloads: the terminal is too slow."""
        self._behind = True

    def resumeProducing(self) -> None:
        """Print payloads again."""
        self._behind = False

    def stopProducing(self) -> None:
        """Drop all payloads from now on."""
        self._behind = True

    def _settle(self) -> None:
        self._relay.driver.settle(self._relay.now())

    def _print(self, text: str) -> None:
        cast(Any, self.transport).write(text.encode("utf-8", "backslashreplace") + b"\n")

    # Commands.

    def _handle(self, line: bytes | None) -> None:
        if line is None:
            self._print(f"not sent: a datagram has at most {MAX_PAYLOAD} bytes")
        elif line.startswith(b"//"):
            self._send(line[1:])
        elif line.startswith(b"/"):
            name, _, rest = line.partition(b" ")
            command = _COMMANDS.get(name)
            if command is None:
                self._print(f"{printable_payload(name)}: no such command; /help lists them")
            else:
                command(self, rest.strip())
        else:
            self._send(line)

    def _send(self, text: bytes) -> None:
        if text:
            self._relay.driver.send(self._member, text, self._relay.now())

    def _reply(self, text: bytes) -> None:
        if self._last_sender is None or self._last_sender.slot < 0:
            self._print("no member to reply to")
        else:
            self._send_to(self._last_sender, text)

    def _msg(self, rest: bytes) -> None:
        who = rest.partition(b" ")[0]
        for other in self._others():
            # A nick may have spaces.
            name = other.name.encode()
            if len(name) > len(who) and (rest + b" ").startswith(name + b" "):
                who = name
        member = self._find(who)
        if member is not None:
            self._send_to(member, rest[len(who) :].strip())

    def _send_to(self, member: Member, text: bytes) -> None:
        if not text:
            self._print("no text to send")
            return
        if member.kind is MemberKind.SESSION and len(text) > MAX_PRIVATE_PAYLOAD:
            self._print(f"not sent: a session member gets at most {MAX_PRIVATE_PAYLOAD} bytes")
            return
        if member.group.labelled:
            text = f"{self._member.name}: ".encode() + text
        self._relay.hub.send_to(member, text, self._relay.now(), self._member)
        self._settle()

    def _who(self, _: bytes) -> None:
        now = self._relay.now()
        for member in sorted(self._member.room.members(), key=lambda m: m.number):
            line = f"{member.name:12} {member.kind.value:8} {member.address}"
            if member.kind in (MemberKind.PLAIN, MemberKind.SESSION):
                line += f"  silent for {now - member.last_heard:.0f} s"
            self._print(printable(line.rstrip()))

    def _kick(self, who: bytes) -> None:
        member = self._find(who)
        if member is None:
            return
        if member.kind is MemberKind.TARGET:
            self._print(f"{member.name} cannot be kicked: it is a target")
            return
        self._relay.hub.kick(member, self._relay.now())
        self._settle()
        self._print(f"kicked {member.name}")

    def _help(self, _: bytes) -> None:
        self._print(HELP)

    def _others(self) -> Iterator[Member]:
        return (member for member in self._member.room.members() if member is not self._member)

    def _find(self, who: bytes) -> Member | None:
        wanted = who.decode("utf-8", "replace")
        for member in self._others():
            if wanted in (member.name, member.address):
                return member
        self._print(f"{printable(wanted) or 'WHO'}: no such member; /who lists them")
        return None


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
    b"/who": Console._who,
    b"/kick": Console._kick,
    b"/help": Console._help,
}
