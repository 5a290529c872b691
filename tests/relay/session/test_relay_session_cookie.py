"""Cookies and path tokens: each is valid for one address, one purpose and a short time."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.endpoint import Endpoint, endpoint
from udprelay.relay.session.cookie import (
    BUCKET,
    COOKIE,
    Cookies,
    UsedCookies,
    path_token,
    proves_path,
)

SECRET = bytes(range(32))
ANNA = endpoint("192.0.2.1", 5000)
START = 40 * BUCKET
MADE_FOR = ("main", ANNA, "lobby")
NONCE = b"12345678"


def made(now: float = START, secret: bytes = SECRET) -> bytes:
    return Cookies(secret).make(*MADE_FOR, NONCE, now)


def test_a_cookie_has_28_bytes_and_begins_with_its_bucket_and_its_nonce() -> None:
    assert len(made()) == COOKIE == 28
    assert made()[:12] == bytes([0, 0, 0, 40]) + NONCE


@given(st.floats(0, 1e9), st.floats(0, 90))
def test_a_cookie_is_valid_in_its_bucket_and_the_next(now: float, later: float) -> None:
    cookies = Cookies(SECRET)
    valid = (now + later) // BUCKET - now // BUCKET <= 1
    assert cookies.valid(cookies.make(*MADE_FOR, NONCE, now), *MADE_FOR, now + later) is valid


def test_a_cookie_is_valid_for_30_to_60_seconds() -> None:
    first, last = made(START), made(START + 29.999)
    cookies = Cookies(SECRET)
    assert cookies.valid(first, *MADE_FOR, START + 59.999)
    assert not cookies.valid(first, *MADE_FOR, START + 60)
    assert cookies.valid(last, *MADE_FOR, START + 59.999)
    assert not cookies.valid(last, *MADE_FOR, START + 60)


def test_a_cookie_of_a_later_bucket_is_invalid() -> None:
    assert not Cookies(SECRET).valid(made(START + BUCKET), *MADE_FOR, START)


@pytest.mark.parametrize(
    "other",
    [
        ("other", ANNA, "lobby"),
        ("main", endpoint("192.0.2.2", 5000), "lobby"),
        ("main", endpoint("192.0.2.1", 5001), "lobby"),
        ("main", endpoint("2001:db8::1", 5000), "lobby"),
        ("main", ANNA, "lobb"),
        ("main", ANNA, "lobby2"),
    ],
    ids=["listener", "address", "port", "family", "prefix of the room", "longer room"],
)
def test_a_cookie_is_invalid_for_another_purpose(other: tuple[str, Endpoint, str]) -> None:
    assert not Cookies(SECRET).valid(made(), *other, START)


def test_a_cookie_is_invalid_for_another_scope_id() -> None:
    on_one, on_another = endpoint("fe80::1%2", 5000), endpoint("fe80::1%3", 5000)
    cookie = Cookies(SECRET).make("main", on_one, "lobby", NONCE, START)
    assert Cookies(SECRET).valid(cookie, "main", on_one, "lobby", START)
    assert not Cookies(SECRET).valid(cookie, "main", on_another, "lobby", START)


def test_different_fields_never_give_the_same_cookie() -> None:
    cookies = Cookies(SECRET)
    names = ["a", "ab", "b", "192.0.2.1:5000", "a192.0.2.1:5000"]
    made_for = [(listener, ANNA, room) for listener, room in permutations(names, 2)]
    assert len({cookies.make(*fields, NONCE, START) for fields in made_for}) == len(made_for)


@given(st.integers(0, COOKIE * 8 - 1))
def test_a_cookie_with_a_changed_bit_is_invalid(bit: int) -> None:
    forged = (int.from_bytes(made(), "big") ^ 1 << bit).to_bytes(COOKIE, "big")
    assert not Cookies(SECRET).valid(forged, *MADE_FOR, START)


@pytest.mark.parametrize("length", [0, 3, 4, 19])
def test_a_cookie_of_another_length_is_invalid(length: int) -> None:
    assert not Cookies(SECRET).valid(made()[:length], *MADE_FOR, START)
    assert not Cookies(SECRET).valid(made() + bytes(length + 1), *MADE_FOR, START)


def test_a_cookie_is_invalid_in_another_run() -> None:
    assert not Cookies(SECRET).valid(made(secret=b"another"), *MADE_FOR, START)


def test_a_cookie_is_invalid_when_the_bucket_number_wraps() -> None:
    later = START + 2**32 * BUCKET
    assert made(later)[:4] == made()[:4]
    assert not Cookies(SECRET).valid(made(), *MADE_FOR, later)


def test_a_cookie_of_bucket_0_is_valid() -> None:
    assert Cookies(SECRET).valid(made(0.0), *MADE_FOR, 1.0)


def test_the_repr_shows_no_secret() -> None:
    assert "x01" not in repr(Cookies(SECRET))


def test_a_path_token_is_valid_in_its_bucket_and_the_next() -> None:
    made_for = SECRET, b"session1", ANNA, "main"
    token = path_token(*made_for, 600.0)
    assert len(token) == 8
    assert token == path_token(*made_for, 659.9)
    valid = [proves_path(token, *made_for, now) for now in (599.9, 600.0, 719.9, 720.0)]
    assert valid == [False, True, True, False]


@pytest.mark.parametrize(
    "other",
    [
        (b"another", b"session1", ANNA, "main"),
        (SECRET, b"session2", ANNA, "main"),
        (SECRET, b"session1", endpoint("192.0.2.1", 5001), "main"),
        (SECRET, b"session1", ANNA, "other"),
    ],
    ids=["secret", "session", "address", "listener"],
)
def test_a_path_token_is_invalid_for_another_purpose(
    other: tuple[bytes, bytes, Endpoint, str],
) -> None:
    token = path_token(SECRET, b"session1", ANNA, "main", START)
    assert path_token(*other, START) != token
    assert not proves_path(token, *other, START)


def test_used_cookies_are_forgotten_when_they_have_expired() -> None:
    used = UsedCookies()
    used.add(b"first", b"anna", START)
    used.add(b"second", b"bert", START + 1)
    used.expire(START + 2 * BUCKET)
    assert (used.admits(b"first", b"carl", False), used.admits(b"second", b"carl", False)) == (
        True,
        False,
    )
    used.expire(START + 2 * BUCKET + 1)
    assert len(used) == 0
