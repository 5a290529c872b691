"""Which nicks are valid, and which are equal; ``tests/vectors/nicks.json`` has examples."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from precis_i18n import get_profile

from udprelay.protocol.nick import NickError, comparable, is_reserved, normalise
from udprelay.protocol.text import printable

PRESERVED, MAPPED = get_profile("NicknameCasePreserved"), get_profile("NicknameCaseMapped")
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "nicks.json").read_text())

# Characters that compose, or that change in lower case or next to others.
tricky = st.text(
    "aA\u00df\u0130\u01c5\u03a3\u03c2\u03c3\u212b\u2135\ufb01 \u00a0\u3000lL\u00b7"
    "\u0300\u0301\u0345\u00a8\u00b4\u094d\u200c\u200d\u1112\u1161\u1e922"
)
texts = st.one_of(st.text(), st.text(st.characters(exclude_categories=())), tricky)
each_nick = pytest.mark.parametrize("vector", VECTORS["nicks"])


@each_nick
def test_text_is_normalised_to_a_nick(vector: dict[str, Any]) -> None:
    assert normalise(vector["text"]) == vector["nick"]


@given(texts)
def test_a_nick_is_what_the_profile_says(text: str) -> None:
    try:
        nick = PRESERVED.enforce(text)
        form = MAPPED.enforce(nick)
    except UnicodeEncodeError:
        nick = None
    if nick is None or len(nick) > 32 or len(nick.encode()) > 64 or len(text) > 128:
        with pytest.raises(NickError):
            normalise(text)
    else:
        assert (normalise(text), comparable(nick)) == (nick, form)


@each_nick
def test_nick_has_a_comparable_form(vector: dict[str, Any]) -> None:
    assert comparable(vector["nick"]) == vector["comparable"]


@each_nick
def test_some_nicks_are_reserved(vector: dict[str, Any]) -> None:
    assert is_reserved(vector["nick"]) == vector["reserved"]


@pytest.mark.parametrize("vector", VECTORS["not_nicks"], ids=lambda vector: vector["why"])
def test_invalid_nick_is_refused(vector: dict[str, str]) -> None:
    with pytest.raises(NickError):
        normalise(vector["text"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" ", "The nick is empty."),
        ("x" * 33, "A nick has at most 32 characters, and 64 bytes in UTF-8."),
        ("a\x07", "The character U+0007 is not allowed in a nick, or not at this position."),
        ("\ud83d", "The character U+D83D is not allowed in a nick, or not at this position."),
    ],
)
def test_error_is_a_sentence(text: str, why: str) -> None:
    with pytest.raises(NickError) as caught:
        normalise(text)
    assert str(caught.value) == why


def test_text_of_more_than_128_characters_is_refused_whatever_remains_of_it() -> None:
    assert normalise("x" + " " * 127) == "x"
    with pytest.raises(NickError, match="at most 32 characters"):
        normalise("x" + " " * 128)


@given(texts)
def test_any_text_is_normalised_or_refused(text: str) -> None:
    with suppress(NickError):
        made = normalise(text)
        assert 1 <= len(made) <= 32
        assert len(made.encode()) <= 64


@given(texts)
def test_normalising_twice_changes_nothing(text: str) -> None:
    with suppress(NickError):
        made = normalise(text)
        assert normalise(made) == made


@given(texts)
def test_every_nick_has_a_stable_comparable_form(text: str) -> None:
    with suppress(NickError):
        made = normalise(text)
        assert comparable(comparable(made)) == comparable(made)


@given(texts)
def test_nick_is_printable(text: str) -> None:
    with suppress(NickError):
        made = normalise(text)
        assert printable(made) == made


@given(st.text("abcXYZ0189-_.", min_size=1, max_size=32))
def test_case_and_width_do_not_distinguish_nicks(text: str) -> None:
    wide = "".join(chr(ord(character) + 0xFEE0) for character in text)
    assert comparable(normalise(wide)) == comparable(normalise(text.upper()))
    assert normalise(wide) == text
