"""The command ``udprelay-client``."""

from __future__ import annotations

import asyncio
import getpass
import os
import selectors
import signal
import sys
from collections.abc import Mapping, Sequence
from errno import EIO
from functools import partial
from traceback import format_exception
from typing import Any, cast

from twisted.internet import asyncioreactor
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred
from twisted.internet.stdio import StandardIO
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogBeginner

from udprelay.client import joining, passphrase
from udprelay.client.bridge import Bridge
from udprelay.client.channel import DONE, FAILED, Channel, ChannelObserver
from udprelay.client.client import Client, FrontEnd
from udprelay.client.descriptors import (
    STDERR,
    STDIN,
    STDOUT,
    blocking_restored,
    open_missing,
    write_stderr,
)
from udprelay.client.formats import Format, JSONFormat, TextFormat
from udprelay.client.options import Options, UsageError, parse
from udprelay.client.passphrase import Passphrase
from udprelay.client.pipe import Pipe
from udprelay.client.plain import PlainChannel
from udprelay.client.room_channel import RoomChannel
from udprelay.clock import clock_of
from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.protocol.nick import NickError, is_reserved, normalise
from udprelay.session_client.pieces import MAX_MESSAGE
from udprelay.session_client.settings import Settings

USAGE_ERROR = 1
INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h

SHUTDOWN_TIMEOUT = 1.0
"""Seconds for the relay to confirm, and for output to be read, after a signal."""

MAX_BUFFERED_OUTPUT = 16 << 20
"""Bytes of output that wait for a slow reader before the socket is no longer read."""

DEFAULT_NICK = "somebody"
"""The nick if the login name cannot be one."""

