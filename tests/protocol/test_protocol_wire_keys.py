"""The valid and invalid values of each key of each CBOR body."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from protocol_wire import BODIES, CLASSES, decode, kind_of, with_body, with_cbor

from udprelay.protocol.wire import WireError
from udprelay.protocol.wire.header import MAX_CONTROL, MIN_HELLO

NAMES = list(BODIES)
EVERYTHING: list[Any] = [
    None,
    True,
    False,
    -1,
    1,
    2**64 - 1,
    "",
    "ann",
    "x" * 300,
    b"",
    b"x" * 8,
    b"x" * 16,
    b"x" * 32,
    b"x" * 300,
    [],
    [1],
    [1, 1],
    [True, True],
    [-1, -1],
    [[5, 1]],
    [[]],
    [{}],
    {},
    {"a": 1},
]
"""Values of each type and of each valid size."""

OPTIONAL = {
    ("HELLO", "p"),
    ("JOIN", "p b"),
    ("JOIN", "t q"),
    ("WELCOME", "y"),
    ("NICK", "b"),
    ("MEMBERS", "y"),
    ("MEMBERS", "s"),
}

ASKED = ["", "ann", "x" * 256, "ä" * 128]
NOT_ASKED = ["x" * 257, "ä" * 129]
NICKS = ["a", "x" * 64, "ä" * 32]
NOT_NICKS = ["", "x" * 65, "ä" * 33]
CODES = ["a", "room-full", "x" * 200]
NOT_CODES = ["", "x" * 201]
SENTENCES = ["", "Because.", "x" * 200, "ä" * 100]
NOT_SENTENCES = ["x" * 201, "ä" * 101]
U32 = [0, 1, 2**32 - 1]
NOT_U32 = [2**32]
U64 = [0, 2**64 - 1]
DURATIONS = [1, 2**32 - 1]
NOT_DURATIONS = [0, 2**32]
PAIRS = [[0, 0], [2**64 - 1, 2**64 - 1]]
OWNS = [1, 2**32 - 2]
NOT_OWNS = [0, 2**32 - 1]
SIXTEEN = [b"\0" * 16, b"\xff" * 16]
NOT_SIXTEEN = [b"", b"x" * 15, b"x" * 17]
MISSED = [[[1, 1]], [[1, 65_535], [2**32 - 2, 1]], [[2 * i, 1] for i in range(1, 33)]]
NOT_MISSED = [[], [[0, 1]], [[1, 0]], [[2, 1], [1, 1]], [[2 * i, 1] for i in range(1, 34)]]


def record(**changes: Any) -> list[Any]:
    names = ("number", "nick", "kind", "identity", "own", "badge")
    values = (3, "ann", 0, b"i" * 16, 7, b"b" * 16)
    return list((dict(zip(names, values, strict=True)) | changes).values())


GUEST = {"kind": 1, "identity": b"", "badge": b""}
MEMBERS = [
    [],
    [record()],
    [record(number=n, own=o) for n, o in zip(U32, (0, 1, 2**32 - 2), strict=True)],
    [record(nick=nick) for nick in NICKS],
    [record(badge=b"")],
    [record(**GUEST)],
    [record(**{**GUEST, "kind": 2})],
    [[i, "x", 1, b"", 0, b""] for i in range(64)],
]
NOT_MEMBERS = [
    *([record(number=number)] for number in (*NOT_U32, True, "1")),
    *([record(nick=nick)] for nick in (*NOT_NICKS, b"ann", 1)),
    *([record(kind=kind)] for kind in (3, -1, True, "0")),
    *([record(identity=identity)] for identity in (b"", b"i" * 15, "i" * 16)),
    *([record(own=own)] for own in (2**32 - 1, -1, False)),
    *([record(badge=badge)] for badge in (b"b" * 15, "b" * 16, None)),
    [record(kind=1)],
    [record(**{**GUEST, "badge": b"b" * 16})],
    [record()[:5]],
    [[*record(), 1]],
    [record(), []],
    [[i, "x", 1, b"", 0, b""] for i in range(65)],
]

BOUNDS: dict[tuple[str, str], tuple[list[Any], list[Any]]] = {
    ("HELLO", "r"): (["a", "A-b_c.9", "x" * 64], ["", "x" * 65, "a\u0308", "a b", "a\n", "a/b"]),
    ("HELLO", "v"): ([[1], [0, 255], list(range(16))], [[], [256], [-1], list(range(17))]),
    ("HELLO", "p"): ([bytes(200), bytes(1000)], ["x" * 200, list(bytes(200))]),
    ("CHALLENGE", "c"): ([b"c", b"c" * 64], [b"", b"c" * 65]),
    ("CHALLENGE", "s"): (SIXTEEN, NOT_SIXTEEN),
    ("JOIN", "c"): ([b"c", b"c" * 64], [b"", b"c" * 65]),
    ("JOIN", "r"): (["a", "x" * 64], ["", "x" * 65, "a\u0308", "a b"]),
    ("JOIN", "n"): (ASKED, NOT_ASKED),
    ("JOIN", "s"): (SIXTEEN, NOT_SIXTEEN),
    ("JOIN", "u"): ([OWNS, [7, 7]], [[1], [1, 1, 1], [0, 1], [1, 0], [1, 2**32 - 1]]),
    ("JOIN", "p"): ([b"p" * 32], [b"p" * 31, b"p" * 33, b""]),
    ("JOIN", "b"): (SIXTEEN, NOT_SIXTEEN),
    ("JOIN", "t"): ([b"t" * 8], [b"t" * 7, b"t" * 9, b""]),
    ("JOIN", "q"): (U64, []),
    ("WELCOME", "i"): ([b"i" * 8], [b"i" * 7, b"i" * 9]),
    ("WELCOME", "m"): (U32, NOT_U32),
    ("WELCOME", "t"): ([b"t" * 8], [b"t" * 7, b"t" * 9]),
    ("WELCOME", "q"): ([9, 2**64 - 1], [8, 0]),
    ("WELCOME", "f"): ([1, 10], [0, 11]),
    ("WELCOME", "n"): (NICKS, NOT_NICKS),
    ("WELCOME", "k"): (DURATIONS, NOT_DURATIONS),
    ("WELCOME", "x"): (DURATIONS, NOT_DURATIONS),
    ("WELCOME", "l"): ([256, 65_477], [255, 65_478]),
    ("WELCOME", "a"): (PAIRS, [[0], [0, 0, 0], [-1, 0]]),
    ("WELCOME", "u"): ([[1, 2**32 - 1]], [[1], [1, 1, 1], [0, 1], [1, 2**32]]),
    ("WELCOME", "d"): (U64, []),
    ("WELCOME", "w"): (MEMBERS, NOT_MEMBERS),
    ("WELCOME", "y"): (U32, NOT_U32),
    ("REFUSED", "c"): (CODES, NOT_CODES),
    ("REFUSED", "m"): (SENTENCES, NOT_SENTENCES),
    ("REFUSED", "a"): (U32, NOT_U32),
    ("NICK", "r"): (U32, NOT_U32),
    ("NICK", "n"): (ASKED, NOT_ASKED),
    ("NICK", "b"): (SIXTEEN, NOT_SIXTEEN),
    ("MISSED", "m"): (U32, NOT_U32),
    ("MISSED", "w"): (MISSED, NOT_MISSED),
    ("ENTRY join", "e"): ([], ["x" * 201]),
    ("ENTRY join", "n"): (NICKS, NOT_NICKS),
    ("ENTRY join", "k"): ([0], [1, 2, 3]),
    ("ENTRY join", "i"): (SIXTEEN, NOT_SIXTEEN),
    ("ENTRY join", "o"): ([0, 2**32 - 2], [2**32 - 1]),
    ("ENTRY join", "b"): ([b"", *SIXTEEN], [b"b", b"b" * 17]),
    ("ENTRY leave", "e"): ([], ["x" * 201]),
    ("ENTRY leave", "r"): (CODES, NOT_CODES),
    ("ENTRY nick", "e"): ([], ["x" * 201]),
    ("ENTRY nick", "n"): (NICKS, NOT_NICKS),
    ("ENTRY nick", "b"): ([b"", *SIXTEEN], [b"b", b"b" * 17]),
    ("NOTICE missed", "e"): ([], ["x" * 201]),
    ("NOTICE missed", "m"): (U32, NOT_U32),
    ("NOTICE missed", "w"): (MISSED, NOT_MISSED),
    ("NOTICE failed", "e"): ([], ["x" * 201]),
    ("NOTICE failed", "u"): (OWNS, NOT_OWNS),
    ("NOTICE failed", "c"): (CODES, NOT_CODES),
    ("MEMBERS", "f"): (U32, NOT_U32),
    ("MEMBERS", "q"): (U64, []),
    ("MEMBERS", "s"): (U64, []),
    ("MEMBERS", "w"): (MEMBERS, NOT_MEMBERS),
    ("MEMBERS", "y"): (U32, NOT_U32),
    ("BYE", "c"): (CODES, NOT_CODES),
    ("BYE", "m"): (SENTENCES, NOT_SENTENCES),
    ("BYE", "a"): (U32, NOT_U32),
    ("NICKED", "r"): (U32, NOT_U32),
    ("NICKED", "n"): (NICKS, NOT_NICKS),
    ("NICKED not", "r"): (U32, NOT_U32),
    ("NICKED not", "c"): (CODES, NOT_CODES),
    ("NICKED not", "m"): (SENTENCES, NOT_SENTENCES),
}
"""Values at the bounds and just beyond, by datagram and key."""

each_datagram = pytest.mark.parametrize("name", NAMES)
each_key = pytest.mark.parametrize(("name", "key"), BOUNDS)


def refused(name: str, body: dict[str, Any]) -> str:
    """Return why a datagram with ``body`` is refused."""
    with pytest.raises(WireError) as caught:
        decode(with_body(name, body))
    return str(caught.value)


def without(name: str, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in BODIES[name].items() if key not in keys}


def test_every_key_has_bounds() -> None:
    assert set(BOUNDS) == {(name, key) for name in NAMES for key in BODIES[name]}


@each_datagram
def test_each_datagram_is_decoded_to_its_class(name: str) -> None:
    assert type(decode(with_body(name, BODIES[name]))) is CLASSES[kind_of(name)]


@each_datagram
def test_unknown_keys_are_ignored(name: str) -> None:
    unknown = {"z": [{"a": [1, b""]}], "zz": None, "zy": "later", "zx": True}
    assert decode(with_body(name, BODIES[name] | unknown)) == decode(with_body(name, BODIES[name]))


@each_datagram
def test_the_order_of_keys_does_not_matter(name: str) -> None:
    body = dict(reversed(BODIES[name].items()))
    assert decode(with_body(name, body)) == decode(with_body(name, BODIES[name]))


@each_key
def test_only_optional_keys_may_be_missing(name: str, key: str) -> None:
    body = without(name, key)
    if (name, key) in OPTIONAL:
        # HELLO needs its minimum size.
        decode(with_body(name, body | ({"z": bytes(200)} if name == "HELLO" else {})))
    else:
        assert refused(name, body)


@pytest.mark.parametrize("pair", ["p b", "t q"])
def test_optional_pairs_of_keys_may_be_missing(pair: str) -> None:
    assert decode(with_body("JOIN", without("JOIN", *pair.split())))


@each_key
def test_values_at_the_bounds_are_accepted(name: str, key: str) -> None:
    for value in BOUNDS[name, key][0]:
        body = BODIES[name] | {key: value}
        if len(with_body(name, body)) <= MAX_CONTROL:
            assert decode(with_body(name, body)), value


@each_key
def test_values_beyond_the_bounds_are_refused(name: str, key: str) -> None:
    for value in BOUNDS[name, key][1]:
        assert refused(name, BODIES[name] | {key: value}), value


def wrong_types(value: Any) -> Iterator[Any]:
    """Yield values whose type, or the type of whose first item, is wrong."""
    for other in EVERYTHING:
        if type(other) is not type(value):
            yield other
    if type(value) is list and value:
        for other in wrong_types(value[0]):
            yield [other, *copy.deepcopy(value[1:])]


@each_key
def test_values_of_a_wrong_type_are_refused(name: str, key: str) -> None:
    for value in wrong_types(BODIES[name][key]):
        assert refused(name, BODIES[name] | {key: value}), value


@each_key
def test_other_values_raise_only_wire_error(name: str, key: str) -> None:
    for value in EVERYTHING:
        try:
            decode(with_body(name, BODIES[name] | {key: value}))
        except WireError:
            continue


@each_datagram
@pytest.mark.parametrize(
    "body", [b"", b"\x80", b"\xa0\x00", b"\xa1", b"\xff", b"\xd9\xd9\xf7\xa0"]
)
def test_other_bodies_than_maps_are_refused(name: str, body: bytes) -> None:
    with pytest.raises(WireError):
        decode(with_cbor(name, body + bytes(MIN_HELLO) if name == "HELLO" else body))


@each_datagram
def test_an_empty_map_is_refused(name: str) -> None:
    assert refused(name, {})


@each_datagram
def test_the_maximum_size_of_control_datagrams(name: str) -> None:
    bare = len(with_body(name, BODIES[name] | {"z": bytes(256)})) - 256
    assert decode(with_body(name, BODIES[name] | {"z": bytes(MAX_CONTROL - bare)}))
    assert "more than" in refused(name, BODIES[name] | {"z": bytes(MAX_CONTROL - bare + 1)})


def test_the_minimum_size_of_hello() -> None:
    bare = len(with_body("HELLO", BODIES["HELLO"] | {"p": bytes(100)})) - 100
    assert decode(with_body("HELLO", BODIES["HELLO"] | {"p": bytes(MIN_HELLO - bare)}))
    assert "less than" in refused("HELLO", BODIES["HELLO"] | {"p": bytes(MIN_HELLO - bare - 1)})


@pytest.mark.parametrize("keys", ["p", "b", "t", "q"])
def test_half_an_optional_pair_is_refused(keys: str) -> None:
    assert "without" in refused("JOIN", without("JOIN", keys))


def test_the_first_sequence_is_at_most_the_next_one() -> None:
    assert "beyond" in refused("WELCOME", BODIES["WELCOME"] | {"f": 11})


@pytest.mark.parametrize(
    "body",
    [
        {"r": 1},
        {"r": 1, "c": "nick-taken"},
        {"r": 1, "m": "This nick is in use."},
        {"r": 1, "n": "ann", "c": "nick-taken"},
        {"r": 1, "n": "ann", "m": "This nick is in use."},
        {"r": 1, "n": "ann", "c": "nick-taken", "m": "This nick is in use."},
    ],
)
def test_nicked_has_a_nick_or_a_code_and_a_sentence(body: dict[str, Any]) -> None:
    assert "neither" in refused("NICKED", body)


def test_errors_do_not_quote_values() -> None:
    reason = refused("JOIN", BODIES["JOIN"] | {"s": b"the resume secret"})
    assert reason == "key 's': not a byte string of a valid length"
