"""Only small, plain CBOR maps are accepted, and nothing in them is interpreted."""

from __future__ import annotations

import tracemalloc
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.wire import WireError, decode_from_client
from udprelay.protocol.wire.cbor import MAX_ITEMS, MAX_LEVELS, decode, encode
from udprelay.protocol.wire.from_client import Missed
from udprelay.protocol.wire.header import Type, header
from udprelay.protocol.wire.ranges import MAX_MISSED_RANGES

MAP_OF_A = bytes.fromhex("a1 61 61")
"""A map with the key "a" and without its value."""

keys = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=2)
scalars = (
    st.integers(-(2**64), 2**64 - 1)
    | st.booleans()
    | st.none()
    | st.binary(max_size=20)
    | st.text(st.characters(codec="utf-8"), max_size=20)
)
values: st.SearchStrategy[Any] = scalars
for _ in range(MAX_LEVELS - 1):
    values = scalars | st.lists(values, max_size=5) | st.dictionaries(keys, values, max_size=5)
bodies = st.dictionaries(keys, values, max_size=10)


def refused(data: bytes) -> str:
    """Return why ``data`` is refused."""
    with pytest.raises(WireError) as caught:
        decode(data)
    return str(caught.value)


def items(value: Any) -> int:
    """Return the number of items in a value."""
    if isinstance(value, dict):
        return 1 + sum(1 + items(one) for one in value.values())
    return 1 + sum(map(items, value)) if isinstance(value, list) else 1


def nested(levels: int, innermost: Any = 0) -> bytes:
    """Return a map with nested lists that has ``levels``."""
    for _ in range(levels - 1):
        innermost = [innermost]
    return cbor2.dumps({"a": innermost})


@given(bodies)
def test_a_map_is_decoded_as_it_was_encoded(body: dict[str, Any]) -> None:
    assert decode(encode(body)) == body


@given(bodies)
def test_the_encoding_does_not_depend_on_the_order_of_keys(body: dict[str, Any]) -> None:
    assert encode(dict(reversed(body.items()))) == encode(body)


def test_keys_are_encoded_in_the_order_of_their_bytes() -> None:
    assert encode({"b": 1, "aa": 2, "a": 3}) == bytes.fromhex("a3 6161 03 6162 01 626161 02")


@pytest.mark.parametrize("number", [0, 23, 24, 255, 256, 65_535, 65_536, 2**32, 2**64 - 1])
def test_longer_encodings_than_necessary_are_accepted(number: int) -> None:
    assert decode(MAP_OF_A + b"\x1b" + number.to_bytes(8, "big")) == {"a": number}


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    _decode_or_refuse(data)


@given(st.binary(max_size=60))
def test_any_bytes_in_a_map_are_decoded_or_refused(data: bytes) -> None:
    _decode_or_refuse(MAP_OF_A + data)


def _decode_or_refuse(data: bytes) -> None:
    try:
        body = decode(data)
    except WireError:
        return
    assert type(body) is dict
    assert decode(encode(body)) == body


