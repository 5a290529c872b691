"""The roster is asked for page by page, one question at a time."""

from __future__ import annotations

from itertools import pairwise

from udprelay.session_client.questions import Questions


def test_nothing_is_asked_without_a_reason():
    questions = Questions()
    assert questions.ask(0.0) is None
    assert questions.deadline is None
    assert not questions.in_doubt


def test_the_rest_is_asked_for_page_by_page():
    questions = Questions()
    questions.begin(more_from=40, least=1)
    assert questions.first_round
    assert questions.ask(0.0) == 40
    assert questions.answered(40, 80, newest=1)
    assert questions.ask(0.1) == 80
    assert questions.in_doubt
    assert questions.answered(80, None, newest=1)
    assert questions.ask(0.2) is None
    assert not questions.in_doubt
    assert not questions.first_round


def test_a_question_is_repeated_soon_and_then_each_second():
    questions = Questions()
    questions.begin(more_from=40, least=1)
    asked = [0.0, 0.25, 0.75, 1.75, 2.75]
    for now, following in pairwise(asked):
        assert questions.ask(now) == 40
        assert questions.deadline == following
        assert questions.ask(following - 0.01) is None
    questions.answered(40, 80, newest=1)
    assert questions.ask(2.75) == 80
    assert questions.deadline == 3.0


def test_a_question_is_repeated_at_once_in_another_session():
    questions = Questions()
    questions.begin(more_from=40, least=1)
    assert questions.ask(0.0) == 40
    questions.resume()
    assert questions.ask(0.1) == 40


def test_what_was_not_asked_is_no_answer():
    questions = Questions()
    assert not questions.answered(0, None, newest=1)
    questions.begin(more_from=40, least=1)
    questions.ask(0.0)
    assert not questions.answered(41, None, newest=1)
    assert not questions.answered(40, None, newest=0)
    assert questions.answered(40, None, newest=1)
    assert not questions.answered(40, None, newest=1)


def test_all_are_asked_for_and_older_answers_do_not_count():
    questions = Questions()
    questions.ask_all(7, 0.0)
    assert questions.in_doubt
    assert questions.ask(0.0) == 0
    assert not questions.answered(0, None, newest=6)
    assert questions.answered(0, 5, newest=7)
    assert questions.ask(0.0) == 5
    assert questions.answered(5, None, newest=7)
    assert not questions.in_doubt


def test_all_are_asked_for_again_if_there_was_a_reason_meanwhile_but_not_too_often():
    questions = Questions()
    questions.ask_all(7, 0.0)
    questions.ask(0.0)
    questions.ask_all(9, 0.5)
    questions.ask_all(8, 0.6)
    questions.answered(0, None, newest=8)
    assert questions.ask(1.9) is None
    assert questions.in_doubt
    assert questions.deadline == 2.0
    assert questions.ask(2.0) == 0
    assert not questions.answered(0, None, newest=8)
    assert questions.answered(0, None, newest=9)
    assert not questions.in_doubt


def test_the_next_round_begins_after_the_first():
    questions = Questions()
    questions.begin(more_from=40, least=1)
    questions.ask_all(7, 0.0)
    assert questions.ask(0.0) == 40
    questions.answered(40, None, newest=7)
    assert not questions.first_round
    assert questions.ask(0.1) == 0


def test_one_member_is_asked_for_before_the_rest():
    questions = Questions()
    questions.begin(more_from=40, least=1)
    questions.want(70)
    assert questions.ask(0.0) == 70
    questions.want(70)
    assert questions.answered(70, 80, newest=1)
    assert questions.ask(0.0) == 40


def test_a_member_that_nobody_waits_for_is_not_asked_for():
    questions = Questions()
    questions.want(70)
    questions.want(71)
    questions.unwant(71)
    assert questions.ask(0.0) == 70
    questions.unwant(70)
    assert questions.ask(2.0) is None
    questions.unwant(70)


def test_only_so_many_members_are_asked_for_one_by_one():
    questions = Questions()
    for number in range(1, 100):
        questions.want(number)
    asked = []
    while (number := questions.ask(0.0)) is not None:
        asked.append(number)
        questions.answered(number, None, newest=1)
    assert asked == list(range(1, 65))


def test_a_page_that_leads_back_is_the_last():
    questions = Questions()
    questions.begin(more_from=40, least=1)
    questions.ask(0.0)
    assert questions.answered(40, 40, newest=1)
    assert questions.ask(0.0) is None
