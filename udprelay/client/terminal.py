"""The prompt: a line editor that incoming messages don't tear apart."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import in_terminal
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.styles import Style
from twisted.internet.defer import Deferred

from udprelay.client import notices
from udprelay.client.client import Client
from udprelay.client.colours import style_of
from udprelay.client.commands import Command, Say, Unknown, understand, words
from udprelay.client.history import open_history
from udprelay.client.notices import Notice, RejectedError, Volume
from udprelay.client.talk import Heard, Said, Talk
from udprelay.client.terminal_commands import Commands, commands_of
from udprelay.protocol.text import printable, shown

# Lines that may wait to be printed before the socket is no longer read.
BACKLOG = 1000

_STYLE = Style.from_dict({"notice": "dim", "error": "bold", "private": "italic"})


class Terminal:
    """
    The front end of a terminal.

    :param history: the file for the lines typed; without it they are remembered for now.
    """

    company = True

    def __init__(self, history: Path) -> None:
        self._unusable: Notice | None = None
        self._session: PromptSession[str] = PromptSession(
            history=self._history(history), complete_while_typing=False, enable_suspend=True
        )
        self._talk: Talk | None = None
        self._lines: list[StyleAndTextTuples] = []
        self._printing: asyncio.Task[None] | None = None
        self._prompting: asyncio.Task[None] | None = None
        self._closed: Deferred[None] | None = None

    def _history(self, path: Path) -> History:
        try:
            return open_history(path)
        except OSError as error:
            self._unusable = notices.history_unusable(str(path), error)
            return InMemoryHistory()

    def begin(self, client: Client, talk: Talk) -> None:
        self._talk = talk
        commands = commands_of(talk, lambda said: self._said(said, client), self._tell)
        self._session.message = commands.prompt
        self._session.completer = commands.completer
        if self._unusable is not None:
            client.notice(self._unusable)
        client.notice(notices.terminal_ready(talk.peer))
        self._prompting = _started(self._converse(client, commands))

    def show(self, message: Heard) -> None:
        text = shown(message.payload)
        sender = message.sender
        if sender is None:
            self._print([("", text)])
            return
        style = style_of(sender.nick) if sender.nick else "class:notice"
        private = [("class:private", " (private)")] if sender.private else []
        self._print([(style, printable(sender.name)), *private, ("", f": {text}")])

    def notice(self, notice: Notice) -> None:
        error = notice.volume is Volume.ERROR
        self._tell(notice.text, "class:error" if error else "class:notice")

    def drained(self) -> None:
        pass

    def close(self) -> Deferred[None]:
        if self._closed is None:
            self._closed = Deferred.fromFuture(_started(self._finish()))
        return self._closed

    async def _converse(self, client: Client, commands: Commands) -> None:
        kept = ""
        known = words(commands.help)
        while (text := await self._typed(kept)) is not None:
            unsent = []
            # Pasted text may have several lines.
            for line in text.split("\n"):
                match understand(line, known):
                    case Say(said):
                        # Bytes typed that are not UTF-8 are sent as they are.
                        payload = said.encode("utf-8", "surrogateescape")
                        if said and not self._said(Said(payload), client):
                            unsent.append(line)
                    case Command("quit"):
                        client.input_ended(None)
                        return
                    case Command() as command:
                        if not commands.run(command):
                            unsent.append(line)
                    case Unknown(word):
                        self._tell(f"no command {word} here (/help); to send it, type /{word}")
            kept = "\n".join(unsent)
        client.input_ended(None)

    async def _typed(self, kept: str) -> str | None:
        """Return what is entered next; ``None`` for no more."""
        try:
            return await self._session.prompt_async(
                default=kept,
                # Both are the main module's. (Ctrl-C is a key here, not a signal.)
                set_exception_handler=False,
                handle_sigint=False,
            )
        except (EOFError, KeyboardInterrupt, OSError):
            return None

    def _said(self, said: Said, client: Client) -> bool:
        try:
            client.say(said)
        except RejectedError as rejected:
            self._tell(f"not sent: {rejected}")
            return False
        return True

    def _tell(self, text: str, style: str = "class:notice") -> None:
        self._print([(style, "-- " + printable(text))])

    def _print(self, line: StyleAndTextTuples) -> None:
        self._lines.append([*line, ("", "\n")])
        if len(self._lines) == BACKLOG and self._talk is not None:
            self._talk.pause()
        if not self._session.app.is_running:
            # Between two prompts: what answers a command follows it directly.
            self._print_lines()
        elif self._printing is None:
            self._printing = _started(self._print_above())

    async def _print_above(self) -> None:
        async with in_terminal():
            self._print_lines()
        self._printing = None

    def _print_lines(self) -> None:
        lines, self._lines = self._lines, []
        fragments = [fragment for line in lines for fragment in line]
        output = self._session.output
        depth = output.get_default_color_depth()
        print_formatted_text(output, fragments, _STYLE, color_depth=depth)
        if len(lines) >= BACKLOG and self._talk is not None:
            self._talk.resume()

    async def _finish(self) -> None:
        if self._printing is not None:
            await asyncio.wait([self._printing])
        if self._prompting is not None:
            self._prompting.cancel()
            await asyncio.wait([self._prompting])
        # If the terminal is gone nobody will read it.
        with suppress(OSError):
            self._print_lines()


def _started(work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """Run something; if it fails, that is told at once."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.result())
    return task
