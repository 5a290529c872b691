"""Fixtures that load configuration files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from udprelay.config import Config, ConfigError, load

FLAGS: dict[str, str | None] = {"port": None, "interface": None, "room": None, "log-format": None}
ACCESS_KEY = f"{'5a' * 16}:{'c3' * 32}"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Write a configuration file; return its path."""

    def write(text: str) -> str:
        path = tmp_path / "relay.ini"
        path.write_text(text, "utf-8")
        return str(path)

    return write


@pytest.fixture
def loaded(write: Callable[[str], str]) -> Callable[..., Config]:
    """Load a configuration file with flags."""

    def loaded(text: str, console: bool = False, **flags: str) -> Config:
        given = {name.replace("_", "-"): value for name, value in flags.items()}
        return load(write(text), FLAGS | given, console)

    return loaded


@pytest.fixture
def mistakes(write: Callable[[str], str]) -> Callable[..., list[str]]:
    """Load an invalid file; return the messages, with ``relay.ini`` for its path."""

    def mistakes(text: str, **flags: str) -> list[str]:
        path = write(text)
        with pytest.raises(ConfigError) as error:
            load(path, FLAGS | flags)
        return str(error.value).replace(path, "relay.ini").split("\n")

    return mistakes
