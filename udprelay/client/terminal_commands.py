"""The commands that a conversation has on a terminal, but for ``/quit``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from prompt_toolkit.completion import Completer

from udprelay.client.commands import HELP, ROOM_HELP, Command, addressed, words
from udprelay.client.completion import LineCompleter
from udprelay.client.room_talk import RoomTalk
from udprelay.client.talk import Said, Talk
from udprelay.protocol.wire.members import MemberKind

_KINDS = {MemberKind.SESSION: "", MemberKind.PLAIN: "plain", MemberKind.CONSOLE: "the relay"}


class Commands(Protocol):
    """
    What can be done besides sending messages.

    :param help: what there is, and what it does.
    :param completer: completes a line.
    """

    @property
    def help(self) -> Mapping[str, str]: ...

    @property
    def completer(self) -> Completer: ...

    def prompt(self) -> str:
        """Return what stands before the line that is typed."""
        ...

    def run(self, command: Command) -> bool:
        """Do it; return whether the line is done with, and need not be edited again."""
        ...


def commands_of(talk: Talk, say: Callable[[Said], bool], tell: Callable[[str], None]) -> Commands:
    """
    Return the commands for a conversation.

    :param say: sends something; ``False`` if that was not possible, which it has told.
    :param tell: shows a line.
    """
    return RoomCommands(talk, say, tell) if isinstance(talk, RoomTalk) else PlainCommands(tell)


class PlainCommands:
    """There is nothing but help."""

    help = HELP

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.completer = LineCompleter(words(HELP))
        self._tell = tell

    def prompt(self) -> str:
        return "> "

    def run(self, command: Command) -> bool:
        _show_help(self.help, self._tell)
        return True


class RoomCommands:
    """Who is there, who one is, and where to go."""

    help = ROOM_HELP

    def __init__(
        self, talk: RoomTalk, say: Callable[[Said], bool], tell: Callable[[str], None]
    ) -> None:
        self.completer = LineCompleter(words(ROOM_HELP), lambda: talk.rooms, lambda: talk.nicks)
        self._talk = talk
        self._say = say
        self._tell = tell

    def prompt(self) -> str:
        return f"{self._talk.room}> "

    def run(self, command: Command) -> bool:
        match command.name:
            case "who":
                self._who()
            case "msg":
                return self._message(command.argument)
            case "nick":
                return self._nick(command.argument)
            case "join":
                return self._join(command.argument)
            case "ping":
                self._talk.ping()
            case _:
                _show_help(self.help, self._tell)
        return True

    def _who(self) -> None:
        self._tell(f"{self._talk.own_nick} (you)")
        for member in self._talk.others:
            remarks = [_KINDS[member.kind], "" if member.trusted else "nobody vouches for it"]
            told = ", ".join(filter(None, remarks))
            self._tell(f"{member.nick} ({told})" if told else member.nick)

    def _message(self, argument: str) -> bool:
        found = addressed(argument, self._talk.nicks)
        if found is None:
            self._tell("to whom, and what? /msg NICK TEXT")
            return False
        nick, text = found
        return self._say(Said(text.encode("utf-8", "surrogateescape"), to=nick))

    def _nick(self, argument: str) -> bool:
        if not argument:
            self._tell(f"you are {self._talk.own_nick}; for another nick, /nick NICK")
            return True
        self._talk.change_nick(argument)
        return True

    def _join(self, argument: str) -> bool:
        try:
            self._talk.enter(argument)
        except ValueError:
            self._tell("rooms have 1 to 64 letters, digits, '-', '_' and '.': /join ROOM")
            return False
        if argument == self._talk.room:
            self._tell(f"you are in {argument}")
        return True


def _show_help(usage: Mapping[str, str], tell: Callable[[str], None]) -> None:
    width = max(map(len, usage)) + 3
    for command, meaning in usage.items():
        tell(f"{command:{width}}{meaning}")
