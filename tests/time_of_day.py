"""A reactor whose time of day jumps."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from twisted.internet import reactor

MINUTE = 60.0
HOUR = 60 * MINUTE
YEARS = 10 * 365 * 24 * HOUR
JUMPS = [-3 * MINUTE, 3 * MINUTE, -HOUR, HOUR, -YEARS, YEARS]

SetTimeOfDay = Callable[[float], None]
"""Sets the time of day, by seconds from the right time."""


@pytest.fixture
def set_time_of_day(monkeypatch: pytest.MonkeyPatch) -> SetTimeOfDay:
    """Return a function that sets the reactor's time of day."""

    def set_to(offset: float) -> None:
        monkeypatch.setattr(reactor, "seconds", lambda: time.time() + offset)

    return set_to


@pytest.fixture(params=JUMPS)
def jump(request: pytest.FixtureRequest) -> float:
    """A jump of the time of day, in seconds."""
    return float(request.param)
