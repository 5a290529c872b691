"""Options in the text of the documentation, and in the help of flags, are as declared."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docs_reference import show
from docs_sources import DOCS, PAGES, names, rows, section, text

from udprelay.config import values
from udprelay.config.options import SECTIONS
from udprelay.relay.option import Form, Option
from udprelay.tap import Options

# Others with ``=`` are attributes of the Python API.
PAGES = [page for page in PAGES if page.name != "client.rst"]

OPTIONS: dict[str, list[Option]] = defaultdict(list)
for of_section in SECTIONS.values():
    for one, option in of_section.items():
        OPTIONS[one].append(option)


def read(option: Option, value: str) -> Any:
    if option.form in values.LISTS:
        return tuple(map(values.reader(option), value.replace(",", " ").split()))
    return values.reader(option)(value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_with_values_in_the_text_are_valid(page: Path) -> None:
    for name, value in re.findall(r"``([a-z_]+) = ([^`.]+)``", text(page)):
        assert name in OPTIONS, name
        if value not in ("SALT:KEY", "option"):
            for option in OPTIONS[name]:
                read(option, value)


def cited_defaults(page: Path) -> Iterator[tuple[str, str]]:
    """Yield ``option`` (VALUE), and the rows of constants with (``option``)."""
    for name, value in re.findall(r"``([a-z_]+)``\s+\(([^`()]+)\)", text(page)):
        if name in OPTIONS:
            yield name, value
    if page.name == "protocol.rst":
        for row in rows(section(page, "Constants")):
            cited = [name for name in names(row[-1]) if name in OPTIONS]
            if row[3] == "default" and f"(``{''.join(cited)}``)" in row[-1]:
                number = re.match(r"[\d,.]+( [KMG]iB| s\b|)", row[1])
                assert number, row
                yield cited[0], number[0].replace(",", "").replace(" s", "s")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_defaults_in_the_text_are_those_of_the_declarations(page: Path) -> None:
    for name, value in cited_defaults(page):
        assert read(OPTIONS[name][0], value) in {one.default for one in OPTIONS[name]}, name


def test_defaults_are_found_in_the_text() -> None:
    found = {name for page in PAGES for name, _ in cited_defaults(page)}
    assert found >= {"idle_timeout", "receive_buffer", "history", "kick_time", "max_members"}


@pytest.mark.parametrize(
    ("flag", "kind", "name"),
    [
        ("port", "listener:NAME", "port"),
        ("interface", "listener:NAME", "interface"),
        ("room", "listener:NAME", "room"),
        ("log-format", "log", "format"),
    ],
)
def test_flags_have_the_defaults_of_their_options(flag: str, kind: str, name: str) -> None:
    option = SECTIONS[kind][name]
    default = show(option.form, option.default)
    (help_text,) = (parameter[3] for parameter in Options.optParameters if parameter[0] == flag)
    assert str(help_text).endswith(f"[default: {default}]")
    described = text(DOCS / "relay.rst").partition(f"--{flag} ")[2].partition(".. option::")[0]
    assert default in described


def test_bounds_include_the_defaults() -> None:
    for options in SECTIONS.values():
        for name, option in options.items():
            if option.form not in (Form.ACCESS_KEY, *values.LISTS):
                assert read(option, show(option.form, option.default)) == option.default, name
