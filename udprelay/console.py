"""The console: the terminal of the relay as a member of a room."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from udprelay.net.relay import Relay
from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.protocol.lines import LineSplitter
from udprelay.protocol.text import printable, shown
from udprelay.relay import events
from udprelay.relay.drops import DropReason
from udprelay.relay.room import Group, Kind, Member
from udprelay.relay.session.control import LARGEST_PRIVATE

HELP = """\
TEXT             say TEXT to the room; //TEXT says /TEXT
/reply TEXT      answer the last speaker alone
/msg WHO TEXT    say TEXT to one member alone
/who             list the members
/kick WHO        put a member out of the room
/help            show this list
WHO is a name, as guest-3 or a nick, or an address, as 192.0.2.7:5000."""

_GUESTS = (Kind.PLAIN, Kind.SESSION)


@implementer(IPushProducer, IHalfCloseableProtocol)
class Console(Protocol):
    """
    Prints what is said in a room, and says there what is typed.

    To the relay it is the way by which its own membership is reached.
    """

    def __init__(self, relay: Relay, room: str) -> None:
        self._relay = relay
        self._room = room
        self._lines = LineSplitter(MAX_PAYLOAD)
        self._behind = False
        self._stopped = False
        self._last_speaker: Member | None = None
        relay.add_way(self, self)
        self._member = relay.hub.add_console(room, self, relay.now())
        relay.settle()

    # The room's side.

    def deliver(
        self, payloads: Sequence[bytes], senders: Sequence[Member], group: Group, count: int
    ) -> list[DropReason]:
        """Print each payload with where it comes from; drop it if the terminal is behind."""
        failed = []
        for payload, sender in zip(payloads, senders, strict=True):
            if sender is self._member:
                continue
            self._last_speaker = sender
            if self._behind:
                failed.append(DropReason.CONSOLE_BEHIND)
            else:
                self._print(f"[{_origin(sender)}] {_shown_of(sender, payload)}")
        return failed

    def stop(self) -> None:
        """Heed the terminal no more, as the relay stops: not even its end is news."""
        self._stopped = True

    # The terminal's side.

    def connectionMade(self) -> None:
        """Ask to be told when the terminal is slow."""
        cast(Any, self.transport).registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """Do what was typed."""
        if self._stopped:
            return
        for line in self._lines.feed(data):
            self._typed(line.content)

    def readConnectionLost(self) -> None:
        """Go on printing; there is nothing more to read."""
        if self._stopped:
            return
        for line in self._lines.end():
            self._typed(line.content)
        self._relay.publish(events.ConsoleInputClosed(room=self._room))

    def writeConnectionLost(self) -> None:
        """Nobody sees what is printed any more."""
        self._behind = True

    def pauseProducing(self) -> None:
        """The terminal does not take its lines fast enough."""
        self._behind = True

    def resumeProducing(self) -> None:
        """It does again."""
        self._behind = False

    def stopProducing(self) -> None:
        """It never will again."""
        self._behind = True

    def _print(self, text: str) -> None:
        cast(Any, self.transport).write(text.encode("utf-8", "backslashreplace") + b"\n")

    # Commands.

    def _typed(self, line: bytes | None) -> None:
        if line is None:
            self._print(f"not sent: a datagram has at most {MAX_PAYLOAD} bytes")
        elif line.startswith(b"//"):
            self._say(line[1:])
        elif line.startswith(b"/"):
            name, _, rest = line.partition(b" ")
            command = _COMMANDS.get(name)
            if command is None:
                self._print(f"{shown(name)}: no such command; /help lists them")
            else:
                command(self, rest.strip())
        else:
            self._say(line)

    def _say(self, text: bytes) -> None:
        if text:
            relay = self._relay
            relay.carry_out(relay.hub.say(self._member, text, relay.now()))

    def _reply(self, text: bytes) -> None:
        if self._last_speaker is None or self._last_speaker.slot < 0:
            self._print("nobody to reply to")
        else:
            self._tell(self._last_speaker, text)

    def _msg(self, rest: bytes) -> None:
        who = rest.partition(b" ")[0]
        for other in self._others():
            # A nick may have spaces.
            name = other.name.encode()
            if len(name) > len(who) and (rest + b" ").startswith(name + b" "):
                who = name
        member = self._find(who)
        if member is not None:
            self._tell(member, rest[len(who) :].strip())

    def _tell(self, member: Member, text: bytes) -> None:
        if not text:
            self._print("nothing to say")
            return
        if member.kind is Kind.SESSION and len(text) > LARGEST_PRIVATE:
            self._print(f"not sent: {member.name} takes at most {LARGEST_PRIVATE} bytes")
            return
        if member.group.labelled:
            text = f"{self._member.name}: ".encode() + text
        self._relay.hub.tell(member, text, self._relay.now(), self._member)
        self._relay.settle()

    def _who(self, _: bytes) -> None:
        now = self._relay.now()
        for member in sorted(self._member.room.members(), key=lambda m: m.number):
            line = f"{member.name:12} {member.kind.value:8} {member.address}"
            if member.kind in _GUESTS:
                line += f"  silent for {now - member.last_heard:.0f} s"
            self._print(printable(line.rstrip()))

    def _kick(self, who: bytes) -> None:
        member = self._find(who)
        if member is None:
            return
        if member.kind not in _GUESTS:
            self._print(f"{member.name} is no guest: it can't be put out")
            return
        self._relay.hub.kick(member, self._relay.now())
        self._relay.settle()
        self._print(f"{member.name} has been put out")

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
    if sender.kind is Kind.SESSION:
        return printable(f"{sender.name} {sender.address}")
    return sender.address


def _shown_of(sender: Member, payload: bytes) -> str:
    if sender.kind is Kind.SESSION and sender.room.rules.access_key is not None:
        # It may be text, but not for the relay.
        return f"({len(payload)} bytes, sealed)"
    return shown(payload)


_COMMANDS: dict[bytes, Callable[[Console, bytes], None]] = {
    b"/reply": Console._reply,
    b"/msg": Console._msg,
    b"/who": Console._who,
    b"/kick": Console._kick,
    b"/help": Console._help,
}
