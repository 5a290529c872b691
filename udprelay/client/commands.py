"""Parses and completes the lines typed on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import frozen
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from udprelay.client.channel import same_nick

HELP = {
    "/help": "list the commands",
    "/quit": "leave (or press Ctrl-D or Ctrl-C)",
    "//text": "send /text",
}
"""The commands of all channels, and their descriptions."""

ROOM_HELP = {
    "/who": "list the members of the room",
    "/msg NICK TEXT": "send TEXT to NICK only",
    "/nick NICK": "change your nick",
    "/join ROOM": "leave this room for another one",
    "/ping": "show the round-trip time and what was lost",
    **HELP,
}
"""The same in a room."""


@frozen
class Text:
    """Text to send as a message."""

    text: str


@frozen
class Command:
    """
    A command.

    :param name: without its slash.
    :param argument: the rest of the line, stripped.
    """

    name: str
    argument: str = ""


@frozen
class UnknownCommand:
    """:param word: with its slash."""

    word: str


def command_words(usage: Mapping[str, str]) -> list[str]:
    """Return the commands with their slashes, without their arguments."""
    return [command.split()[0] for command in usage if not command.startswith("//")]


def parse_line(line: str, commands: Sequence[str]) -> Text | Command | UnknownCommand:
    """
    Parse a line: commands begin with one slash.

    :param commands: with their slashes.
    """
    if line.startswith("//"):
        return Text(line[1:])
    if not line.startswith("/"):
        return Text(line)
    word, _, argument = line.partition(" ")
    return Command(word[1:], argument.strip()) if word in commands else UnknownCommand(word)


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


class LineCompleter(Completer):
    """
    Completes commands, rooms and nicks.

    :param commands: with their slashes.
    :param rooms: returns the rooms to complete after ``/join``.
    :param nicks: returns the nicks to complete after ``/msg`` and in text.
    """

    def __init__(
        self,
        commands: Sequence[str],
        rooms: Callable[[], Iterable[str]] = tuple,
        nicks: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._commands = commands
        self._rooms = rooms
        self._nicks = nicks

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        typed, choices, suffix = self._choices(document.current_line_before_cursor)
        for choice in sorted(choices):
            if choice.casefold().startswith(typed.casefold()):
                yield Completion(choice + suffix, -len(typed), display=choice)

    def _choices(self, line: str) -> tuple[str, Iterable[str], str]:
        """Return the beginning that was typed, its possible completions, and their suffix."""
        command, space, argument = line.partition(" ")
        if not line.startswith("/"):
            # Nicks may have spaces, but one completes their first word.
            word = line.rpartition(" ")[2]
            return word, self._nicks() if word else (), ": " if word == line else " "
        if not space:
            return command, self._commands, " "
        if command == "/join":
            return argument, self._rooms(), ""
        return argument, self._nicks() if command == "/msg" else (), " "
