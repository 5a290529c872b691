"""Parses INI text: every value has its line, and all mistakes are found at once."""

from __future__ import annotations

import re
from configparser import ConfigParser, ParsingError

from attrs import frozen

from udprelay.config.problems import Problem, quotable

_SECTION = re.compile(r"\[(?P<name>.+)\]")
_OPTION = re.compile(r"(?P<name>[^=:\s][^=:]*?)\s*[=:]")
_COMMENT = re.compile(r"(?:^|\s)[#;]")


@frozen
class Entry:
    """The value of an option and its line."""

    line: int
    value: str


@frozen
class Section:
    """The options of a section and the line of its heading."""

    line: int
    options: dict[str, Entry]


def read(text: str, file: str) -> tuple[dict[str, Section], list[Problem]]:
    """Return the sections of an INI text and the mistakes in its syntax."""
    lines, problems = text.split("\n"), []
    sections: dict[str, int] = {}
    options: dict[tuple[str, str], int] = {}
    section, in_option, indent = None, False, 0
    for number, line in enumerate(lines, 1):
        uncommented = _COMMENT.split(line, maxsplit=1)[0]
        content = uncommented.strip()
        if not content:
            continue
        lines[number - 1] = uncommented
        if in_option and _indent(line) > indent:
            continue
        indent = _indent(line)
        if heading := _SECTION.match(content):
            section, in_option = heading["name"], False
            if section in sections:
                why = f"duplicate section (first on line {sections[section]})"
                problems.append(Problem(file, number, f"[{section}]", why))
            sections.setdefault(section, number)
        elif section is None:
            why = "no [section] before this line"
            problems.append(Problem(file, number, repr(quotable(line)), why))
            lines[number - 1] = ""
        elif option := _OPTION.match(content):
            name, in_option = option["name"].lower(), True
            if (section, name) in options:
                why = f"duplicate option (first on line {options[section, name]})"
                problems.append(Problem(file, number, f"[{section}] {name}", why))
            options[section, name] = number
    parser = ConfigParser(interpolation=None, strict=False, default_section="")
    problems += _parse(parser, lines, file)
    return {
        name: Section(
            sections.get(name, 0),
            {
                option: Entry(options.get((name, option), 0), value)
                for option, value in parser.items(name)
                if option
            },
        )
        for name in parser.sections()
    }, problems


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _parse(parser: ConfigParser, lines: list[str], file: str) -> list[Problem]:
    try:
        parser.read_string("\n".join(lines), file)
    except ParsingError as error:
        why = "neither a [section] nor 'option = value'"
        wrong = {n: quotable(lines[n - 1].strip()) for n, _ in error.errors}
        return [Problem(file, n, repr(line), why) for n, line in wrong.items()]
    return []
