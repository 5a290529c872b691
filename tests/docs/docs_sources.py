"""Parts of the documentation, for tests that compare it with the code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.rst"
PAGES = sorted({README, ROOT / "CONTRIBUTING.rst", *DOCS.glob("*.rst")})
REFERENCE = ROOT / "etc" / "udprelay.ini"

TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")


def text(page: Path) -> str:
    return page.read_text("utf-8")


def _indented(page: Path, introduction: str) -> list[str]:
    blocks = re.findall(rf"(?m)^{introduction}\n\n((?:(?: +.*)?\n)+)", text(page))
    return [textwrap.dedent(block).strip("\n") + "\n" for block in blocks]


def code_blocks(page: Path, language: str) -> list[str]:
    return _indented(page, rf"\.\. code-block:: {language}")


def literal_blocks(page: Path) -> list[str]:
    return _indented(page, r"(?:[^.\n].*)?::")


def section(page: Path, title: str) -> str:
    """Return the text between a heading and the next one of any level."""
    parts = re.split(r"(?m)^(\S.*)\n(?:-+|=+|~+)\n", text(page))
    headings = dict(zip(parts[1::2], parts[2::2], strict=True))
    return headings[title]


def rows(part: str) -> list[list[str]]:
    """Return the rows of the simple tables in a text, as cells."""
    found: list[list[str]] = []
    columns: list[slice] = []
    for line in part.splitlines():
        if re.fullmatch(r"=+(  =+)+", line):
            starts = [bar.start() for bar in re.finditer("=+", line)]
            columns = [slice(a, b) for a, b in zip(starts, [*starts[1:], None], strict=True)]
        elif not line:
            columns = []
        elif columns:
            cells = [line[column].strip() for column in columns]
            if cells[0]:
                found.append(cells)
            else:
                found[-1] = [f"{a} {b}".strip() for a, b in zip(found[-1], cells, strict=True)]
    return found


def names(cell: str) -> list[str]:
    """Return the texts in double backquotes."""
    return re.findall("``(.+?)``", cell)


@contextmanager
def relay(*flags: str, cwd: Path) -> Iterator[tuple[int, Iterator[dict[str, Any]]]]:
    """Run a relay on a free port; yield its port and its later events."""
    command = (*TWISTD, "-n", "--pidfile=", "udprelay", "-p", "0", "--log-format", "json")
    with subprocess.Popen((*command, *flags), cwd=cwd, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            events = map(json.loads, process.stdout)
            yield wait_for("listener.opened", events)["port"], events
        finally:
            process.terminate()


def wait_for(event: str, events: Iterator[dict[str, Any]]) -> dict[str, Any]:
    return next(found for found in events if found["event"] == event)
