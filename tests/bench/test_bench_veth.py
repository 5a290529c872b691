"""The way out of the machine, as root."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from bench import veth

WHY_NOT = veth.missing()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no way out: {WHY_NOT}")


def namespace(entering: list[str]) -> Path:
    return Path(entering[1].removeprefix("--net="))


def test_nothing_is_left_after_a_failure() -> None:
    found: list[Path] = []
    with suppress(ZeroDivisionError), veth.opened(veth.Veth(False, True)) as names:
        found += [namespace(names.relay), namespace(names.load)]
        assert all(place.exists() for place in found)
        raise ZeroDivisionError
    assert len(found) == 2
    assert not any(place.exists() for place in found)


def test_the_relay_has_a_way_to_the_members_that_needs_no_answer() -> None:
    with veth.opened(veth.Veth(True, False)) as names:
        command = [*names.relay, "ip", "route", "get", "10.98.0.7"]
        way = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"dev {veth.DEVICE} src {veth.RELAY}" in way
