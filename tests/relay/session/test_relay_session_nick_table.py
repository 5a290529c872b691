"""No two members of a room have nicks that look alike."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from udprelay.relay.session.nick_table import NickTable


def test_a_nick_is_given_once() -> None:
    nicks = NickTable()
    assert nicks.claim("anna", 1)
    assert not nicks.claim("anna", 2)
    assert (nicks.holder("anna"), nicks.holder("bert")) == (1, None)


def test_nor_are_nicks_that_compare_as_equal() -> None:
    nicks = NickTable()
    assert nicks.claim("Anna Z", 1)
    assert not nicks.claim("aNNA z", 2)
    assert nicks.holder("ANNA Z") == 1


def test_a_member_may_write_its_nick_otherwise() -> None:
    nicks = NickTable()
    assert nicks.claim("anna", 1)
    assert nicks.claim("Anna", 1)
    assert nicks.holder("anna") == 1


def test_a_new_nick_frees_the_old_one() -> None:
    nicks = NickTable()
    nicks.claim("anna", 1)
    assert nicks.claim("hanna", 1)
    assert nicks.claim("anna", 2)


def test_who_does_not_get_a_new_nick_keeps_the_old_one() -> None:
    nicks = NickTable()
    nicks.claim("anna", 1)
    nicks.claim("bert", 2)
    assert not nicks.claim("Bert", 1)
    assert nicks.holder("anna") == 1


def test_who_leaves_frees_its_nick() -> None:
    nicks = NickTable()
    nicks.claim("anna", 1)
    nicks.release(1)
    nicks.release(1)
    assert nicks.holder("anna") is None


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["a", "A", "b", "B", "c", ""]))))
def test_everybody_has_one_nick_and_each_nick_one_holder(actions: list[tuple[int, str]]) -> None:
    nicks, model = NickTable(), dict[int, str]()
    for number, nick in actions:
        if not nick:
            nicks.release(number)
            model.pop(number, None)
            continue
        free = nick.lower() not in (n for m, n in model.items() if m != number)
        assert nicks.claim(nick, number) is free
        if free:
            model[number] = nick.lower()
        holders = {n: m for m, n in model.items()}
        assert all(nicks.holder(form) == holders.get(form) for form in "abc")
