"""Reads an INI file so that every value knows its line and every mistake is found at once."""

from __future__ import annotations

import re
from configparser import ConfigParser, ParsingError

from attrs import frozen

from udprelay.config.quoting import quotable
from udprelay.protocol.text import printable

_SECTION = re.compile(r"\[(?P<name>.+)\]")
_OPTION = re.compile(r"(?P<name>[^=:\s][^=:]*?)\s*[=:]")
_COMMENT = re.compile(r"(?:^|\s)[#;]")


@frozen
class Problem:
    """
    One thing that is wrong with a configuration.

    :param file: empty for a command-line flag.
    :param line: counted from 1; 0 if it is about the whole file, or none.
    :param what: section, option and value, or the flag, as far as there are any.
    :param why: what is wrong and what would be valid.
    """

    file: str
    line: int
    what: str
    why: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return printable(": ".join(part for part in (where, self.what, self.why) if part))


@frozen
class Entry:
    """The value of one option and the line on which it stands."""

    line: int
    value: str


@frozen
class Section:
    """The options of one section and the line of its heading."""

    line: int
    options: dict[str, Entry]


def read(text: str, file: str) -> tuple[dict[str, Section], list[Problem]]:
    """Return the sections of an INI text and what is wrong with its form."""
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
                why = f"the section stands already on line {sections[section]}"
                problems.append(Problem(file, number, f"[{section}]", why))
            sections.setdefault(section, number)
        elif section is None:
            why = "stands before the first [section]"
            problems.append(Problem(file, number, repr(quotable(line)), why))
            lines[number - 1] = ""
        elif option := _OPTION.match(content):
            name, in_option = option["name"].lower(), True
            if (section, name) in options:
                why = f"the option stands already on line {options[section, name]}"
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
        why = "is neither a [section] nor 'option = value'"
        wrong = {n: quotable(lines[n - 1].strip()) for n, _ in error.errors}
        return [Problem(file, n, repr(line), why) for n, line in wrong.items()]
    return []
