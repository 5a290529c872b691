"""Runs the commands of the terminal, except ``/quit``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from prompt_toolkit.completion import Completer

from udprelay.client.channel import Channel, OutgoingMessage
from udprelay.client.commands import (
    HELP,
    ROOM_HELP,
    Command,
    LineCompleter,
    command_words,
    split_nick,
)
from udprelay.client.room_channel import RoomChannel
from udprelay.protocol.wire.members import MemberKind

_KINDS = {MemberKind.SESSION: "", MemberKind.PLAIN: "plain", MemberKind.CONSOLE: "the relay"}


class Commands(Protocol):
    """
    The commands of a channel.

    :ivar help: the commands and their descriptions.
    """

    @property
    def help(self) -> Mapping[str, str]: ...

    @property
    def completer(self) -> Completer: ...

    def prompt(self) -> str: ...

    def run(self, command: Command) -> bool:
        """Run a command; return ``False`` if the line has to be edited again."""
        ...


def commands_of(
    channel: Channel, send: Callable[[OutgoingMessage], bool], show: Callable[[str], None]
) -> Commands:
    """
    Return the commands of a channel.

    :param send: sends a message; returns ``False`` after showing why it was rejected.
    :param show: shows a line.
    """
    if isinstance(channel, RoomChannel):
        return RoomCommands(channel, send, show)
    return PlainCommands(show)


class PlainCommands:
    """The commands of a plain channel: only help."""

    help = HELP

    def __init__(self, show: Callable[[str], None]) -> None:
        self.completer = LineCompleter(command_words(HELP))
        self._show = show

    def prompt(self) -> str:
        return "> "

    def run(self, command: Command) -> bool:
        _show_help(self.help, self._show)
        return True


class RoomCommands:
    """The commands of a room channel."""

    help = ROOM_HELP

    def __init__(
        self,
        channel: RoomChannel,
        send: Callable[[OutgoingMessage], bool],
        show: Callable[[str], None],
    ) -> None:
        self.completer = LineCompleter(
            command_words(ROOM_HELP), lambda: channel.rooms, lambda: channel.nicks
        )
        self._channel = channel
        self._send = send
        self._show = show

    def prompt(self) -> str:
        return f"{self._channel.room}> "

    def run(self, command: Command) -> bool:
        match command.name:
            case "who":
                self._who()
            case "msg":
                return self._msg(command.argument)
            case "nick":
                self._nick(command.argument)
            case "join":
                return self._join(command.argument)
            case "ping":
                self._channel.ping()
            case _:
                _show_help(self.help, self._show)
        return True

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
        return self._send(OutgoingMessage(text.encode("utf-8", "surrogateescape"), to=nick))

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


def _show_help(usage: Mapping[str, str], show: Callable[[str], None]) -> None:
    width = max(map(len, usage)) + 3
    for command, description in usage.items():
        show(f"{command:{width}}{description}")
