"""The command ``udprelay-client``."""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import sys
from collections.abc import Mapping, Sequence
from errno import EIO
from traceback import format_exception
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogBeginner

from udprelay.client.client import Client, FrontEnd
from udprelay.client.descriptors import (
    STDIN,
    STDOUT,
    blocking_restored,
    open_missing,
    write_stderr,
)
from udprelay.client.options import Options, UsageError, parse

if TYPE_CHECKING:
    from twisted.internet.asyncioreactor import AsyncioSelectorReactor

USAGE = 1
MISTAKE = 70  # EX_SOFTWARE of sysexits.h

# Seconds for output whose reader is slow, after a signal.
PATIENCE = 1.0

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
    except UsageError as error:
        write_stderr(f"udprelay-client: {error}".encode("utf-8", "backslashreplace"))
        return USAGE
    open_missing()
    with blocking_restored():
        run = _Run(options)
        status = run.run()
    if run.left_resolving:
        # The thread that looks the name up can't be stopped, and Python would wait for it.
        os._exit(status)
    return status


def on_terminal(options: Options, environ: Mapping[str, str]) -> bool:
    """Whether a person sits at both ends, with a terminal that can edit lines."""
    if options.json or environ.get("TERM", "").lower() in _DUMB:
        return False
    return os.isatty(STDIN) and os.isatty(STDOUT)


class _Run:
    """The reactor, the signals, and the way out."""

    def __init__(self, options: Options) -> None:
        # poll, unlike epoll, takes regular files, as standard input and output may be.
        self._loop = asyncio.SelectorEventLoop(selectors.PollSelector())
        asyncio.set_event_loop(self._loop)
        asyncioreactor.install(self._loop)
        from twisted.internet import reactor

        self._reactor: AsyncioSelectorReactor = reactor  # type: ignore[assignment]
        self._mistake: str | None = None
        self._status: int | None = None
        self._client = Client(options, self._reactor, _front_end(options, self._reactor))
        self._client.finished.addCallback(self._end)

    @property
    def left_resolving(self) -> bool:
        return self._client.resolving

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
        started = Deferred.fromCoroutine(
            self._client.start(self._reactor.nameResolver, self._reactor)
        )
        started.addErrback(lambda failure: self._mistaken(failure.getTraceback()))

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


def _front_end(options: Options, reactor: AsyncioSelectorReactor) -> FrontEnd:
    # Imported only where needed, as the line editor takes its time.
    if on_terminal(options, os.environ):
        from udprelay.client.history import history_file
        from udprelay.client.terminal import Terminal

        return Terminal(history_file(os.environ))
    from udprelay.client.formats import JSONFormat, TextFormat
    from udprelay.client.pipe import Pipe

    form = JSONFormat() if options.json else TextFormat(escape=os.isatty(STDOUT))
    pipe = Pipe(form, options.wait)
    pipe.open(reactor)
    return pipe
