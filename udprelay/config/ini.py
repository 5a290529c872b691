"""Parses INI text: every value has its line, and all mistakes are found at once."""

from __future__ import annotations

import re

from attrs import define, field

from udprelay.config.problems import Problem, quotable

_HEADING = re.compile(r"\[([^\[\]]+)\]")
_OPTION = re.compile(r"(?P<name>[^\[=:\s][^=:]*?)\s*[=:]")
_COMMENT = re.compile(r"(?:^|\s)[#;]")


@define
class Entry:
    """
    The value of an option and its line.

    :ivar value: has a line break for each in the file, so that parts of it have lines, too.
    """

    line: int
    value: str


@define
class Section:
    """The options of a section and the line of its heading."""

    line: int
    options: dict[str, Entry] = field(factory=dict)


def read(text: str, file: str) -> tuple[dict[str, Section], list[Problem]]:
    """Return the sections of an INI text and the mistakes in its syntax."""
    sections: dict[str, Section] = {}
    problems: list[Problem] = []
    name, entry, indent = "", None, 0
    for number, line in enumerate(text.split("\n"), 1):
        content = _COMMENT.split(line, maxsplit=1)[0].strip()
        if not content:
            continue
        before, indent = indent, len(line) - len(line.lstrip())
        if entry is not None and indent > before:
            entry.value += "\n" * (number - entry.line - entry.value.count("\n")) + content
            indent = before
            continue
        entry = None
        if heading := _HEADING.fullmatch(content):
            name = heading[1]
            if name in sections:
                why = f"duplicate section (first on line {sections[name].line})"
                problems.append(Problem(file, number, f"[{name}]", why))
            sections.setdefault(name, Section(number))
        elif not sections:
            why = "no [section] before this line"
            problems.append(Problem(file, number, repr(quotable(line)), why))
        elif option := _OPTION.match(content):
            options, key = sections[name].options, option["name"].lower()
            if key in options:
                why = f"duplicate option (first on line {options[key].line})"
                problems.append(Problem(file, number, f"[{name}] {key}", why))
            entry = options[key] = Entry(number, content[option.end() :].strip())
        else:
            why = "neither a [section] nor 'option = value'"
            problems.append(Problem(file, number, repr(quotable(content)), why))
    return sections, problems
