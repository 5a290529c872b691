"""A dict of bounded size."""

from __future__ import annotations

from udprelay.relay.bounded_dict import BoundedDict


def test_only_the_last_items_are_kept() -> None:
    kept: BoundedDict[int, str] = BoundedDict(1024)
    for number in range(2000):
        kept[number] = str(number)
    assert (len(kept), 975 in kept, kept[976]) == (1024, False, "976")


def test_the_last_value_of_a_key_counts() -> None:
    kept: BoundedDict[str, int] = BoundedDict(2)
    kept["anna"] = 1
    kept["anna"] = 2
    assert kept == {"anna": 2}


def test_a_key_that_is_set_again_is_the_newest() -> None:
    kept: BoundedDict[str, int] = BoundedDict(2)
    for name in ("anna", "bert", "anna", "cleo"):
        kept[name] = 0
    assert list(kept) == ["anna", "cleo"]
