"""The nicks of a room: no two members have nicks that compare equal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from udprelay.relay.session.room_log import NickTable


def test_a_nick_has_one_holder() -> None:
    nicks = NickTable()
    nicks.claim("anna", 1)
    nicks.claim("anna", 2)
    assert (nicks.holder("anna"), nicks.holder("bert")) == (1, None)


def test_nicks_that_compare_equal_have_one_holder() -> None:
    nicks = NickTable()
    nicks.claim("Anna Z", 1)
    nicks.claim("aNNA z", 2)
    assert nicks.holder("ANNA Z") == 1


def test_a_member_may_change_the_spelling_of_its_nick() -> None:
    nicks = NickTable()
    nicks.claim("anna", 1)
    nicks.claim("Anna", 1)
    assert nicks.holder("anna") == 1


def test_a_new_nick_frees_the_old_one() -> None:
    nicks = NickTable()
    nicks.claim("anna", 1)
    nicks.claim("hanna", 1)
    nicks.claim("anna", 2)
    assert (nicks.holder("hanna"), nicks.holder("anna")) == (1, 2)


def test_a_member_that_claims_a_nick_in_use_keeps_its_own() -> None:
    nicks = NickTable()
    nicks.claim("anna", 1)
    nicks.claim("bert", 2)
    nicks.claim("Bert", 1)
    assert (nicks.holder("anna"), nicks.holder("bert")) == (1, 2)


def test_a_released_nick_has_no_holder() -> None:
    nicks = NickTable()
    nicks.claim("anna", 1)
    nicks.release(1)
    nicks.release(1)
    assert nicks.holder("anna") is None


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["a", "A", "b", "B", "c", ""]))))
def test_each_member_has_one_nick_and_each_nick_one_holder(
    actions: list[tuple[int, str]],
) -> None:
    nicks, model = NickTable(), dict[int, str]()
    for number, nick in actions:
        if not nick:
            nicks.release(number)
            model.pop(number, None)
            continue
        nicks.claim(nick, number)
        if nick.lower() not in (n for m, n in model.items() if m != number):
            model[number] = nick.lower()
        holders = {n: m for m, n in model.items()}
        assert all(nicks.holder(form) == holders.get(form) for form in "abc")
