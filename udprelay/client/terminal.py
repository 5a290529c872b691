"""The front end of a terminal: a line editor, with messages and notices above it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from prompt_toolkit import PromptSession
from prompt_toolkit.application import in_terminal
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.output import create_output
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.styles import Style
from twisted.internet.defer import Deferred

from udprelay.client.channel import Channel, IncomingMessage
from udprelay.client.client import Client
from udprelay.client.commands import TypedLines, typed_lines
from udprelay.client.notices import Level, Notice, reason_of
from udprelay.client.screen import Screen
from udprelay.protocol.nick import comparable
from udprelay.protocol.text import printable, printable_payload

MAX_UNPRINTED = 1000
"""Unprinted lines at which reading from the socket pauses."""

STOPPED_INTERVAL = 0.1
"""Seconds between two looks whether a stopped terminal goes on."""
CLOSE_TIMEOUT = 1.0
"""Seconds to wait for a stopped terminal at the end."""

_STYLE = Style.from_dict({"notice": "dim", "error": "bold", "private": "italic"})
# Readable on light and dark backgrounds.
_COLOURS = ("ansired", "ansigreen", "ansiyellow", "ansiblue", "ansimagenta", "ansicyan")
_NICK_STYLES = (*_COLOURS, *(f"{colour} bold" for colour in _COLOURS))


def nick_style(nick: str) -> str:
    """Return the style of a nick, the same in every client."""
    return _NICK_STYLES[crc32(comparable(nick).encode()) % len(_NICK_STYLES)]


def history_file(environ: Mapping[str, str]) -> Path:
    """Return the path by the XDG base directory specification."""
    state = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        # The specification: relative paths are to be ignored.
        state = os.path.join(os.path.expanduser("~"), ".local", "state")
    return Path(state, "udprelay", "history")


def open_history(path: Path) -> FileHistory:
    """
    Open the history, readable by its owner only; create missing directories.

    :raises OSError: if that is not possible.
    """
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    return _History(path)


class _History(FileHistory):
    def store_string(self, string: str) -> None:
        # A full disk must not end the client.
        with suppress(OSError):
            super().store_string(string)


class Terminal:
    """
    The front end of a terminal.

    :param history: the history file; without it, history lasts for this run.
    """

    shows_presence = True

    def __init__(self, history: Path) -> None:
        self._history_notice: Notice | None = None
        self._screen = Screen()
        self._prompt_session: PromptSession[str] = PromptSession(
            history=self._open_history(history),
            complete_while_typing=False,
            enable_suspend=True,
            output=create_output(self._screen.file),
        )
        self._channel: Channel | None = None
        self._unprinted: list[StyleAndTextTuples] = []
        self._printing: asyncio.Task[None] | None = None
        self._prompting: asyncio.Task[None] | None = None
        self._closed: Deferred[None] | None = None

    def _open_history(self, path: Path) -> History:
        try:
            return open_history(path)
        except OSError as error:
            reason = reason_of(error)
            self._history_notice = Notice.of("history.unusable", path=str(path), **reason)
            return InMemoryHistory()

    def begin(self, client: Client, channel: Channel) -> None:
        self._channel = channel
        lines, commands = typed_lines(client, channel, self._show)
        self._prompt_session.message = commands.prompt
        self._prompt_session.completer = commands
        if self._history_notice is not None:
            client.notice(self._history_notice)
        client.notice(Notice.of("terminal.ready", peer=channel.peer))
        self._prompting = _start(self._read_lines(client, lines))

    def show(self, message: IncomingMessage) -> None:
        text = printable_payload(message.payload)
        sender = message.sender
        if sender is None:
            self._print([("", text)])
            return
        style = nick_style(sender.nick) if sender.nick else "class:notice"
        private = [("class:private", " (private)")] if sender.private else []
        self._print([(style, printable(sender.name)), *private, ("", f": {text}")])

    def notice(self, notice: Notice) -> None:
        error = notice.level is Level.ERROR
        self._show(notice.text, "class:error" if error else "class:notice")

    def resume_input(self) -> None:
        """Input is never paused."""

    def close(self) -> Deferred[None]:
        if self._closed is None:
            self._closed = Deferred.fromFuture(_start(self._finish()))
        return self._closed

    def flush(self) -> None:
        self._screen.finish()

    async def _read_lines(self, client: Client, lines: TypedLines) -> None:
        rejected = ""
        while not lines.quit and (text := await self._prompt(rejected)) is not None:
            # Pasted text may have several lines.
            to_edit = [line for line in text.split("\n") if not (lines.quit or lines.run(line))]
            rejected = "\n".join(to_edit)
        client.input_ended(None)

    async def _prompt(self, default: str) -> str | None:
        """Return the text entered next; ``None`` at the end of input."""
        try:
            return await self._prompt_session.prompt_async(
                default=default,
                # The main module does both. (Ctrl-C is a key here, not a signal.)
                set_exception_handler=False,
                handle_sigint=False,
            )
        except (EOFError, KeyboardInterrupt, OSError):
            return None

    def _show(self, text: str, style: str = "class:notice") -> None:
        self._print([(style, "-- " + printable(text))])

    def _print(self, line: StyleAndTextTuples) -> None:
        self._unprinted.append([*line, ("", "\n")])
        if len(self._unprinted) == MAX_UNPRINTED and self._channel is not None:
            self._channel.pause()
        if not self._prompt_session.app.is_running and not self._screen.stopped:
            # Between two prompts, so that the answer to a command follows it directly.
            self._print_lines()
        elif self._printing is None:
            self._printing = _start(self._print_above())

    async def _print_above(self) -> None:
        while self._screen.stopped:
            await asyncio.sleep(STOPPED_INTERVAL)
        async with in_terminal():
            self._print_lines()
        self._printing = None

    def _print_lines(self) -> None:
        lines, self._unprinted = self._unprinted, []
        fragments = [fragment for line in lines for fragment in line]
        output = self._prompt_session.output
        depth = output.get_default_color_depth()
        print_formatted_text(output, fragments, _STYLE, color_depth=depth)
        if len(lines) >= MAX_UNPRINTED and self._channel is not None:
            self._channel.resume()

    async def _finish(self) -> None:
        if self._printing is not None:
            # Not for ever, for a terminal that is stopped.
            await asyncio.wait([self._printing], timeout=CLOSE_TIMEOUT)
        if self._prompting is not None:
            self._prompting.cancel()
            await asyncio.wait([self._prompting])
        # The terminal may be gone.
        with suppress(OSError):
            self._print_lines()


def _start(work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """Start a task; an error in it goes to the event loop's exception handler at once."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.result())
    return task
