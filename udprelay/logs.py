"""Writes events as text for people or as JSON for programs."""

from __future__ import annotations

import json
import os
import select
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, formatEvent
from twisted.python.logfile import LogFile
from zope.interface import implementer

from udprelay.config import LogFormat, LogRules
from udprelay.protocol.text import printable
from udprelay.relay.event_stream import EventStream
from udprelay.relay.events import Diagnostic, Event

Line = Callable[[Event, str, float], str]
"""Formats an event, given its level and time (seconds since 1970), as complete lines."""


class EventLog:
    """Emits the events of a stream to Twisted's log: each one at once, after :meth:`start`."""

    _log = Logger(namespace="udprelay")

    def __init__(self, stream: EventStream) -> None:
        self._queue = stream.open("log")

    def start(self) -> None:
        """Log the events that have been waiting, and from now on each one when it happens."""
        self._queue.wake = self._write
        self._write()

    def _write(self) -> None:
        for event in self._queue.drain():
            level = LogLevel.levelWithName(event.level.value)
            self._log.emit(level, "{udprelay.id}: {udprelay.human()}", udprelay=event)


def json_line(event: Event, level: str, time: float) -> str:
    """Return an event as a JSON object on one line."""
    fields = {"time": _rfc3339(time), "level": level, "event": event.id, **event.fields()}
    # ASCII only: C1 controls and bidirectional overrides become escapes.
    return json.dumps(fields, separators=(",", ":")) + "\n"


def text_line(event: Event, level: str, time: float) -> str:
    """Return an event as a line for people; a traceback follows below it."""
    lines = [f"{_rfc3339(time)} {level:5} {event.id}: {event.human()}"]
    if isinstance(event, Diagnostic):
        lines += [f"    {printable(line)}" for line in event.traceback.splitlines()]
    return "\n".join(lines) + "\n"


def _rfc3339(time: float) -> str:
    when = datetime.fromtimestamp(time, timezone.utc)
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")


@implementer(ILogObserver)
class EventObserver:
    """
    Writes the relay's events, and warnings and errors of other sources.

    :param write: gets complete lines.
    """

    def __init__(self, write: Callable[[str], object], line: Line) -> None:
        self._write = write
        self._line = line

    def __call__(self, logged: LogEvent) -> None:
        """Write an entry of Twisted's log, if it is an event, a warning or an error."""
        level = logged.get("log_level", LogLevel.info)
        event = logged.get("udprelay")
        if not isinstance(event, Event):
            if level < LogLevel.warn:
                return
            event = _diagnostic(logged)
        self._write(self._line(event, level.name, logged["log_time"]))


def _diagnostic(logged: LogEvent) -> Diagnostic:
    failure = logged.get("log_failure")
    message = formatEvent(logged)
    if failure is not None:
        message = f"{message}: {failure.getErrorMessage()}" if message else str(failure.value)
    return Diagnostic(
        source=str(logged.get("log_namespace", "")),
        message=message,
        traceback=failure.getTraceback() if failure is not None else "",
    )


def observer(rules: LogRules, standard_output: int = 1) -> EventObserver:
    """
    Return the observer for a configuration.

    :param standard_output: the descriptor that is used if no file is configured.
    :raises OSError: if the file cannot be opened.
    """
    line = json_line if rules.format is LogFormat.JSON else text_line
    if not rules.file:
        return EventObserver(lambda text: _write_all(standard_output, text), line)
    path = Path(rules.file).absolute()
    file = LogFile(
        path.name,
        str(path.parent),
        rotateLength=rules.rotate_size or None,
        defaultMode=0o640,
        maxRotatedFiles=rules.rotate_keep or None,
    )
    return EventObserver(file.write, line)


def _write_all(descriptor: int, text: str) -> None:
    pending = text.encode("utf-8", "backslashreplace")
    while pending:
        try:
            pending = pending[os.write(descriptor, pending) :]
        except BlockingIOError:
            # The console shares the terminal and makes it non-blocking.
            select.select([], [descriptor], [])
