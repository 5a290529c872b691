"""
From an INI file and command-line flags to one frozen :class:`Config`.

Flags override the file, the file overrides the defaults. Everything that is wrong is reported at
once.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from stat import S_IROTH
from typing import Any

from attrs import evolve, field, frozen

from udprelay.config import values
from udprelay.config.ini import Entry, Problem, Section, read
from udprelay.config.options import SECTIONS, LogFormat, LogRules, kind_of
from udprelay.config.overlap import overlaps
from udprelay.config.quoting import is_secret, quotable
from udprelay.protocol.endpoint import host_port
from udprelay.relay.events import ConfigExposed
from udprelay.relay.rules import Limits, ListenerRules, Protocol, RelayRules, RoomRules

__all__ = ["Config", "ConfigError", "LogFormat", "LogRules", "Problem", "load"]


class ConfigError(Exception):
    """
    A configuration that cannot be run.

    :ivar problems: everything that is wrong with it.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        super().__init__("\n".join(map(str, self.problems)))


@frozen
class Config:
    """
    What one process is to run.

    :param console: whether its terminal is a member of the room of the listener ``main``.
    :param exposed: the file, if it has access keys that every user of the machine can read.
    """

    rules: RelayRules = field(factory=RelayRules)
    log: LogRules = field(factory=LogRules)
    console: bool = False
    exposed: str = ""

    def summary(self) -> str:
        """Return what would be run, for people."""
        lines = []
        for name, rules in self.rules.listeners.items():
            where = host_port(rules.interface, rules.port)
            text = f"listener {name}: {where}, room {rules.room}, protocol {rules.protocol.value}"
            if rules.protocol is not Protocol.SESSION:
                text += f", plain {rules.plain.value}"
            lines.append(text)
        led_to = {rules.room for rules in self.rules.listeners.values()}
        for name in sorted(led_to | set(self.rules.rooms)):
            room = self.rules.room(name)
            idle = values.show_duration(room.idle_timeout)
            text = f"room {name}: at most {room.max_members} members, idle after {idle}"
            if room.access_key is not None:
                text += ", needs a passphrase"
                text += " (plain members do not)" if room.plain_with_key else ""
            for target in room.targets:
                text += f", target {host_port(*target)}"
            lines.append(text if name in led_to else f"{text} (no listener leads here)")
        lines.append(f"log: {self.log.format.value}, {self.log.file or 'standard output'}")
        if self.console:
            lines.append(f"console: room {console_room(self.rules)}")
        if self.exposed:
            lines.append(f"warning: {ConfigExposed(file=self.exposed).human()}")
        return "\n".join(lines)


def console_room(rules: RelayRules) -> str:
    """Return the room of the console: that of the listener ``main``, or of the first one."""
    listeners = rules.listeners
    return listeners.get("main", next(iter(listeners.values()))).room


def load(path: str | None, flags: Mapping[str, str | None], console: bool = False) -> Config:
    """
    Read a configuration file, if any, and put the flags over it.

    :param path: the INI file.
    :param flags: ``port``, ``interface``, ``room``, ``log-format`` as given, None if not.
    :raises ConfigError: with everything that is wrong.
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
        for a, b, why in overlaps(rules.listeners)
        # What stands in for a wrong value overlaps with nothing that anybody wrote.
        if not reader.in_doubt & {f"listener:{a}", f"listener:{b}"}
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
    Reads values one by one and collects what is wrong.

    :ivar in_doubt: sections in which a default stands in for a wrong value.
    """

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self._file = file
        self.problems = problems
        self.in_doubt: set[str] = set()

    def options(self, section: str, sections: Mapping[str, Section]) -> dict[str, Any]:
        """Return the valid values of a section's known options."""
        readers, found = SECTIONS[kind_of(section)], {}
        entries = sections[section].options if section in sections else {}
        for option, entry in entries.items():
            if option in readers:
                try:
                    found[option] = readers[option](entry.value)
                except ValueError as error:
                    self.in_doubt.add(section)
                    # What is wrong with a secret is said without it, of anything else with it.
                    why = str(error) if is_secret(option) else quotable(str(error))
                    self._wrong_value(section, option, entry, why)
        return found

    def flag(self, kind: str, option: str, flag: str, value: str) -> Any:
        """Return the value of a flag, or None if it is not valid."""
        try:
            return SECTIONS[kind][option](value)
        except ValueError as error:
            self.in_doubt.add("listener:main")
            self.problems.append(Problem("", 0, f"{flag} {value}", str(error)))
            return None

    def check_names(self, sections: Mapping[str, Section]) -> None:
        """Report unknown sections and options, and names that are none."""
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
        """Report rooms that a listener leads to and that have no section."""
        known = {*rules.rooms, ListenerRules().room}
        for name, section in sections.items():
            if kind_of(name) != "listener:NAME" or "room" not in section.options:
                continue
            room = rules.listeners[name.partition(":")[2]].room
            if room not in known:
                near = get_close_matches(room, sorted(known), 1)
                why = f"there is no section [room:{room}]"
                why += f"; did you mean {near[0]}?" if near else ""
                self._wrong(section.options["room"].line, f"[{name}] room = {room}", why)

    def check_history(self, sections: Mapping[str, Section], rules: RelayRules) -> None:
        """Report rooms that are to give new members more than they keep."""
        rooms = {f"room:{name}": room for name, room in rules.rooms.items()}
        for name, room in {"room:*": rules.room_defaults, **rooms}.items():
            options = sections[name].options if name in sections else {}
            # What a room has from [room:*] is wrong there.
            entry = options.get("history_on_join") or options.get("history")
            if entry is None or self.in_doubt & {name, "room:*"}:
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
        f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
    )
