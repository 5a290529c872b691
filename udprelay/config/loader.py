"""
Reads and checks the configuration.

Flags override the file, the file overrides the defaults. All mistakes are reported at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from stat import S_IROTH
from typing import Any

from attrs import evolve

from udprelay.config import values
from udprelay.config.checks import check
from udprelay.config.config import Config, console_room
from udprelay.config.ini import Entry, Section, read
from udprelay.config.machine_checks import Names, check_machine, target_names
from udprelay.config.options import SECTIONS, LogRules, kind_of
from udprelay.config.problems import ConfigError, Problem, has_secret, is_secret, quotable
from udprelay.config.report import ALL_ROOMS, At, Item, Report
from udprelay.relay.option import Option
from udprelay.relay.rules import Limits, ListenerRules, RelayRules, RoomRules

_FLAGS = {
    "interface": ("listener:main", "interface"),
    "port": ("listener:main", "port"),
    "room": ("listener:main", "room"),
    "log-format": ("log", "format"),
}
"""The options that flags set."""


LOOK_UP_TIMEOUT = 3.0
"""Seconds to wait for the names of targets."""


def load(
    path: str | None,
    flags: Mapping[str, str | None],
    console: bool = False,
    look_up: Callable[[Iterable[str], float], Names] = lambda names, timeout: {},
    try_fifo: bool = False,
) -> Config:
    """
    Return the configuration of a file and of flags, which override it.

    All that can never work is a mistake; what may work later is a warning.

    :param path: of the INI file, if there is one.
    :param flags: ``port``, ``interface``, ``room``, ``log-format``; None if not given.
    :param look_up: returns the addresses of host names, after a number of seconds at most.
    :param try_fifo: whether to open a log file that is a FIFO, to see whether it has a reader.
    :raises ConfigError: if there are mistakes.
    """
    sections, problems = _read_file(path) if path is not None else ({}, [])
    report = Report(path or "", sections, problems)
    found = {name: _read_section(name, section, report) for name, section in sections.items()}
    for flag, at in _FLAGS.items():
        text = flags.get(flag)
        if text is not None:
            option = SECTIONS[kind_of(at[0])][at[1]]
            _read_value(option, at, Entry(0, text), report, found.setdefault(at[0], {}), flag)
    rooms = dict(_named("room:", found))
    defaults = RoomRules(**rooms.pop("*", {}))
    log = LogRules(**found.get("log", {}))
    rules = RelayRules(
        **found.get("udprelay", {}),
        listeners={name: ListenerRules(**options) for name, options in _named("listener:", found)}
        or {"main": ListenerRules()},
        room_defaults=defaults,
        rooms={name: evolve(defaults, **options) for name, options in rooms.items()},
        limits=Limits(**found.get("limits", {})),
        log_payloads=log.payloads,
    )
    check(rules, console_room(rules) if console else "", report)
    names = look_up(target_names(rules), LOOK_UP_TIMEOUT)
    check_machine(rules, log, names, try_fifo, report)
    if report.problems:
        raise ConfigError(report.problems)
    has_keys = any(room.access_key for room in (defaults, *rules.rooms.values()))
    exposed = path if path and has_keys and Path(path).stat().st_mode & S_IROTH else ""
    warnings = tuple(str(one) for one in sorted(report.warnings, key=lambda one: one.line))
    return Config(rules, log, console, exposed, warnings)


def _read_file(path: str) -> tuple[dict[str, Section], list[Problem]]:
    try:
        text = Path(path).read_text("utf-8-sig")
    except OSError as error:
        return {}, [Problem(path or "--config", 0, "", f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError as error:
        return {}, [Problem(path, 0, "", f"is not UTF-8 text (byte {error.start})")]
    return read(text, path)


def _named(kind: str, found: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the options of all sections of a kind, with their names."""
    return (
        (section.removeprefix(kind), options)
        for section, options in found.items()
        if section.startswith(kind)
    )


def _read_section(name: str, section: Section, report: Report) -> dict[str, Any]:
    """Return the valid values of a section; report the others, and unknown names."""
    kind = kind_of(name)
    if kind not in SECTIONS:
        report.add(section.line, f"[{name}]", _unknown("section", name, SECTIONS))
        # The values in a section whose name is misspelt are checked as well.
        kind = next(iter(get_close_matches(name, SECTIONS, 1)), "")
    elif kind != name and name != ALL_ROOMS:
        try:
            values.room_name(name.partition(":")[2])
        except ValueError as error:
            report.add(section.line, f"[{name}]", f"the name {error}")
    options = SECTIONS.get(kind, {})
    found: dict[str, Any] = {}
    for option, entry in section.options.items():
        if option in options:
            _read_value(options[option], (name, option), entry, report, found)
        elif kind == kind_of(name):
            value = "" if is_secret(option) else f" = {quotable(entry.value)}"
            homes = [kind for kind in SECTIONS if option in SECTIONS[kind]]
            why = _unknown("option", option, options)
            if homes:
                why = f"unknown option here; it belongs in [{'] or ['.join(homes)}]"
            report.add(entry.line, f"[{name}] {option}{value}", why)
    return found


def _read_value(
    option: Option,
    at: At,
    entry: Entry,
    report: Report,
    found: dict[str, Any],
    flag: str = "",
) -> None:
    """Add the value of an option to ``found``; report it, or each wrong item of it."""
    read_text, is_list = values.reader(option), option.form in values.LISTS
    whole = Item(None, entry.value, entry.line, flag)
    items = []
    for item in _items(entry) if is_list else [whole]:
        try:
            items.append(evolve(item, value=read_text(item.text)))
        except ValueError as error:
            # The words of a line with a secret must not be quoted one by one.
            secret = has_secret(entry.value)
            report.invalid(at, whole if secret else item, str(error))
            if secret:
                break
    if is_list or items:
        report.given[at] = items or [whole]
        found[at[1]] = tuple(item.value for item in items) if is_list else items[0].value


def _items(entry: Entry) -> Iterator[Item]:
    for number, line in enumerate(entry.value.split("\n"), entry.line):
        for text in line.replace(",", " ").split():
            yield Item(None, text, number)


def _unknown(what: str, name: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(name, known, 1)
    return f"unknown {what}" + (
        f"; did you mean {near[0]}?" if near else f"; valid are {', '.join(known)}"
    )
