"""Lines of the log that members and strangers cause: few, whatever they do."""

from __future__ import annotations

from collections import Counter

from udprelay.relay import events

WINDOW = 10.0
"""Seconds, from the first such line on."""
MAX_LINES = 80
"""Such lines in a window."""
MAX_LINES_OF_SOURCE = 20
"""Such lines in a window that one host or, without an address, one room causes."""

_OF_OTHERS = (
    events.MemberAwaited,
    events.MemberJoined,
    events.MemberLeft,
    events.MemberMoved,
    events.MemberRecovered,
    events.MemberRejected,
    events.MemberRenamed,
    events.MemberTroubled,
    events.RoomClosed,
    events.RoomOpened,
)


class Folding:
    """Counts the events of others, and says which are more than the log should have."""

    def __init__(self) -> None:
        self._lines: Counter[str] = Counter()
        self._folded: Counter[str] = Counter()

    @property
    def in_window(self) -> bool:
        """Whether a window has begun: :meth:`end_window` is due when it is over."""
        return bool(self._lines)

    def passes(self, event: events.Event) -> bool:
        """Return whether an event has a line of its own; count it if not."""
        if not isinstance(event, _OF_OTHERS):
            return True
        host = getattr(event, "address", "").rpartition(":")[0]
        source = host or f"room {event.room}"
        of_source, lines = self._lines[source], self._lines.total()
        if of_source < MAX_LINES_OF_SOURCE and lines < MAX_LINES:
            self._lines[source] += 1
            return True
        self._folded[event.id] += 1
        return False

    def end_window(self) -> events.LogFolded | None:
        """End the window; return the event for all that had no line in it, if any."""
        folded, self._folded = self._folded, Counter()
        self._lines.clear()
        if not folded:
            return None
        return events.LogFolded(count=folded.total(), window=WINDOW, events=dict(folded))
