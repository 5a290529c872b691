"""The access key of the configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.keys import PassphraseError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "keys.json").read_text())
SALT, KEY = "00112233445566778899aabbccddeeff", "5a" * 32


@pytest.mark.parametrize("vector", VECTORS["room_keys"])
def test_is_derived_from_a_passphrase(vector: dict[str, str]) -> None:
    made = AccessKey.make(vector["passphrase"], bytes.fromhex(vector["salt"]))
    assert str(made) == vector["configured"]
    assert made.key.hex() == vector["access_key"]


def test_is_not_derived_from_an_invalid_passphrase() -> None:
    with pytest.raises(PassphraseError):
        AccessKey.make("\n", bytes(16))


@pytest.mark.parametrize("text", [f"{SALT}:{KEY}", f"{SALT}:{KEY}".upper()])
def test_is_parsed_from_hexadecimal(text: str) -> None:
    assert AccessKey.parse(text) == AccessKey(bytes.fromhex(SALT), b"\x5a" * 32)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32))
def test_is_parsed_as_it_was_formatted(salt: bytes, key: bytes) -> None:
    assert AccessKey.parse(str(AccessKey(salt, key))) == AccessKey(salt, key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        SALT,
        f"{SALT}{KEY}",
        f"{SALT}:{KEY}0",
        f"{SALT}:{KEY}\n",
        f"{SALT}: {KEY}",
        f"{SALT}0:{KEY[1:]}",
        f"{KEY}:{SALT}",
        f"{SALT}:{KEY[:-1]}g",
        f"{SALT}:{KEY[:-1]}\u0665",
        "hunter2",
    ],
)
def test_invalid_text_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="must be SALT:KEY") as caught:
        AccessKey.parse(text)
    assert str(caught.value) == (
        "must be SALT:KEY, 32 and 64 hexadecimal digits, as udprelay-client --access-key prints it"
    )


def test_is_not_in_the_representation() -> None:
    assert repr(AccessKey(b"salt", b"key")) == "AccessKey()"
