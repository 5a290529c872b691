"""The prompt: a line editor that incoming messages don't tear apart."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import in_terminal
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.styles import Style
from twisted.internet.defer import Deferred

from udprelay.client import notices
from udprelay.client.client import Client
from udprelay.client.commands import COMMANDS, HELP, Command, Say, Unknown, understand
from udprelay.client.history import open_history
from udprelay.client.link import Link
from udprelay.client.notices import Notice, RejectedError
from udprelay.core.text import printable, shown

# Lines that may wait to be printed before the socket is no longer read.
BACKLOG = 1000

_STYLE = Style.from_dict({"notice": "dim"})


class Terminal:
    """
    The front end of a terminal.

    :param history: the file for the lines typed; without it they are remembered for now.
    """

    def __init__(self, history: Path) -> None:
        self._unusable: Notice | None = None
        self._session: PromptSession[str] = PromptSession(
            "> ",
            history=self._history(history),
            completer=WordCompleter(COMMANDS, sentence=True),
            complete_while_typing=False,
            enable_suspend=True,
        )
        self._link: Link | None = None
        self._lines: StyleAndTextTuples = []
        self._printing: asyncio.Task[None] | None = None
        self._prompting: asyncio.Task[None] | None = None
        self._closed: Deferred[None] | None = None

    def _history(self, path: Path) -> History:
        try:
            return open_history(path)
        except OSError as error:
            self._unusable = notices.history_unusable(str(path), error)
            return InMemoryHistory()

    def begin(self, client: Client, link: Link) -> None:
        self._link = link
        if self._unusable is not None:
            client.notice(self._unusable)
        client.notice(notices.terminal_ready(link.peer))
        self._prompting = _started(self._converse(client))

    def show(self, payload: bytes) -> None:
        self._print("", shown(payload))

    def notice(self, notice: Notice) -> None:
        self._tell(notice.text)

    def drained(self) -> None:
        pass

    def close(self) -> Deferred[None]:
        if self._closed is None:
            self._closed = Deferred.fromFuture(_started(self._finish()))
        return self._closed

    async def _converse(self, client: Client) -> None:
        kept = ""
        while (text := await self._typed(kept)) is not None:
            unsent = []
            # Pasted text may have several lines.
            for line in text.split("\n"):
                match understand(line):
                    case Say(said):
                        if not self._said(said, client):
                            unsent.append(line)
                    case Command("quit"):
                        client.input_ended(None)
                        return
                    case Command():
                        self._help()
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

    def _said(self, text: str, client: Client) -> bool:
        if not text:
            return True
        try:
            # Bytes typed that are not UTF-8 are sent as they are.
            client.say(text.encode("utf-8", "surrogateescape"))
        except RejectedError as rejected:
            self._tell(f"not sent: {rejected}")
            return False
        return True

    def _help(self) -> None:
        for usage, meaning in HELP.items():
            self._tell(f"{usage:8} {meaning}")

    def _tell(self, text: str) -> None:
        self._print("class:notice", "-- " + printable(text))

    def _print(self, style: str, line: str) -> None:
        self._lines.append((style, line + "\n"))
        if len(self._lines) == BACKLOG and self._link is not None:
            self._link.pauseProducing()
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
        output = self._session.output
        print_formatted_text(output, lines, _STYLE, color_depth=output.get_default_color_depth())
        if len(lines) >= BACKLOG and self._link is not None:
            self._link.resumeProducing()

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
