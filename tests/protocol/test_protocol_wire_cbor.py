"""Of CBOR only maps that are small and plain are taken, and nothing in them is interpreted."""

from __future__ import annotations

import tracemalloc
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udprelay.protocol.wire import WireError
from udprelay.protocol.wire.cbor import MOST_ITEMS, MOST_LEVELS, decode, encode

MAP_OF_A = bytes.fromhex("a1 61 61")
"""A map with the key "a": its value is to follow."""

keys = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=2)
scalars = (
    st.integers(-(2**64), 2**64 - 1)
    | st.booleans()
    | st.none()
    | st.binary(max_size=20)
    | st.text(st.characters(codec="utf-8"), max_size=20)
)
values = scalars
for _ in range(MOST_LEVELS - 1):
    values = scalars | st.lists(values, max_size=5) | st.dictionaries(keys, values, max_size=5)
bodies = st.dictionaries(keys, values, max_size=10)


def refused(data: bytes) -> str:
    """Return why ``data`` is refused."""
    with pytest.raises(WireError) as caught:
        decode(data)
    return str(caught.value)


def nested(levels: int, innermost: Any = 0) -> bytes:
    """A map, and lists in it, so that there are ``levels``."""
    for _ in range(levels - 1):
        innermost = [innermost]
    return cbor2.dumps({"a": innermost})


@given(bodies)
def test_a_map_is_decoded_to_the_same(body: dict[str, Any]) -> None:
    assert decode(encode(body)) == body


@given(bodies)
def test_the_order_of_keys_changes_nothing_that_is_encoded(body: dict[str, Any]) -> None:
    assert encode(dict(reversed(body.items()))) == encode(body)


def test_keys_are_in_the_order_of_their_bytes() -> None:
    assert encode({"b": 1, "aa": 2, "a": 3}) == bytes.fromhex("a3 6161 03 6162 01 626161 02")


@pytest.mark.parametrize("number", [0, 23, 24, 255, 256, 65_535, 65_536, 2**32, 2**64 - 1])
def test_longer_encodings_than_needed_are_read(number: int) -> None:
    assert decode(MAP_OF_A + b"\x1b" + number.to_bytes(8, "big")) == {"a": number}


@settings(max_examples=1000)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_map_or_refused(data: bytes) -> None:
    _a_map_or_refused(data)


@settings(max_examples=1000)
@given(st.binary(max_size=60))
def test_any_bytes_in_a_map_are_a_map_or_refused(data: bytes) -> None:
    _a_map_or_refused(MAP_OF_A + data)


def _a_map_or_refused(data: bytes) -> None:
    try:
        body = decode(data)
    except WireError:
        return
    assert type(body) is dict
    assert decode(encode(body)) == body


@given(bodies, st.data())
def test_a_map_that_is_cut_short_is_refused(body: dict[str, Any], data: st.DataObject) -> None:
    encoded = encode(body)
    assert refused(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@given(bodies, st.binary(min_size=1, max_size=5))
def test_bytes_behind_the_map_are_refused(body: dict[str, Any], more: bytes) -> None:
    assert "bytes behind the map" in refused(encode(body) + more)


@pytest.mark.parametrize("value", [[], 1, "a", b"a", None, True, -1])
def test_what_is_no_map_is_refused(value: Any) -> None:
    assert "not a map" in refused(cbor2.dumps(value))


@pytest.mark.parametrize("tag", [0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 256, 258, 55_799])
def test_a_tag_is_refused_before_it_means_anything(tag: int) -> None:
    inner = cbor2.dumps([1, 2])
    assert "a tag" in refused(MAP_OF_A + cbor2.dumps(cbor2.CBORTag(tag, 0))[:-1] + inner)


def test_a_map_with_a_tag_is_no_map() -> None:
    assert "not a map" in refused(bytes.fromhex("d9d9f7 a0"))


@pytest.mark.parametrize(
    "value",
    [
        "f90000",
        "fa00000000",
        "fb0000000000000000",
        "f97e00",
        "f7",
        "e0",
        "f3",
        "f8ff",
        "f814",
        "fc",
    ],
)
def test_a_number_with_a_point_or_an_unknown_simple_value_is_refused(value: str) -> None:
    assert "floating-point" in refused(MAP_OF_A + bytes.fromhex(value))


@pytest.mark.parametrize(
    "value", ["5f4161ff", "7f6161ff", "9f01ff", "bf616101ff", "ff", "1c", "1f"]
)
def test_what_has_no_definite_length_is_refused(value: str) -> None:
    assert refused(MAP_OF_A + bytes.fromhex(value))


def test_a_map_of_indefinite_length_is_refused() -> None:
    assert "indefinite" in refused(bytes.fromhex("bf 6161 01 ff"))


@pytest.mark.parametrize("key", ["abc", "", "A", "ä", "1", "a ", "a\0", 1, b"a", None, True])
def test_a_key_that_is_not_one_or_two_letters_is_refused(key: Any) -> None:
    assert "a key" in refused(cbor2.dumps({key: 1}))


@pytest.mark.parametrize("key", ["80", "a0", "f6", "01", "4161", "ff"])
def test_a_key_that_is_no_text_is_refused_at_any_level(key: str) -> None:
    assert refused(MAP_OF_A + b"\xa1" + bytes.fromhex(key) + b"\x01")


@pytest.mark.parametrize(
    "data", ["a2 6161 01 6161 01", "a2 6161 01 780161 02", "a1 6161 a2 6162 01 6162 02"]
)
def test_a_key_that_comes_twice_is_refused(data: str) -> None:
    assert "Duplicate" in refused(bytes.fromhex(data))


@pytest.mark.parametrize("text", ["61ff", "62c080", "63eda080", "61c3", "64f4908080"])
def test_text_that_is_no_utf_8_is_refused(text: str) -> None:
    assert refused(MAP_OF_A + bytes.fromhex(text))


@pytest.mark.parametrize("innermost", [0, [], {}, "text"])
def test_four_levels_are_enough_and_five_too_many(innermost: Any) -> None:
    levels = MOST_LEVELS - (type(innermost) in (list, dict))
    assert decode(nested(levels, innermost))
    assert "levels" in refused(nested(levels + 1, innermost))


@pytest.mark.parametrize("bomb", [b"\x81" * 1200, b"\xa1\x61a" * 400, b"\xd8\x1c\x81" * 400])
def test_deep_nesting_costs_nothing(bomb: bytes) -> None:
    assert refused(MAP_OF_A + bomb)


def test_all_items_count_and_512_are_enough() -> None:
    # The map, its key, the list and what is in it.
    assert decode(cbor2.dumps({"a": [0] * (MOST_ITEMS - 3)}))
    assert "items" in refused(cbor2.dumps({"a": [0] * (MOST_ITEMS - 2)}))


def test_items_are_counted_over_all_lists() -> None:
    lists = [[0] * 100] * 5
    assert decode(cbor2.dumps({"a": lists}))
    assert "items" in refused(cbor2.dumps({"a": lists, "b": [0] * 4}))


@pytest.mark.parametrize("kind", [0x40, 0x60, 0x80, 0xA0])
@pytest.mark.parametrize("length", [2**16 - 1, 2**31, 2**63, 2**64 - 1])
def test_a_length_that_is_only_claimed_costs_nothing(kind: int, length: int) -> None:
    claim = bytes((kind | 27,)) + length.to_bytes(8, "big")
    tracemalloc.start()
    try:
        assert refused(MAP_OF_A + claim)
        assert refused(MAP_OF_A + claim + bytes(1000))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
