"""
Reads and checks the configuration.

Flags override the file, the file overrides the defaults. All mistakes are reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import combinations
from pathlib import Path
from stat import S_IROTH
from typing import Any

from attrs import evolve

from udprelay.config import values
from udprelay.config.config import Config
from udprelay.config.ini import Entry, Section, read
from udprelay.config.options import SECTIONS, LogRules, kind_of
from udprelay.config.problems import ConfigError, Problem, is_secret, quotable
from udprelay.relay.rules import Limits, ListenerRules, RelayRules, RoomRules


def load(path: str | None, flags: Mapping[str, str | None], console: bool = False) -> Config:
    """
    Return the configuration of a file and of flags, which override it.

    :param path: of the INI file, if there is one.
    :param flags: ``port``, ``interface``, ``room``, ``log-format``; None if not given.
    :raises ConfigError: if there are mistakes.
    """
    sections, problems = _read_file(path) if path is not None else ({}, [])
    file = path or ""
    reader = _Reader(file, problems)
    reader.check_names(sections)
    rules = RelayRules(
        **reader.options("udprelay", sections),
        listeners=_listeners(reader, sections),
        room_defaults=RoomRules(**reader.options("room:*", sections)),
        limits=Limits(**reader.options("limits", sections)),
    )
    rules = evolve(rules, rooms=_rooms(reader, sections, rules.room_defaults))
    reader.check_references(sections, rules)
    reader.check_history(sections, rules)
    rules = _with_flags(rules, flags, reader)
    reader.problems += [
        Problem(
            file, _line_of(f"listener:{b}", sections), f"[listener:{a}] and [listener:{b}]", why
        )
        for a, b, why in _overlaps(rules.listeners)
        # The default that replaces an invalid value is not reported as an overlap.
        if not reader.invalid & {f"listener:{a}", f"listener:{b}"}
    ]
    log = LogRules(**reader.options("log", sections))
    log_format = flags.get("log-format")
    if log_format is not None:
        log = evolve(log, format=reader.flag("log", "format", "--log-format", log_format))
    if problems:
        raise ConfigError(problems)
    exposed = file if _has_keys(rules) and _others_read(file) else ""
    return Config(evolve(rules, log_payloads=log.payloads), log, console, exposed)


def _read_file(path: str) -> tuple[dict[str, Section], list[Problem]]:
    try:
        text = Path(path).read_text("utf-8-sig")
    except OSError as error:
        return {}, [Problem(path, 0, "", f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError as error:
        return {}, [Problem(path, 0, "", f"is not UTF-8 text (byte {error.start})")]
    return read(text, path)


def _has_keys(rules: RelayRules) -> bool:
    rooms = (rules.room_defaults, *rules.rooms.values())
    return any(room.access_key is not None for room in rooms)


def _others_read(file: str) -> bool:
    return bool(Path(file).stat().st_mode & S_IROTH)


def _line_of(name: str, sections: Mapping[str, Section]) -> int:
    return sections[name].line if name in sections else 0


def _listeners(reader: _Reader, sections: Mapping[str, Section]) -> dict[str, ListenerRules]:
    listeners = {
        name.partition(":")[2]: ListenerRules(**reader.options(name, sections))
        for name in sections
        if kind_of(name) == "listener:NAME"
    }
    return listeners or {"main": ListenerRules()}


def _rooms(
    reader: _Reader, sections: Mapping[str, Section], defaults: RoomRules
) -> dict[str, RoomRules]:
    return {
        name.partition(":")[2]: evolve(defaults, **reader.options(name, sections))
        for name in sections
        if kind_of(name) == "room:NAME" and name != "room:*"
    }


def _with_flags(rules: RelayRules, flags: Mapping[str, str | None], reader: _Reader) -> RelayRules:
    given = {
        option: reader.flag("listener:NAME", option, f"--{option}", value)
        for option in ("interface", "port", "room")
        if (value := flags.get(option)) is not None
    }
    given = {option: value for option, value in given.items() if value is not None}
    if not given:
        return rules
    main = evolve(rules.listeners.get("main", ListenerRules()), **given)
    return evolve(rules, listeners={**rules.listeners, "main": main})


class _Reader:
    """
    Reads values and collects all mistakes.

    :ivar invalid: sections in which a default replaces an invalid value.
    """

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self._file = file
        self.problems = problems
        self.invalid: set[str] = set()

    def options(self, section: str, sections: Mapping[str, Section]) -> dict[str, Any]:
        """Return the valid values of a section's known options."""
        readers, found = SECTIONS[kind_of(section)], {}
        entries = sections[section].options if section in sections else {}
        for option, entry in entries.items():
            if option in readers:
                try:
                    found[option] = readers[option](entry.value)
                except ValueError as error:
                    self.invalid.add(section)
                    # Messages about a secret do not quote it; those about others may contain one.
                    why = str(error) if is_secret(option) else quotable(str(error))
                    self._wrong_value(section, option, entry, why)
        return found

    def flag(self, kind: str, option: str, flag: str, value: str) -> Any:
        """Return the value of a flag, or None if it is not valid."""
        try:
            return SECTIONS[kind][option](value)
        except ValueError as error:
            self.invalid.add("listener:main")
            self.problems.append(Problem("", 0, f"{flag} {value}", str(error)))
            return None

    def check_names(self, sections: Mapping[str, Section]) -> None:
        """Report unknown sections and options, and invalid names."""
        for name, section in sections.items():
            kind = kind_of(name)
            if kind not in SECTIONS:
                self._wrong(section.line, f"[{name}]", _unknown("section", name, SECTIONS))
                continue
            if kind != name and name != "room:*":
                self._check_name(name, section)
            for option, entry in section.options.items():
                if option not in SECTIONS[kind]:
                    why = _unknown("option", option, SECTIONS[kind])
                    self._wrong_value(name, option, entry, why)

    def check_references(self, sections: Mapping[str, Section], rules: RelayRules) -> None:
        """Report rooms of listeners that have no section."""
        known = {*rules.rooms, ListenerRules().room}
        for name, section in sections.items():
            if kind_of(name) != "listener:NAME" or "room" not in section.options:
                continue
            room = rules.listeners[name.partition(":")[2]].room
            if room not in known:
                near = get_close_matches(room, sorted(known), 1)
                why = f"section [room:{room}] is missing"
                why += f"; did you mean {near[0]}?" if near else ""
                self._wrong(section.options["room"].line, f"[{name}] room = {room}", why)

    def check_history(self, sections: Mapping[str, Section], rules: RelayRules) -> None:
        """Report rooms that give new members more of the history than there is."""
        rooms = {f"room:{name}": room for name, room in rules.rooms.items()}
        for name, room in {"room:*": rules.room_defaults, **rooms}.items():
            options = sections[name].options if name in sections else {}
            # A value from [room:*] is reported there.
            entry = options.get("history_on_join") or options.get("history")
            if entry is None or self.invalid & {name, "room:*"}:
                continue
            if room.history_on_join > room.history:
                what = f"[{name}] history_on_join = {room.history_on_join}"
                self._wrong(entry.line, what, f"is more than history = {room.history}")

    def _check_name(self, section_name: str, section: Section) -> None:
        try:
            values.room_name(section_name.partition(":")[2])
        except ValueError as error:
            self._wrong(section.line, f"[{section_name}]", f"the name {error}")

    def _wrong_value(self, section: str, option: str, entry: Entry, why: str) -> None:
        value = "" if is_secret(option) else f" = {quotable(entry.value)}"
        self._wrong(entry.line, f"[{section}] {option}{value}", why)

    def _wrong(self, line: int, what: str, why: str) -> None:
        self.problems.append(Problem(self._file, line, what, why))


def _unknown(what: str, name: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(name, known, 1)
    return f"unknown {what}" + (
        f"; did you mean {near[0]}?" if near else f"; valid are {', '.join(known)}"
    )


def _overlaps(listeners: Mapping[str, ListenerRules]) -> Iterator[tuple[str, str, str]]:
    """Yield each pair of listeners that cannot both be bound, and why."""
    for (a, first), (b, second) in combinations(listeners.items(), 2):
        if first.port and first.port == second.port and _share(first.interface, second.interface):
            interfaces = " and ".join(sorted({first.interface, second.interface}))
            yield a, b, f"both bind port {first.port} of {interfaces}"


def _share(first: str, second: str) -> bool:
    """Return whether two interfaces have a common address; ``::`` includes IPv4."""
    if first == second or "::" in (first, second):
        return True
    return "0.0.0.0" in (first, second) and ":" not in first and ":" not in second
