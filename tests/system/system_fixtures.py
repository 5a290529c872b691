"""Fixtures of tests with processes: ``pytest_plugins = ("system_fixtures",)``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from system_processes import Start

if TYPE_CHECKING:
    from installation import Installation


@pytest.fixture
def start(installation: Installation, tmp_path: Path) -> Iterator[Start]:
    """Starts programs, and ends them after the test."""
    with ExitStack() as stack:
        yield Start(installation, tmp_path, stack)


@pytest.fixture(params=["127.0.0.1", "::1"], ids=["IPv4", "IPv6"])
def host(request: pytest.FixtureRequest) -> str:
    """The loopback address of each IP version."""
    return str(request.param)