@given(bodies, st.data())
def test_a_truncated_map_is_refused(body: dict[str, Any], data: st.DataObject) -> None:
    encoded = encode(body)
    assert refused(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@given(bodies, st.binary(min_size=1, max_size=5))
def test_bytes_behind_the_map_are_refused(body: dict[str, Any], more: bytes) -> None:
    assert "bytes behind the map" in refused(encode(body) + more)


@pytest.mark.parametrize("value", [[], 1, "a", b"a", None, True, -1])
def test_other_items_than_maps_are_refused(value: Any) -> None:
    assert "not a map" in refused(cbor2.dumps(value))


@pytest.mark.parametrize("tag", [0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 256, 258, 55_799])
def test_a_tag_is_refused_uninterpreted(tag: int) -> None:
    inner = cbor2.dumps([1, 2])
    assert "a tag" in refused(MAP_OF_A + cbor2.dumps(cbor2.CBORTag(tag, 0))[:-1] + inner)


def test_a_tagged_map_is_refused() -> None:
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
def test_floating_point_numbers_and_unknown_simple_values_are_refused(value: str) -> None:
    assert "floating-point" in refused(MAP_OF_A + bytes.fromhex(value))


@pytest.mark.parametrize(
    "value", ["5f4161ff", "7f6161ff", "9f01ff", "bf616101ff", "ff", "1c", "1f"]
)
def test_an_item_without_a_definite_length_is_refused(value: str) -> None:
    assert refused(MAP_OF_A + bytes.fromhex(value))


def test_a_map_of_indefinite_length_is_refused() -> None:
    assert "definite length" in refused(bytes.fromhex("bf 6161 01 ff"))


@pytest.mark.parametrize("key", ["abc", "", "A", "ä", "1", "a ", "a\0", 1, b"a", None, True])
def test_a_key_that_is_not_one_or_two_letters_is_refused(key: Any) -> None:
    assert "a key" in refused(cbor2.dumps({key: 1}))


@pytest.mark.parametrize("key", ["80", "a0", "f6", "01", "4161", "ff"])
def test_a_key_that_is_not_a_text_is_refused_at_any_level(key: str) -> None:
    assert refused(MAP_OF_A + b"\xa1" + bytes.fromhex(key) + b"\x01")


@pytest.mark.parametrize(
    "data", ["a2 6161 01 6161 01", "a2 6161 01 780161 02", "a1 6161 a2 6162 01 6162 02"]
)
def test_a_duplicate_key_is_refused(data: str) -> None:
    assert "Duplicate" in refused(bytes.fromhex(data))


@pytest.mark.parametrize("text", ["61ff", "62c080", "63eda080", "61c3", "64f4908080"])
def test_text_that_is_not_utf_8_is_refused(text: str) -> None:
    assert refused(MAP_OF_A + bytes.fromhex(text))


@pytest.mark.parametrize("innermost", [0, [], {}, "text"])
def test_at_most_four_levels_are_accepted(innermost: Any) -> None:
    levels = MAX_LEVELS - (type(innermost) in (list, dict))
    assert decode(nested(levels, innermost))
    assert "levels" in refused(nested(levels + 1, innermost))


@pytest.mark.parametrize("bomb", [b"\x81" * 1200, b"\xa1\x61a" * 400, b"\xd8\x1c\x81" * 400])
def test_deep_nesting_is_refused(bomb: bytes) -> None:
    assert refused(MAP_OF_A + bomb)


def test_at_most_512_items_are_accepted() -> None:
    # The map, its key, the list and its items.
    assert decode(cbor2.dumps({"a": [0] * (MAX_ITEMS - 3)}))
    assert "items" in refused(cbor2.dumps({"a": [0] * (MAX_ITEMS - 2)}))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Type.HELLO, {"r": "lobby", "v": [1], "p": bytes(200)}),
        (Type.NICK, {"r": 1, "n": "anna"}),
        (Type.MISSED, {"m": 1, "w": [[1, 1]]}),
    ],
)
def test_at_most_128_items_are_accepted_from_clients(kind: Type, body: dict[str, Any]) -> None:
    def with_items(count: int) -> bytes:
        missing = count - items(body) - 2
        return header(kind, bytes(8)) + cbor2.dumps({**body, "zz": [0] * missing})

    assert decode_from_client(with_items(128))
    with pytest.raises(WireError, match="128 items"):
        decode_from_client(with_items(129))


def test_what_clients_send_has_fewer_items() -> None:
    ranges = tuple((10 * number + 1, 1) for number in range(MAX_MISSED_RANGES))
    missed = Missed(bytes(8), 1, ranges, bytes(8))
    assert decode_from_client(missed.encode()) == missed


def test_items_are_counted_over_all_lists() -> None:
    lists = [[0] * 100] * 5
    assert decode(cbor2.dumps({"a": lists}))
    assert "items" in refused(cbor2.dumps({"a": lists, "b": [0] * 4}))


@pytest.mark.parametrize("kind", [0x40, 0x60, 0x80, 0xA0])
@pytest.mark.parametrize("length", [2**16 - 1, 2**31, 2**63, 2**64 - 1])
def test_a_claimed_length_allocates_no_memory(kind: int, length: int) -> None:
    claim = bytes((kind | 27,)) + length.to_bytes(8, "big")
    tracemalloc.start()
    try:
        assert refused(MAP_OF_A + claim)
        assert refused(MAP_OF_A + claim + bytes(1000))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
