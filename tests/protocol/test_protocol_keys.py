"""Identities and keys; ``tests/vectors/keys.json`` has examples."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol import keys
from udprelay.protocol.keys import PassphraseError, RoomKeys

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "keys.json").read_text())

PASSPHRASE, SALT = "correct horse battery staple", bytes(range(16, 32))


def vectors(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", VECTORS[kind])


def plain(vector: dict[str, str], *text: str) -> dict[str, Any]:
    """Return the values of a vector: ``text`` as it is, the others as bytes."""
    return {n: v if n in text else bytes.fromhex(v) for n, v in vector.items()}


@vectors("identities")
def test_identity_follows_from_the_resume_secret(vector: dict[str, str]) -> None:
    given = plain(vector)
    assert keys.identity(given["secret"]) == given["identity"]


@vectors("room_keys")
def test_keys_follow_from_passphrase_and_salt(vector: dict[str, str]) -> None:
    given = plain(vector, "passphrase", "configured")
    derived = keys.derive(given["passphrase"], given["salt"])
    assert derived == RoomKeys(given["access_key"], given["content_key"])


def test_keys_are_those_of_scrypt_and_hkdf() -> None:
    master = hashlib.scrypt(
        PASSPHRASE.encode(), salt=SALT, n=2**15, r=8, p=1, dklen=64, maxmem=2**26
    )
    assert keys.derive(PASSPHRASE, SALT) == RoomKeys(
        *(
            hmac.digest(master, info + b"\x01", "sha256")
            for info in (b"udprelay 1 access", b"udprelay 1 content")
        )
    )


def test_keys_depend_on_the_normalised_passphrase() -> None:
    assert keys.derive("Cafe\u0301\u00a0noir\r\n", SALT) == keys.derive("Café noir", SALT)


def test_keys_are_not_in_the_representation() -> None:
    assert repr(RoomKeys(b"secret", b"secret")) == "RoomKeys()"


@vectors("passphrases")
def test_passphrase_is_normalised(vector: dict[str, str]) -> None:
    assert keys.prepare_passphrase(vector["typed"]) == vector["prepared"]


@pytest.mark.parametrize("text", [*VECTORS["not_passphrases"], "\ud800"])
def test_invalid_passphrase_is_refused(text: str) -> None:
    with pytest.raises(PassphraseError):
        keys.prepare_passphrase(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\n", "the passphrase is empty"),
        ("hunter2\t", "character 8 of the passphrase is not allowed"),
    ],
)
def test_error_does_not_quote_the_passphrase(text: str, why: str) -> None:
    with pytest.raises(PassphraseError) as caught:
        keys.prepare_passphrase(text)
    assert str(caught.value) == why
    # A context with the passphrase would be in the traceback.
    assert caught.value.__context__ is None


@given(st.text(max_size=50))
def test_normalising_twice_changes_nothing(text: str) -> None:
    try:
        prepared = keys.prepare_passphrase(text)
    except PassphraseError:
        return
    assert keys.prepare_passphrase(prepared) == prepared


@vectors("proofs")
def test_proof_covers_cookie_room_nick_nonce_and_identity(vector: dict[str, str]) -> None:
    given = plain(vector, "room", "nick")
    expected = given.pop("proof")
    assert keys.proof(**given) == expected


@vectors("badges")
def test_badge_covers_room_identity_and_nick(vector: dict[str, str]) -> None:
    given = plain(vector, "room", "nick")
    expected = given.pop("badge")
    assert keys.badge(**given) == expected


def test_proof_depends_on_where_its_parts_end() -> None:
    def proof(room: str, nick: str) -> bytes:
        return keys.proof(bytes(32), b"cookie", room, nick, bytes(8), bytes(16))

    assert proof("ab", "c") != proof("a", "bc")


def test_proofs_for_different_values_differ() -> None:
    made = {
        keys.proof(bytes(32), cookie, room, nick, nonce, identity)
        for cookie in (b"1", b"2")
        for room in ("a", "b")
        for nick in ("c", "d")
        for nonce in (b"3" * 8, b"4" * 8)
        for identity in (b"5" * 16, b"6" * 16)
    }
    assert len(made) == 32
