from __future__ import annotations

import getpass

import pytest

from udprelay.client.login import login_nick


@pytest.mark.parametrize(
    ("login", "nick"),
    [
        ("ada", "ada"),
        (" Ada  Lovelace", "Ada Lovelace"),
        ("console", "somebody"),
        ("guest-7", "somebody"),
        ("x" * 33, "somebody"),
        ("\x07", "somebody"),
    ],
)
def test_the_login_name_is_the_nick_if_it_can_be(
    monkeypatch: pytest.MonkeyPatch, login: str, nick: str
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: login)
    assert login_nick() == nick


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_whoever_has_no_login_name_is_somebody(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def nobody() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert login_nick() == "somebody"
