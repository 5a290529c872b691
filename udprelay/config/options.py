"""All options of the configuration file, by section, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from attrs import frozen

from udprelay.config import values
from udprelay.relay.rules import Label, PlainPolicy, Protocol


class LogFormat(str, Enum):
    """How events are written."""

    TEXT = "text"
    JSON = "json"


@frozen
class LogRules:
    """
    The options of the log.

    :param file: a path; empty is standard output.
    :param rotate_size: bytes after which the file is rotated; 0 is never.
    :param rotate_keep: number of rotated files.
    :param statistics: seconds between two events with the counters of each listener and room;
        0 is never.
    """

    format: LogFormat = LogFormat.TEXT
    payloads: bool = False
    file: str = ""
    rotate_size: int = 10 * 1024 * 1024
    rotate_keep: int = 5
    statistics: float = 0.0


Readers = Mapping[str, Callable[[str], Any]]

_DAY = 86_400.0
# A smaller history has no space for a datagram of the maximum size.
_MIN_HISTORY_SIZE = 65_536

SECTIONS: Mapping[str, Readers] = {
    "udprelay": {
        "max_members": values.whole_number(1, 10_000_000),
        "max_rooms": values.whole_number(1, 10_000_000),
        "open_rooms": values.boolean,
    },
    "listener:NAME": {
        "interface": values.interface,
        "port": values.whole_number(0, 65_535),
        "room": values.room_name,
        "protocol": values.one_of(Protocol),
        "plain": values.one_of(PlainPolicy),
        "plain_networks": values.networks,
        "batch": values.boolean,
        "receive_buffer": values.size(0, 1024**3),
        "send_buffer": values.size(0, 1024**3),
    },
    "room:NAME": {
        "max_members": values.whole_number(1, 10_000_000),
        "idle_timeout": values.duration(1, 30 * _DAY),
        "label": values.one_of(Label),
        "targets": values.host_ports,
        "target_refresh": values.duration(1, 30 * _DAY),
        "access_key": values.access_key,
        "plain_with_key": values.boolean,
        "history": values.whole_number(1, 1_000_000),
        "history_size": values.size(_MIN_HISTORY_SIZE, 1024**3),
        "history_age": values.duration(1, _DAY),
        "history_on_join": values.whole_number(0, 1_000_000),
        "session_timeout": values.duration(1, _DAY),
        "member_rate": values.number(0, 10_000_000),
        "member_bandwidth": values.size(0, 1024**4),
    },
    "limits": {
        "challenge_rate": values.number(0, 10_000),
        "challenge_burst": values.whole_number(1, 10_000),
        "kick_time": values.duration(0, 30 * _DAY),
        "drop_window": values.duration(0.1, _DAY),
        "session_rate": values.number(0, 1_000_000),
        "session_burst": values.whole_number(1, 1_000_000),
        "proof_rate": values.number(0, 10_000),
        "proof_burst": values.whole_number(1, 10_000),
        "repair_rate": values.size(1024, 1024**3),
    },
    "log": {
        "format": values.one_of(LogFormat),
        "payloads": values.boolean,
        "file": str,
        "rotate_size": values.size(0, 1024**4),
        "rotate_keep": values.whole_number(1, 1000),
        "statistics": values.duration(0, 30 * _DAY),
    },
}
"""The options of each kind of section."""


def kind_of(section: str) -> str:
    """Return the kind of a section: ``room:NAME`` for ``room:lobby``."""
    kind, colon, _ = section.partition(":")
    return f"{kind}:NAME" if colon else section
