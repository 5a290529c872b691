"""The reference configuration, and its examples and errors in the documentation."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from docs_reference import reference
from docs_sources import DOCS, PAGES, REFERENCE, TWISTD, code_blocks, literal_blocks, text

from udprelay.config import Config, ConfigError, load
from udprelay.config.ini import read
from udprelay.config.options import SECTIONS, kind_of
from udprelay.relay.option import Form

MISTAKEN = """\
[udprelay]
max_member = 10
[listener:main]
port = 70000
romm = games
"""


def in_reference() -> dict[str, dict[str, str]]:
    sections, problems = read(text(REFERENCE), REFERENCE.name)
    assert problems == []
    return {
        name: {option: entry.value for option, entry in section.options.items()}
        for name, section in sections.items()
    }


def test_reference_is_the_default() -> None:
    assert load(str(REFERENCE), {}) == Config()


def test_reference_has_all_sections() -> None:
    assert list(in_reference()) == ["udprelay", "listener:main", "room:*", "limits", "log"]
    assert set(map(kind_of, in_reference())) == set(SECTIONS)


@pytest.mark.parametrize("section", in_reference())
def test_reference_has_all_options_in_order(section: str) -> None:
    assert list(in_reference()[section]) == list(SECTIONS[kind_of(section)])


def test_reference_is_made_of_the_declarations() -> None:
    """If not, run tests/docs/docs_reference.py."""
    assert text(REFERENCE) == reference()


@pytest.mark.parametrize("kind", SECTIONS)
def test_help_names_all_choices_of_an_option(kind: str) -> None:
    for option in SECTIONS[kind].values():
        if option.form is Form.CHOICE:
            for choice in type(option.default):
                assert re.search(rf"\b{choice.value}\b", option.help), choice


def test_examples_in_the_reference_are_valid(tmp_path: Path) -> None:
    examples = re.sub(r"(?m)^#(?=\[|\w)", "", text(REFERENCE))
    (tmp_path / "examples.ini").write_text(examples)
    assert "lobby" in load(str(tmp_path / "examples.ini"), {}).rules.rooms


def test_reference_passes_the_check(tmp_path: Path) -> None:
    command = (*TWISTD, "-n", "udprelay", "--config", str(REFERENCE), "--check")
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert checked.stdout == Config().summary() + "\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_are_valid(page: Path, tmp_path: Path) -> None:
    for number, example in enumerate(code_blocks(page, "ini")):
        if not example.startswith("[Service]"):
            file = tmp_path / f"{number}.ini"
            file.write_text(example)
            load(str(file), {})


def test_page_shows_the_summary_of_the_defaults() -> None:
    assert Config().summary() + "\n" in literal_blocks(DOCS / "configuration.rst")


def test_page_shows_the_errors_of_its_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("udprelay.ini").write_text(MISTAKEN)
    with pytest.raises(ConfigError) as caught:
        load("udprelay.ini", {})
    shown = [f"udprelay: {problem}" for problem in caught.value.problems]
    (block,) = (b for b in literal_blocks(DOCS / "configuration.rst") if "--check" in b)
    assert block.splitlines()[1:] == shown
