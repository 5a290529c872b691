"""Options that are valid each, but not together."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from itertools import combinations

from udprelay.config.options import LogRules
from udprelay.config.report import ALL_ROOMS, Report
from udprelay.relay.rules import ListenerRules, RelayRules


def check(rules: RelayRules, log: LogRules, console: bool, report: Report) -> None:
    """Report all that cannot work."""
    _check_references(rules, report)
    _check_history(rules, report)
    _check_overlaps(rules.listeners, report)


def _check_references(rules: RelayRules, report: Report) -> None:
    """Report rooms of listeners that have no section; a flag may name any room."""
    known = {*rules.rooms, ListenerRules().room}
    for name, listener in rules.listeners.items():
        at = (f"listener:{name}", "room")
        if listener.room in known or any(item.flag for item in report.given.get(at, ())):
            continue
        near = get_close_matches(listener.room, sorted(known), 1)
        why = f"section [room:{listener.room}] is missing"
        report.error(why + (f"; did you mean {near[0]}?" if near else ""), at)


def _check_history(rules: RelayRules, report: Report) -> None:
    """Report rooms that give new members more of the history than there is."""
    rooms = {f"room:{name}": room for name, room in rules.rooms.items()}
    for section, room in {ALL_ROOMS: rules.room_defaults, **rooms}.items():
        if room.history_on_join > room.history:
            why = f"history_on_join ({room.history_on_join}) is more than history ({room.history})"
            report.error(why, (section, "history_on_join"), (section, "history"))


def _check_overlaps(listeners: Mapping[str, ListenerRules], report: Report) -> None:
    """Report each pair of listeners that cannot both be bound."""
    for (a, first), (b, second) in combinations(listeners.items(), 2):
        options = [(f"listener:{x}", option) for x in (b, a) for option in ("interface", "port")]
        if report.valid(*options) and _overlap(first, second):
            section = report.sections.get(f"listener:{b}")
            interfaces = " and ".join(sorted({first.interface, second.interface}))
            why = f"both bind port {first.port} of {interfaces}"
            line = 0 if section is None else section.line
            report.add(line, f"[listener:{a}] and [listener:{b}]", why)


def _overlap(first: ListenerRules, second: ListenerRules) -> bool:
    """Return whether two listeners have a common address and port; ``::`` includes IPv4."""
    interfaces = {first.interface, second.interface}
    if not first.port or first.port != second.port:
        return False
    if len(interfaces) == 1 or "::" in interfaces:
        return True
    return "0.0.0.0" in interfaces and not any(":" in interface for interface in interfaces)
