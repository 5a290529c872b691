"""Durations come from the monotonic clock, everywhere in the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import udprelay

PACKAGE = Path(udprelay.__file__).parent
TIME_STAMPS = {"client/formats.py", "line_writer.py", "logs/lines.py", "logs/log.py"}
"""Modules that show the time of day to people."""
_DELAYS = {"callLater", "seconds"}
_TAKE_A_CLOCK = {"addTimeout", "deferLater"}
_TIME_OF_DAY = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"}
_WITHOUT_CLOCK = {"TimerService", "cooperate"}


def misuses(source: str, time_stamps: bool = False) -> Iterator[str]:
    """Yield the expressions that measure a duration with the time of day."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value, attr) if attr in _DELAYS and _is_reactor(value):
                yield ast.unparse(node)
            case ast.Call(ast.Name(name) | ast.Attribute(attr=name), arguments) if (
                name in _TAKE_A_CLOCK and any(map(_is_reactor, arguments))
            ):
                yield ast.unparse(node)
            case ast.Assign([ast.Attribute(attr="clock")], value) if _is_reactor(value):
                yield ast.unparse(node)
            case ast.ImportFrom("time", names=names) if not time_stamps:
                yield from (f"time.{one.name}" for one in names if one.name in ("time", "time_ns"))
            case ast.Attribute() if not time_stamps and ast.unparse(node) in _TIME_OF_DAY:
                yield ast.unparse(node)
            case ast.Name(name) | ast.alias(name) if name in _WITHOUT_CLOCK:
                yield name
    if source.count("LoopingCall(") > source.count(".clock = "):
        yield "LoopingCall without clock"


def _is_reactor(expression: ast.expr) -> bool:
    return ast.unparse(expression).rpartition(".")[2].lstrip("_") == "reactor"


def test_no_module_measures_with_the_time_of_day() -> None:
    sources = {str(path.relative_to(PACKAGE)): path.read_text() for path in PACKAGE.rglob("*.py")}
    found = {name: list(misuses(text, name in TIME_STAMPS)) for name, text in sources.items()}
    assert {name: here for name, here in found.items() if here} == {}


@pytest.mark.parametrize(
    "source",
    [
        "self._reactor.callLater(1, f)",
        "now = reactor.seconds()",
        "joined.addTimeout(3, self.reactor)",
        "task.deferLater(reactor, 0)",
        "loop.clock = self._reactor",
        "import time\nnow = time.time()",
        "from time import time",
        "datetime.now()",
        "from twisted.application.internet import TimerService",
        "self._statistics = LoopingCall(f)",
    ],
)
def test_each_misuse_is_found(source: str) -> None:
    assert list(misuses(source))
