"""The measure of memory: it finds growth wherever it is."""

from __future__ import annotations

import pytest

from reachable import footprint, growth, module_state
from udprelay.relay import admission
from udprelay.relay.hub import Hub
from udprelay.relay.rules import RelayRules


class Slots:
    __slots__ = ("table",)

    def __init__(self) -> None:
        self.table: dict[int, object] = {}

    def method(self) -> None:
        """Do nothing."""


def test_growth_behind_slots_is_found() -> None:
    slots = Slots()
    before = footprint([slots])
    slots.table.update(dict.fromkeys(range(1000), 0))
    grown = growth(before, footprint([slots]))
    assert (grown.objects, grown.size > 8000) == (0, True)


def test_growth_of_objects_is_found_behind_a_method() -> None:
    slots = Slots()
    before = footprint(slots.method)
    slots.table.update({n: bytes([n]) * 2 for n in range(100)})
    assert growth(before, footprint(slots.method)).objects == 100


@pytest.mark.parametrize("owner", [admission, admission.Admission], ids=["module", "class"])
def test_growth_in_modules_and_classes_is_found(
    owner: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = footprint(*module_state())
    monkeypatch.setattr(owner, "leak", [bytes([n]) * 2 for n in range(100)], raising=False)
    assert growth(before, footprint(*module_state())).objects == 101


def test_two_new_hubs_have_the_same_footprint() -> None:
    hubs = [Hub(RelayRules(), bytes(32), lambda endpoint: False, 0.0) for _ in range(2)]
    assert footprint(hubs[0]) == footprint(hubs[1])
