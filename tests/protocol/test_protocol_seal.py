"""Sealed payloads; ``tests/vectors/keys.json`` has examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.seal import PRIVATE, RELIABLE, SEAL_OVERHEAD, UNRELIABLE, Seal, SealError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "keys.json").read_text())["seals"]

KEY, ADA, BOB = b"k" * 32, b"a" * 16, b"b" * 16
SEALED_RELIABLE, RESUBMITTED = 3, 16

each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])


def of(vector: dict[str, Any]) -> tuple[Seal, bytes, bytes, tuple[int, int, int], bytes]:
    """Return the seal of a vector, payload, sealed payload, place and receiver."""
    key, identity, receiver, payload, sealed = (
        bytes.fromhex(vector[name])
        for name in ("content_key", "identity", "receiver", "payload", "sealed")
    )
    place = vector["stream"], vector["own"], vector["flags"]
    return Seal(key, identity, vector["room"]), payload, sealed, place, receiver


@each_vector
def test_payload_is_sealed_as_specified(vector: dict[str, Any]) -> None:
    seal, payload, sealed, place, receiver = of(vector)
    assert seal.seal(*place, payload, receiver) == sealed


@each_vector
def test_sealed_payload_is_opened(vector: dict[str, Any]) -> None:
    seal, payload, sealed, place, receiver = of(vector)
    assert seal.open(*place, sealed, receiver) == payload


@each_vector
def test_seal_is_chacha20_poly1305(vector: dict[str, Any]) -> None:
    key, nonce, payload, associated, sealed = (
        bytes.fromhex(vector[name])
        for name in ("sealing_key", "nonce", "payload", "associated", "sealed")
    )
    assert ChaCha20Poly1305(key).encrypt(nonce, payload, associated) == sealed


@given(st.binary(max_size=1200), st.integers(0, 2), st.integers(1, 2**32 - 1))
def test_any_payload_is_opened_as_it_was_sealed(payload: bytes, channel: int, own: int) -> None:
    seal = Seal(KEY, ADA, "lobby")
    sealed = seal.seal(channel, own, SEALED_RELIABLE, payload)
    assert len(sealed) == len(payload) + SEAL_OVERHEAD
    assert seal.open(channel, own, SEALED_RELIABLE, sealed) == payload


def test_resubmitted_payload_opens_like_the_original() -> None:
    seal = Seal(KEY, ADA, "lobby")
    sealed = seal.seal(RELIABLE, 1, SEALED_RELIABLE, b"hello")
    assert seal.open(RELIABLE, 1, SEALED_RELIABLE | RESUBMITTED, sealed) == b"hello"


@pytest.mark.parametrize(
    ("key", "identity", "room", "channel", "own", "flags", "receiver"),
    [
        (b"K" * 32, ADA, "lobby", PRIVATE, 1, 3, BOB),
        (KEY, BOB, "lobby", PRIVATE, 1, 3, BOB),
        (KEY, ADA, "Lobby", PRIVATE, 1, 3, BOB),
        (KEY, ADA, "lobby", RELIABLE, 1, 3, BOB),
        (KEY, ADA, "lobby", UNRELIABLE, 1, 3, BOB),
        (KEY, ADA, "lobby", PRIVATE, 2, 3, BOB),
        (KEY, ADA, "lobby", PRIVATE, 1, 7, BOB),
        (KEY, ADA, "lobby", PRIVATE, 1, 3, ADA),
        (KEY, ADA, "lobby", PRIVATE, 1, 3, b""),
    ],
)
def test_payload_opens_only_in_its_place(
    key: bytes, identity: bytes, room: str, channel: int, own: int, flags: int, receiver: bytes
) -> None:
    sealed = Seal(KEY, ADA, "lobby").seal(PRIVATE, 1, 3, b"hello", BOB)
    with pytest.raises(SealError):
        Seal(key, identity, room).open(channel, own, flags, sealed, receiver)


@given(st.binary(max_size=40))
def test_unsealed_payload_does_not_open(payload: bytes) -> None:
    with pytest.raises(SealError):
        Seal(KEY, ADA, "lobby").open(RELIABLE, 1, SEALED_RELIABLE, payload)


@given(st.integers(0, (5 + SEAL_OVERHEAD) * 8 - 1))
def test_payload_with_a_changed_bit_does_not_open(bit: int) -> None:
    seal = Seal(KEY, ADA, "lobby")
    sealed = bytearray(seal.seal(RELIABLE, 1, SEALED_RELIABLE, b"hello"))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError):
        seal.open(RELIABLE, 1, SEALED_RELIABLE, bytes(sealed))


def test_keys_are_not_in_the_representation() -> None:
    assert KEY.decode() not in repr(Seal(KEY, ADA, "lobby"))
