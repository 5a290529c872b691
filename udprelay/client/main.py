"""The command ``udprelay-client``."""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from errno import EIO
from traceback import format_exception
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogBeginner

from udprelay.client import joining, passphrase
from udprelay.client.bridge import Bridge
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
from udprelay.client.login import login_nick
from udprelay.client.member import Member
from udprelay.client.options import Options, UsageError, parse
from udprelay.client.passphrase import Passphrase
from udprelay.client.pipe import Pipe
from udprelay.client.plain import PlainTalk
from udprelay.client.room_talk import RoomTalk, Wanted
from udprelay.client.talk import DONE, FAILED, Listening, Talk
from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.session_client.sending import LARGEST_MESSAGE

if TYPE_CHECKING:
    from twisted.internet.asyncioreactor import AsyncioSelectorReactor

USAGE = 1
MISTAKE = 70  # EX_SOFTWARE of sysexits.h

# Seconds for the relay, and for output whose reader is slow, after a signal.
PATIENCE = 1.0

# Bytes of output that may wait for whoever reads it: what comes meanwhile is not lost.
SLACK = 16 << 20

# What has no cursor to move gets lines, not a line editor.
_DUMB = ("dumb", "unknown")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the client.

    :param arguments: the command line; ``None``: that of the process.
    :returns: the exit status.
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
        return USAGE
    open_missing()
    with blocking_restored():
        run = _Run(options, found)
        status = run.run()
    if run.left_resolving:
        # The thread that looks the name up can't be stopped, and Python would wait for it.
        os._exit(status)
    return status


def on_terminal(options: Options, environ: Mapping[str, str]) -> bool:
    """Whether a person sits at both ends, with a terminal that can edit lines."""
    if options.json or options.bridge or environ.get("TERM", "").lower() in _DUMB:
        return False
    return os.isatty(STDIN) and os.isatty(STDOUT)


class _Run:
    """The reactor, the signals, and the way out."""

    def __init__(self, options: Options, found: Passphrase | None) -> None:
        # poll, unlike epoll, takes regular files, as standard input and output may be.
        self._loop = asyncio.SelectorEventLoop(selectors.PollSelector())
        asyncio.set_event_loop(self._loop)
        asyncioreactor.install(self._loop)
        from twisted.internet import reactor

        self._reactor: AsyncioSelectorReactor = reactor  # type: ignore[assignment]
        self._mistake: str | None = None
        self._status: int | None = None
        terminal = on_terminal(options, os.environ)
        front = _front_end(options, terminal, self._reactor)
        self._bridge = front if isinstance(front, Bridge) else None
        # A person sees that it goes on trying, and may stop it; a bridge is there to stay.
        patience = None if terminal or self._bridge else joining.PATIENCE
        changed = self._bridge.company_changed if self._bridge else None

        def talk(owner: Listening) -> Talk:
            return _talk(options, found, patience, owner, self._reactor, changed)

        self._client = Client(options, self._reactor, front, talk)
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
        # prompt_toolkit takes SIGWINCH through the loop, and Twisted's own handlers would
        # replace the loop's wakeup descriptor.
        self._reactor.run(installSignalHandlers=False)
        self._loop.close()
        if self._mistake is not None:
            write_stderr(self._mistake.encode("utf-8", "backslashreplace"))
            return MISTAKE
        return MISTAKE if self._status is None else self._status

    def _start(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Ignored from the start: by nohup, or by a shell that runs us in the background.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._loop.add_signal_handler(number, self._leave, 128 + number)
        started = Deferred.fromCoroutine(self._open())
        started.addErrback(lambda failure: self._mistaken(failure.getTraceback()))

    async def _open(self) -> None:
        if self._bridge is None or await self._bridge.open(self._client):
            await self._client.start()
        else:
            self._client.leave(FAILED)

    def _leave(self, status: int) -> None:
        self._client.leave(status)
        self._reactor.callLater(PATIENCE, self._end, status)

    def _end(self, status: int) -> None:
        if self._status is not None:
            return
        self._status = status
        if self.left_resolving:
            self._reactor.crash()
        else:
            self._reactor.stop()

    def _logged(self, event: LogEvent) -> None:
        # Twisted's own log is not for the terminal, but what it caught is a mistake of ours.
        failure = event.get("log_failure")
        if failure is not None and event["log_level"] is LogLevel.critical:
            self._mistaken(failure.getTraceback())

    def _raised(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno == EIO:
            # The terminal has gone, and the line editor met that before SIGHUP came.
            self._leave(128 + signal.SIGHUP)
            return
        told = "".join(format_exception(error)) if error else str(context["message"])
        self._mistaken(told)

    def _mistaken(self, traceback: str) -> None:
        if self._mistake is None:
            self._mistake = traceback
            self._leave(MISTAKE)


def _front_end(options: Options, terminal: bool, reactor: AsyncioSelectorReactor) -> FrontEnd:
    form: Format
    if options.bridge is not None:
        form = JSONFormat() if options.json else TextFormat(os.isatty(STDERR))
        to, per_member = options.bridge_to, options.bridge_per_member
        return Bridge(reactor, form, options.bridge, to, per_member)
    if terminal:
        # Imported only where needed, as the line editor takes its time.
        from udprelay.client.history import history_file
        from udprelay.client.terminal import Terminal

        return Terminal(history_file(os.environ))
    if options.json:
        form = JSONFormat()
    else:
        longest = MAX_PAYLOAD if options.plain else LARGEST_MESSAGE
        form = TextFormat(os.isatty(STDOUT), longest)
    pipe = Pipe(form, options.wait, 0 if options.plain else SLACK)
    pipe.open(reactor)
    return pipe


def _talk(
    options: Options,
    found: Passphrase | None,
    patience: float | None,
    owner: Listening,
    reactor: AsyncioSelectorReactor,
    company_changed: Callable[[Member], object] | None,
) -> Talk:
    if options.plain:
        return PlainTalk(
            reactor, options.host, options.port, owner, options.newline, options.keepalive
        )
    wanted = Wanted(
        options.room,
        login_nick() if options.nick is None else options.nick,
        other_nicks=options.nick is None,
        passphrase=None if found is None else found.text,
        recover=options.bridge is None,
    )
    return RoomTalk(reactor, options.host, options.port, owner, wanted, patience, company_changed)
