"""What a line typed on the terminal asks for."""

from __future__ import annotations

from attrs import frozen


@frozen
class Say:
    """Send this text."""

    text: str


@frozen
class Command:
    """Do what the word says: ``quit`` or ``help``."""

    name: str


@frozen
class Unknown:
    """A command that there is not."""

    word: str


HELP = {
    "/help": "show this",
    "/quit": "leave (so do Ctrl-D and Ctrl-C)",
    "//text": "send /text",
}

COMMANDS = ("/help", "/quit")


def understand(line: str) -> Say | Command | Unknown:
    """Tell text from commands: those begin with one slash."""
    if line.startswith("//"):
        return Say(line[1:])
    if not line.startswith("/"):
        return Say(line)
    word = line.split(maxsplit=1)[0]
    return Command(word[1:]) if word in COMMANDS else Unknown(word)
