"""A reactor whose time of day jumps."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from twisted.internet import reactor


@pytest.fixture
def set_time_of_day(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that sets the reactor's time of day, by seconds from the right time."""

    def set_to(offset: float) -> None:
        monkeypatch.setattr(reactor, "seconds", lambda: time.time() + offset)

    return set_to
