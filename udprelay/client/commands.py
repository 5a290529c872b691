"""What a line typed on the terminal asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from udprelay.client.talk import same_nick


@frozen
class Say:
    """Send this text."""

    text: str


@frozen
class Command:
    """
    Do what the word says.

    :param name: without its slash.
    :param argument: what stands behind it, without the spaces around it.
    """

    name: str
    argument: str = ""


@frozen
class Unknown:
    """A command that there is not."""

    word: str


HELP = {
    "/help": "show this",
    "/quit": "leave (so do Ctrl-D and Ctrl-C)",
    "//text": "send /text",
}
"""The commands of every conversation, and what they do."""

ROOM_HELP = {
    "/who": "show who is in the room",
    "/msg NICK TEXT": "send TEXT to NICK alone",
    "/nick NICK": "take another nick",
    "/join ROOM": "leave this room for another one",
    "/ping": "ask how far away the relay is, and what got lost",
    **HELP,
}
"""The same for those in a room."""


def words(usage: Mapping[str, str]) -> list[str]:
    """Return the words that commands begin with."""
    return [command.split()[0] for command in usage if not command.startswith("//")]


def understand(line: str, known: Sequence[str]) -> Say | Command | Unknown:
    """
    Tell text from commands: those begin with one slash.

    :param known: the commands that there are, with their slashes.
    """
    if line.startswith("//"):
        return Say(line[1:])
    if not line.startswith("/"):
        return Say(line)
    word, _, argument = line.partition(" ")
    return Command(word[1:], argument.strip()) if word in known else Unknown(word)


def addressed(argument: str, nicks: Sequence[str]) -> tuple[str, str] | None:
    """
    Return the nick that an argument begins with, and the text behind it.

    Nicks may have spaces in them, so the longest that fits counts; if nobody has it, the first
    word. ``None`` if there is no text.
    """
    parts = argument.split(" ")
    for count in range(len(parts) - 1, 0, -1):
        nick, text = " ".join(parts[:count]), " ".join(parts[count:]).strip()
        if text and (count == 1 or any(same_nick(known, nick) for known in nicks)):
            return nick, text
    return None
