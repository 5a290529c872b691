"""
Reads and checks the configuration.

Flags override the file, the file overrides the defaults. All mistakes are reported at once.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    reader = _Reader(file, sections, problems)
    reader.check_names()
    listeners = reader.named("listener:NAME")
    rooms = reader.named("room:NAME")
    defaults = RoomRules(**rooms.pop("*", {}))
    rules = RelayRules(
        **reader.options("udprelay"),
        listeners={name: ListenerRules(**options) for name, options in listeners.items()}
        or {"main": ListenerRules()},
        room_defaults=defaults,
        rooms={name: evolve(defaults, **options) for name, options in rooms.items()},
        limits=Limits(**reader.options("limits")),
    )
    reader.check_references(rules)
    reader.check_history(rules)
    if given := reader.flags("listener:NAME", flags, "interface", "port", "room"):
        main = evolve(rules.listeners.get("main", ListenerRules()), **given)
        rules = evolve(rules, listeners={**rules.listeners, "main": main})
    reader.check_overlaps(rules.listeners)
    log_flags = reader.flags("log", flags, "format", prefix="log-")
    log = LogRules(**reader.options("log") | log_flags)
    if problems:
        raise ConfigError(problems)
    has_keys = any(room.access_key for room in (rules.room_defaults, *rules.rooms.values()))
    exposed = file if has_keys and Path(file).stat().st_mode & S_IROTH else ""
    return Config(evolve(rules, log_payloads=log.payloads), log, console, exposed)


def _read_file(path: str) -> tuple[dict[str, Section], list[Problem]]:
    try:
        text = Path(path).read_text("utf-8-sig")
    except OSError as error:
        return {}, [Problem(path, 0, "", f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError as error:
        return {}, [Problem(path, 0, "", f"is not UTF-8 text (byte {error.start})")]
    return read(text, path)


class _Reader:
    """
    Reads values and adds all mistakes to ``problems``.

    A default replaces an invalid value.
    """

    def __init__(
        self, file: str, sections: Mapping[str, Section], problems: list[Problem]
    ) -> None:
        self._file = file
        self._sections = sections
        self._problems = problems
        # Sections with invalid values.
        self._invalid: set[str] = set()

    def options(self, section: str) -> dict[str, Any]:
        """Return the valid values of a section's known options."""
        readers, found = SECTIONS[kind_of(section)], {}
        for option, entry in self._entries(section).items():
            if option in readers:
                try:
                    found[option] = readers[option](entry.value)
                except ValueError as error:
                    self._invalid.add(section)
                    # Messages about a secret do not quote it; those about others may contain one.
                    why = str(error) if is_secret(option) else quotable(str(error))
                    self._wrong_value(section, option, entry, why)
        return found

    def named(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the options of all sections of a kind, by their names."""
        found = [section for section in self._sections if kind_of(section) == kind]
        return {section.partition(":")[2]: self.options(section) for section in found}

    def flags(
        self, kind: str, flags: Mapping[str, str | None], *options: str, prefix: str = ""
    ) -> dict[str, Any]:
        """Return the valid values of flags by option; a flag is named ``prefix`` + option."""
        found = {}
        for option in options:
            flag = prefix + option
            value = flags.get(flag)
            if value is None:
                continue
            try:
                found[option] = SECTIONS[kind][option](value)
            except ValueError as error:
                self._invalid.add("listener:main")
                self._problems.append(Problem("", 0, f"--{flag} {value}", str(error)))
        return found

    def check_names(self) -> None:
        """Report unknown sections and options, and invalid names."""
        for name, section in self._sections.items():
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

    def check_references(self, rules: RelayRules) -> None:
        """Report rooms of listeners that have no section."""
        known = {*rules.rooms, ListenerRules().room}
        for name, section in self._sections.items():
            if kind_of(name) != "listener:NAME" or "room" not in section.options:
                continue
            room = rules.listeners[name.partition(":")[2]].room
            if room not in known:
                near = get_close_matches(room, sorted(known), 1)
                why = f"section [room:{room}] is missing"
                why += f"; did you mean {near[0]}?" if near else ""
                self._wrong(section.options["room"].line, f"[{name}] room = {room}", why)

    def check_history(self, rules: RelayRules) -> None:
        """Report rooms that give new members more of the history than there is."""
        rooms = {f"room:{name}": room for name, room in rules.rooms.items()}
        for name, room in {"room:*": rules.room_defaults, **rooms}.items():
            options = self._entries(name)
            # A value from [room:*] is reported there.
            entry = options.get("history_on_join") or options.get("history")
            if entry is None or self._invalid & {name, "room:*"}:
                continue
            if room.history_on_join > room.history:
                what = f"[{name}] history_on_join = {room.history_on_join}"
                self._wrong(entry.line, what, f"is more than history = {room.history}")

    def check_overlaps(self, listeners: Mapping[str, ListenerRules]) -> None:
        """Report each pair of listeners that cannot both be bound."""
        for (a, first), (b, second) in combinations(listeners.items(), 2):
            # The default that replaces an invalid value is not reported as an overlap.
            if self._invalid & {f"listener:{a}", f"listener:{b}"} or not _overlap(first, second):
                continue
            section = self._sections.get(f"listener:{b}")
            interfaces = " and ".join(sorted({first.interface, second.interface}))
            why = f"both bind port {first.port} of {interfaces}"
            line = 0 if section is None else section.line
            self._wrong(line, f"[listener:{a}] and [listener:{b}]", why)

    def _entries(self, section: str) -> Mapping[str, Entry]:
        return self._sections[section].options if section in self._sections else {}

    def _check_name(self, section_name: str, section: Section) -> None:
        try:
            values.room_name(section_name.partition(":")[2])
        except ValueError as error:
            self._wrong(section.line, f"[{section_name}]", f"the name {error}")

    def _wrong_value(self, section: str, option: str, entry: Entry, why: str) -> None:
        value = "" if is_secret(option) else f" = {quotable(entry.value)}"
        self._wrong(entry.line, f"[{section}] {option}{value}", why)

    def _wrong(self, line: int, what: str, why: str) -> None:
        self._problems.append(Problem(self._file, line, what, why))


def _unknown(what: str, name: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(name, known, 1)
    return f"unknown {what}" + (
        f"; did you mean {near[0]}?" if near else f"; valid are {', '.join(known)}"
    )


def _overlap(first: ListenerRules, second: ListenerRules) -> bool:
    """Return whether two listeners have a common address and port; ``::`` includes IPv4."""
    interfaces = {first.interface, second.interface}
    if not first.port or first.port != second.port:
        return False
    if len(interfaces) == 1 or "::" in interfaces:
        return True
    return "0.0.0.0" in interfaces and not any(":" in interface for interface in interfaces)
