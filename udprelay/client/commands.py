"""The commands of the terminal: parsed, completed and run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from udprelay.client.channel import Channel, OutgoingMessage, RejectedError, same_nick
from udprelay.client.client import Client
from udprelay.client.room_channel import RoomChannel
from udprelay.protocol.wire.members import MemberKind

_KINDS = {MemberKind.SESSION: "", MemberKind.PLAIN: "plain", MemberKind.CONSOLE: "the relay"}


def parse_line(line: str) -> tuple[str, str]:
    """
    Parse a line: commands begin with one slash.

    :return: the first word with its slash, and the rest of the line, stripped; or ``""`` and the
        text to send as a message.
    """
    if line.startswith("//"):
        return "", line[1:]
    if not line.startswith("/"):
        return "", line
    word, _, argument = line.partition(" ")
    return word, argument.strip()


def split_nick(argument: str, nicks: Sequence[str]) -> tuple[str, str] | None:
    """
    Split an argument into a nick and the text after it; ``None`` if there is no text.

    Nicks may have spaces: the longest nick that fits is chosen, else the first word.
    """
    parts = argument.split(" ")
    for count in range(len(parts) - 1, 0, -1):
        nick, text = " ".join(parts[:count]), " ".join(parts[count:]).strip()
        if text and (count == 1 or any(same_nick(known, nick) for known in nicks)):
            return nick, text
    return None


class TypedLines:
    """
    What a person has typed: commands, and messages.

    :param commands: run the commands but ``/quit``.
    :param send: sends a text; returns ``False`` after showing why it was rejected.
    :param show: shows a line.
    :ivar quit: whether the person has quit.
    """

    def __init__(
        self,
        commands: PlainCommands,
        send: Callable[[str], bool],
        show: Callable[[str], None],
    ) -> None:
        self.quit = False
        self._commands = commands
        self._send = send
        self._show = show

    def run(self, line: str) -> bool:
        """Run a line; return ``False`` if it has to be edited again."""
        word, rest = parse_line(line)
        if word == "/quit":
            self.quit = True
        elif word in self._commands.words:
            return self._commands.run(word, rest)
        elif word:
            self._show(f"unknown command {word} (/help); to send it, type /{word}")
        elif rest:
            return self._send(rest)
        return True


class PlainCommands(Completer):
    """
    The commands of a plain channel, and their completion.

    :param show: shows a line.
    :ivar words: the commands with their slashes, without their arguments.
    """

    usage: ClassVar[Mapping[str, str]] = {
        "/help": "list the commands",
        "/quit": "leave (or press Ctrl-D or Ctrl-C)",
        "//text": "send /text",
    }

    def __init__(self, show: Callable[[str], None]) -> None:
        self.words = [usage.split()[0] for usage in self.usage if not usage.startswith("//")]
        self._show = show

    def prompt(self) -> str:
        return "> "

    def run(self, word: str, argument: str) -> bool:
        """Run a command but ``/quit``; return ``False`` if the line has to be edited again."""
        width = max(map(len, self.usage)) + 3
        for command, description in self.usage.items():
            self._show(f"{command:{width}}{description}")
        return True

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        typed, choices, suffix = self._choices(document.current_line_before_cursor)
        for choice in sorted(choices):
            if choice.casefold().startswith(typed.casefold()):
                yield Completion(choice + suffix, -len(typed), display=choice)

    def _choices(self, line: str) -> tuple[str, Iterable[str], str]:
        """Return the beginning that was typed, its possible completions, and their suffix."""
        return line, self.words if line.startswith("/") else (), " "


class RoomCommands(PlainCommands):
    """
    The commands of a room channel.

    :param send: sends a text to a nick; returns ``False`` after showing why it was rejected.
    """

    usage: ClassVar[Mapping[str, str]] = {
        "/who": "list the members of the room",
        "/msg NICK TEXT": "send TEXT to NICK only",
        "/nick NICK": "change your nick",
        "/join ROOM": "leave this room for another one",
        "/ping": "show the round-trip time and what was lost",
        **PlainCommands.usage,
    }

    def __init__(
        self,
        channel: RoomChannel,
        send: Callable[[str, str], bool],
        show: Callable[[str], None],
    ) -> None:
        super().__init__(show)
        self._channel = channel
        self._send = send

    def prompt(self) -> str:
        return f"{self._channel.room}> "

    def run(self, word: str, argument: str) -> bool:
        match word:
            case "/who":
                self._who()
            case "/msg":
                return self._msg(argument)
            case "/nick":
                self._nick(argument)
            case "/join":
                return self._join(argument)
            case "/ping":
                self._channel.ping()
            case _:
                return super().run(word, argument)
        return True

    def _choices(self, line: str) -> tuple[str, Iterable[str], str]:
        command, space, argument = line.partition(" ")
        if not line.startswith("/"):
            # Nicks may have spaces, but one completes their first word.
            word = line.rpartition(" ")[2]
            return word, self._channel.nicks if word else (), ": " if word == line else " "
        if space and command == "/join":
            return argument, self._channel.rooms, ""
        if space and command == "/msg":
            return argument, self._channel.nicks, " "
        return super()._choices(line)

    def _who(self) -> None:
        self._show(f"{self._channel.own_nick} (you)")
        for member in self._channel.others:
            remarks = [_KINDS[member.kind], "" if member.trusted else "not authenticated"]
            shown = ", ".join(filter(None, remarks))
            self._show(f"{member.nick} ({shown})" if shown else member.nick)

    def _msg(self, argument: str) -> bool:
        found = split_nick(argument, self._channel.nicks)
        if found is None:
            self._show("usage: /msg NICK TEXT")
            return False
        nick, text = found
        return self._send(text, nick)

    def _nick(self, argument: str) -> None:
        if argument:
            self._channel.change_nick(argument)
        else:
            self._show(f"you are {self._channel.own_nick}; to change it: /nick NICK")

    def _join(self, argument: str) -> bool:
        try:
            self._channel.switch_room(argument)
        except ValueError:
            self._show("invalid room name: use 1 to 64 letters, digits, '-', '_' and '.'")
            return False
        if argument == self._channel.room:
            self._show(f"already in {argument}")
        return True


def typed_lines(
    client: Client, channel: Channel, show: Callable[[str], None]
) -> tuple[TypedLines, PlainCommands]:
    """Return what runs the lines that are typed for a channel, and its commands."""

    def send(text: str, to: str | None = None) -> bool:
        try:
            # Typed bytes that are not UTF-8 are sent as they are.
            client.send(OutgoingMessage(text.encode("utf-8", "surrogateescape"), to))
        except RejectedError as rejected:
            show(f"not sent: {rejected}")
            return False
        return True

    commands = PlainCommands(show)
    if isinstance(channel, RoomChannel):
        commands = RoomCommands(channel, send, show)
    return TypedLines(commands, send, show), commands
