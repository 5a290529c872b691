"""From the relay's events and Twisted's log to an output."""

from __future__ import annotations

import os
import select
from time import monotonic, time

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    formatEventAsClassicLogText,
)
from zope.interface import implementer

from udprelay.config import LogFormat, LogRules
from udprelay.line_writer import DEFAULT_LIMIT, Descriptor, LineWriter, Output
from udprelay.logs.folding import WINDOW, Folding
from udprelay.logs.lines import Format, events_only, json_line, rfc3339, syslog_lines, text_line
from udprelay.logs.outputs import LogFile, Syslog
from udprelay.relay.event_stream import EventStream
from udprelay.relay.events import Event, LogFailed, LogLost, RelayStopped

_EVENT = "{udprelay.id}: {udprelay.human()}"


class EventLog:
    """
    Emits the events of a stream to Twisted's log: each one at once, after :meth:`start`.

    With a clock, those that members and strangers cause have few lines (``logs.folding``).
    """

    _log = Logger(namespace="udprelay")

    def __init__(self, stream: EventStream) -> None:
        self._queue = stream.open("log")
        self._folding = Folding()
        self._clock: IReactorTime | None = None
        self._window: IDelayedCall | None = None

    def start(self, clock: IReactorTime | None = None) -> None:
        """
        Log the events that have been waiting, and from now on each one when it happens.

        :param clock: for the lines that are folded; None if none are.
        """
        self._clock = clock
        self._queue.wake = self._write
        self._write()

    def _write(self) -> None:
        for event in self._queue.drain():
            if isinstance(event, RelayStopped) and self._window is not None:
                self._window.cancel()
                self._end_window()
            if self._clock is None or self._folding.passes(event):
                self._emit(event)
            if self._clock is not None and self._window is None and self._folding.in_window:
                self._window = self._clock.callLater(WINDOW, self._end_window)

    def _end_window(self) -> None:
        self._window = None
        folded = self._folding.end_window()
        if folded is not None:
            self._emit(folded)

    def _emit(self, event: Event) -> None:
        level = LogLevel.levelWithName(event.level.value)
        self._log.emit(level, _EVENT, udprelay=event)


@implementer(ILogObserver)
class Log:
    """
    Observes Twisted's log. It formats entries at once, and a thread writes them.

    :ivar writer: the thread, which must be started after a fork.
    :ivar is_shown: whether it goes to standard output, not to a file or syslog.
    """

    def __init__(self, output: Output, form: Format, limit: int = DEFAULT_LIMIT) -> None:
        self.writer = LineWriter(output, self._lost_line, self._failed, limit)
        self.is_shown = isinstance(output, Descriptor)
        self._output = output
        self._format = form
        self._ends_at: float | None = None

    def __call__(self, logged: LogEvent) -> None:
        """Write an entry."""
        line = self._line(logged)
        if line:
            self.writer.write(line)
            if self._ends_at is not None:
                self._flush(self._ends_at)

    def end(self, timeout: float) -> None:
        """
        Wait until everything is written, from now on after each entry: the process ends.

        It may end by a signal, and thus without another chance.

        :param timeout: seconds to wait, in all.
        """
        if self._ends_at is None:
            self._ends_at = monotonic() + timeout
        self._flush(self._ends_at)

    def _flush(self, until: float) -> None:
        self.writer.flush(max(0.0, until - monotonic()))

    def _line(self, logged: LogEvent) -> bytes:
        return (self._format(logged) or "").encode("utf-8", "backslashreplace")

    def _own_line(self, event: Event) -> bytes:
        entry = {"log_level": LogLevel.levelWithName(event.level.value), "log_time": time()}
        return self._line(
            {**entry, "log_namespace": "udprelay", "log_format": _EVENT, "udprelay": event}
        )

    def _lost_line(self, count: int, since: float) -> bytes:
        return self._own_line(LogLost(count=count, since=rfc3339(since)))

    def _failed(self, error: OSError) -> None:
        failed = LogFailed(output=self._output.name, error=error.strerror or str(error))
        self.writer.write(self._own_line(failed))
        if isinstance(self._output, LogFile):
            _tell(failed)


def _tell(failed: LogFailed) -> None:
    """Say it on standard error, if that does not block."""
    writable = select.poll()
    writable.register(2, select.POLLOUT)
    if writable.poll(0):
        try:
            os.write(2, f"udprelay: {failed.human()}\n".encode("utf-8", "backslashreplace"))
        except OSError:
            return


def open_log(rules: LogRules, standard_output: int = 1) -> Log:
    """
    Return the log of a configuration.

    :param standard_output: the descriptor that is used if no file is configured.
    :raises OSError: if the file cannot be opened.
    """
    line = events_only(json_line if rules.format is LogFormat.JSON else text_line)
    return Log(_output(rules.file, rules, standard_output), line)


def open_twistd_log(file: str, prefix: str, rules: LogRules) -> Log:
    """
    Return the log of ``twistd --logfile`` or ``--syslog``, with Twisted's format and entries.

    :param file: ``-`` is standard output; empty is syslog.
    :param prefix: the name in syslog.
    :raises OSError: if the file cannot be opened.
    """
    if not file:
        return Log(Syslog(prefix), syslog_lines)
    return Log(_output("" if file == "-" else file, rules, 1), formatEventAsClassicLogText)


def _output(file: str, rules: LogRules, standard_output: int) -> Output:
    if file:
        return LogFile(file, rules.rotate_size, rules.rotate_keep)
    return Descriptor(standard_output, "standard output")