# Values of TERM for terminals that cannot move the cursor, as the line editor does.
_DUMB = ("dumb", "unknown")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the client.

    :param arguments: the command line; ``None``: that of the process.
    :return: the exit status.
    """
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        if options.access_key:
            line = passphrase.access_key(options.passphrase_file, os.environ)
            sys.stdout.write(f"{line}\n")
            return DONE
        found = None if options.plain else passphrase.find(options.passphrase_file, os.environ)
    except UsageError as error:
        write_stderr(f"udprelay-client: {error}".encode("utf-8", "backslashreplace"))
        return USAGE_ERROR
    open_missing()
    with blocking_restored():
        run = _Run(options, found)
        status = run.run()
    if run.left_resolving:
        # The thread that looks the name up cannot be stopped, and Python would wait for it.
        os._exit(status)
    return status


def on_terminal(options: Options, environ: Mapping[str, str]) -> bool:
    """Whether standard input and output are a terminal that the line editor can use."""
    if options.json or options.bridge or environ.get("TERM", "").lower() in _DUMB:
        return False
    return os.isatty(STDIN) and os.isatty(STDOUT)


def login_nick() -> str:
    """Return the login name if it can be a nick, else :data:`DEFAULT_NICK`."""
    try:
        login = normalise(getpass.getuser())
    except (KeyError, OSError, NickError):
        # The user has no name, as in a container with an arbitrary user id (before 3.13:
        # KeyError).
        return DEFAULT_NICK
    return DEFAULT_NICK if is_reserved(login) else login


class _Run:
    """Runs the reactor, handles signals and internal errors, and gives the exit status."""

    def __init__(self, options: Options, found: Passphrase | None) -> None:
        # poll, unlike epoll, supports regular files as standard input and output.
        self._loop = asyncio.SelectorEventLoop(selectors.PollSelector())
        asyncio.set_event_loop(self._loop)
        asyncioreactor.install(self._loop)
        from twisted.internet import reactor

        self._reactor: AsyncioSelectorReactor = reactor  # type: ignore[assignment]
        self._traceback: str | None = None
        self._status: int | None = None
        terminal = on_terminal(options, os.environ)
        self._front = front = _front_end(options, terminal, self._reactor)
        self._bridge = front if isinstance(front, Bridge) else None
        # A person sees the retries and can stop them; a bridge runs unattended.
        join_timeout = None if terminal or self._bridge else joining.JOIN_TIMEOUT
        channel = partial(_channel, self._reactor, options, found, join_timeout)
        self._client = Client(options, clock_of(reactor), front, channel)
        if found is not None and found.warning is not None:
            self._client.notice(found.warning)
        self._client.finished.addCallback(self._end)

    @property
    def left_resolving(self) -> bool:
        return self._client.resolving or (self._bridge is not None and self._bridge.resolving)

    def run(self) -> int:
        globalLogBeginner.beginLoggingTo(
            [cast(ILogObserver, self._logged)], discardBuffer=True, redirectStandardIO=False
        )
        self._loop.set_exception_handler(self._raised)
        self._reactor.callWhenRunning(self._start)
        # prompt_toolkit handles SIGWINCH through the loop, and Twisted's own handlers would
        # replace the loop's wakeup descriptor.
        self._reactor.run(installSignalHandlers=False)
        self._loop.close()
        self._front.flush()
        if self._traceback is not None:
            write_stderr(self._traceback.encode("utf-8", "backslashreplace"))
            return INTERNAL_ERROR
        return INTERNAL_ERROR if self._status is None else self._status

    def _start(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Ignored from the start: by nohup, or by a shell that runs us in the background.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._loop.add_signal_handler(number, self._leave, 128 + number)
        opened = Deferred.fromCoroutine(self._open())
        opened.addErrback(lambda failure: self._fail(failure.getTraceback()))

    async def _open(self) -> None:
        if self._bridge is None or await self._bridge.open(self._client):
            await self._client.start()
        else:
            self._client.leave(FAILED)

    def _leave(self, status: int) -> None:
        self._client.leave(status)
        clock_of(self._reactor).callLater(SHUTDOWN_TIMEOUT, self._end, status)

    def _end(self, status: int) -> None:
        if self._status is not None:
            return
        self._status = status
        if self.left_resolving:
            self._reactor.crash()
        else:
            self._reactor.stop()

    def _logged(self, event: LogEvent) -> None:
        # Twisted's log does not belong on the terminal, except for unhandled errors.
        failure = event.get("log_failure")
        if failure is not None and event["log_level"] is LogLevel.critical:
            self._fail(failure.getTraceback())

    def _raised(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno == EIO:
            # The terminal was closed, and the line editor noticed it before SIGHUP came.
            self._leave(128 + signal.SIGHUP)
            return
        self._fail("".join(format_exception(error)) if error else str(context["message"]))

    def _fail(self, traceback: str) -> None:
        if self._traceback is None:
            self._traceback = traceback
            self._leave(INTERNAL_ERROR)


def _front_end(options: Options, terminal: bool, reactor: AsyncioSelectorReactor) -> FrontEnd:
    form: Format
    if options.bridge is not None:
        form = JSONFormat() if options.json else TextFormat(os.isatty(STDERR))
        to, per_member = options.bridge_to, options.bridge_per_member
        relay = options.host, options.port
        return Bridge(reactor, form, options.bridge, to, per_member, relay)
    if terminal:
        # The line editor takes long to import.
        from udprelay.client.terminal import Terminal, history_file

        return Terminal(history_file(os.environ))
    if options.json:
        form = JSONFormat()
    else:
        form = TextFormat(os.isatty(STDOUT), MAX_PAYLOAD if options.plain else MAX_MESSAGE)
    buffered = 0 if options.plain else MAX_BUFFERED_OUTPUT
    pipe = Pipe(form, options.wait, buffered, typed=os.isatty(STDIN))
    StandardIO(pipe, reactor=reactor)
    return pipe


def _channel(
    reactor: AsyncioSelectorReactor,
    options: Options,
    found: Passphrase | None,
    join_timeout: float | None,
    observer: ChannelObserver,
) -> Channel:
    host, port = options.host, options.port
    if options.plain:
        return PlainChannel(reactor, host, port, observer, options.newline, options.keepalive)
    settings = Settings(
        options.room,
        login_nick() if options.nick is None else options.nick,
        keyed=found is not None,
        recover=options.bridge is None,
        other_nicks=options.nick is None,
    )
    passphrase_text = None if found is None else found.text
    return RoomChannel(
        reactor, host, port, observer, settings, passphrase_text, join_timeout, options.newline
    )
