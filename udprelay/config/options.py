"""All options of the configuration file, by section."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from attrs import frozen

from udprelay.relay.option import Form, Option, option, options_of
from udprelay.relay.rules import DAY, Limits, ListenerRules, RelayRules, RoomRules


class LogFormat(str, Enum):
    """How events are written."""

    TEXT = "text"
    JSON = "json"


@frozen
class LogRules:
    """The options of the log."""

    format: LogFormat = option(
        LogFormat.TEXT,
        Form.CHOICE,
        "text for people, json for programs: one object per line.",
    )
    payloads: bool = option(
        False,
        Form.YES_OR_NO,
        "yes logs every datagram with its payload, for debugging. It is slow and reveals the"
        " messages of members.",
    )
    file: str = option(
        "",
        Form.PATH,
        "Empty is standard output. A file is created with mode 0640 and rotated; the process must"
        " have write access to its directory.",
    )
    rotate_size: int = option(
        10 * 1024**2,
        Form.SIZE,
        "At this size the file is renamed to FILE.1 and a new one is begun; 0 is never, for a file"
        " that logrotate renames (see the deployment page of the documentation).",
        0,
        1024**4,
    )
    rotate_keep: int = option(5, Form.COUNT, "Number of old files.", 1, 1000)
    statistics: float = option(
        0.0,
        Form.DURATION,
        "Time between two logs of the counters of each listener and room, and of all counts of the"
        " relay; 0 is never. Those of listeners and rooms are always logged at the end.",
        0,
        30 * DAY,
    )


SECTIONS: Mapping[str, Mapping[str, Option]] = {
    "udprelay": options_of(RelayRules),
    "listener:NAME": options_of(ListenerRules),
    "room:NAME": options_of(RoomRules),
    "limits": options_of(Limits),
    "log": options_of(LogRules),
}
"""The options of each kind of section."""


def kind_of(section: str) -> str:
    """Return the kind of a section: ``room:NAME`` for ``room:lobby``."""
    kind, colon, _ = section.partition(":")
    return f"{kind}:NAME" if colon else section
