"""Entries of Twisted's log as lines."""

from __future__ import annotations

import json
import syslog
from collections.abc import Callable
from datetime import datetime, timezone

from twisted.logger import LogEvent, LogLevel, eventAsText, formatEvent

from udprelay.protocol.text import printable
from udprelay.relay.events import Diagnostic, Event

Line = Callable[[Event, str, float], str]
"""Formats an event, given its level and time (seconds since 1970), as complete lines."""

Format = Callable[[LogEvent], "str | None"]
"""Formats an entry of Twisted's log as complete lines; ``None`` or empty if it is not logged."""

_PRIORITIES = {
    LogLevel.debug: syslog.LOG_DEBUG,
    LogLevel.info: syslog.LOG_INFO,
    LogLevel.warn: syslog.LOG_WARNING,
    LogLevel.error: syslog.LOG_ERR,
    LogLevel.critical: syslog.LOG_CRIT,
}


def json_line(event: Event, level: str, time: float) -> str:
    """Return an event as a JSON object on one line."""
    fields = {"time": rfc3339(time), "level": level, "event": event.id, **event.fields()}
    # ASCII only: C1 controls and bidirectional overrides become escapes.
    return json.dumps(fields, separators=(",", ":")) + "\n"


def text_line(event: Event, level: str, time: float) -> str:
    """Return an event as a line for people; a traceback follows below it."""
    lines = [f"{rfc3339(time)} {level:5} {event.id}: {event.human()}"]
    if isinstance(event, Diagnostic):
        lines += [f"    {printable(line)}" for line in event.traceback.splitlines()]
    return "\n".join(lines) + "\n"


def rfc3339(time: float) -> str:
    """Return a time in UTC with microseconds."""
    when = datetime.fromtimestamp(time, timezone.utc)
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")


def events_only(line: Line) -> Format:
    """Return a format for the relay's events, and for warnings and errors of other sources."""

    def entry_line(logged: LogEvent) -> str | None:
        level = logged.get("log_level", LogLevel.info)
        event = logged.get("udprelay")
        if not isinstance(event, Event):
            if level < LogLevel.warn:
                return None
            event = _diagnostic(logged)
        return line(event, level.name, logged["log_time"])

    return entry_line


def syslog_lines(logged: LogEvent) -> str:
    """Return any entry, in Twisted's words; each line begins with its priority: ``<6>``."""
    priority = _PRIORITIES[logged.get("log_level", LogLevel.info)]
    first, *others = eventAsText(logged, includeTimestamp=False).splitlines() or [""]
    return "".join(f"<{priority}>{line}\n" for line in (first, *(f"\t{more}" for more in others)))


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
