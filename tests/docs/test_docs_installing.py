"""Nobody is told to install the program of others that is called udprelay on PyPI."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import pytest
from docs_sources import ROOT

NAME = "udprelay-twisted"
OF_OTHERS = re.compile(
    r"pip3? install( -\S+)* [\"']?udprelay(?!-twisted|[\w/])|^\s*[\"']?udprelay(\[|[<>=~]=)", re.M
)
PLACES = [
    "README.rst",
    "CONTRIBUTING.rst",
    "setup.cfg",
    "pyproject.toml",
    ".ci/run",
    *("bench", "docs", "etc", "fuzz", "newsfragments", "tests", "udprelay"),
]


def setup() -> ConfigParser:
    parsed = ConfigParser(interpolation=None)
    parsed.read(ROOT / "setup.cfg")
    return parsed


def test_the_distribution_has_a_name_of_its_own() -> None:
    assert setup()["metadata"]["name"] == NAME


@pytest.mark.parametrize("place", [place for place in PLACES if (ROOT / place).exists()])
def test_nothing_installs_the_program_of_others(place: str) -> None:
    top = ROOT / place
    suffixes = {"", ".cfg", ".ini", ".py", ".rst", ".service", ".socket", ".toml"}
    files = [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]
    found = {
        f"{path.relative_to(ROOT)}: {match[0].strip()}"
        for path in files
        if path.suffix in suffixes and path != Path(__file__)
        for match in OF_OTHERS.finditer(path.read_text("utf-8", "replace"))
    }
    assert found == set()


@pytest.mark.parametrize("text", ["pip install udprelay", "pip install -U 'udprelay[x]'"])
def test_the_check_finds_what_it_looks_for(text: str) -> None:
    assert OF_OTHERS.search(text)
    assert not OF_OTHERS.search(text.replace("udprelay", NAME))
