"""INI files: their syntax, lines and mistakes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.config.ini import read
from udprelay.config.problems import Problem


def found(text: str) -> dict[str, dict[str, str]]:
    sections, problems = read(text, "relay.ini")
    assert problems == []
    return {
        name: {option: entry.value for option, entry in section.options.items()}
        for name, section in sections.items()
    }


def problems(text: str) -> list[str]:
    return [str(problem) for problem in read(text, "relay.ini")[1]]


def test_sections_have_options_with_values() -> None:
    assert found("[a]\nx = 1\ny: 2\nz =\n[b:c]\n") == {
        "a": {"x": "1", "y": "2", "z": ""},
        "b:c": {},
    }


def test_an_empty_text_has_no_sections() -> None:
    assert found("") == {}
    assert found("\n# nothing but\n ; comments\n") == {}


def test_sections_and_options_have_their_lines() -> None:
    sections, _ = read("# first\n\n[a]\nx = 1\n; in between\n\ny = 2\n[b]\nx = 3", "relay.ini")
    lines = {
        name: (section.line, {option: entry.line for option, entry in section.options.items()})
        for name, section in sections.items()
    }
    assert lines == {"a": (3, {"x": 4, "y": 7}), "b": (8, {"x": 9})}


def test_names_of_options_are_case_insensitive() -> None:
    assert found("[a]\nPort = 1") == {"a": {"port": "1"}}


def test_a_comment_may_follow_after_a_space() -> None:
    assert found("[a] ; of [all] things\nx = 1 ; one\ny = 2\t# two\nz = a;b#c\n") == {
        "a": {"x": "1", "y": "2", "z": "a;b#c"}
    }


def test_percent_signs_are_not_interpolated() -> None:
    assert found("[a]\nx = %(y)s 100 %\n") == {"a": {"x": "%(y)s 100 %"}}


def test_an_equals_sign_may_be_part_of_a_value() -> None:
    assert found("[a]\nx = b = c : d\n") == {"a": {"x": "b = c : d"}}


def test_a_value_continues_in_indented_lines() -> None:
    text = "[a]\nx =\n  1,  ; one\n\n  # two is left out\n  3\ny = 4\n"
    assert found(text)["a"]["x"].split() == ["1,", "3"]
    assert found(text)["a"]["y"] == "4"


def test_lines_with_the_same_indentation_are_options() -> None:
    sections, _ = read("[a]\n  x = 1\n  y = 2\n    3\n  z = 4\n", "relay.ini")
    options = {name: (e.line, e.value) for name, e in sections["a"].options.items()}
    assert options == {"x": (2, "1"), "y": (3, "2\n3"), "z": (5, "4")}


def test_default_is_a_section_like_any_other() -> None:
    assert found("[DEFAULT]\nx = 1\n[a]\n") == {"DEFAULT": {"x": "1"}, "a": {}}


def test_only_a_line_feed_ends_a_line() -> None:
    sections, found_problems = read("[a]\n# form\x0cfeed \u2028 separator\nx = 1\n", "relay.ini")
    assert found_problems == []
    assert sections["a"].options["x"].line == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "port = 1\n[a]\n",
            "relay.ini:1: 'port = 1': no [section] before this line",
        ),
        (
            "[a]\nport 6000\n",
            "relay.ini:2: 'port 6000': neither a [section] nor 'option = value'",
        ),
        ("[a]\n= 1\n", "relay.ini:2: '= 1': neither a [section] nor 'option = value'"),
        ("[a]\n[b\n", "relay.ini:2: '[b': neither a [section] nor 'option = value'"),
        ("[a]\n[]\n", "relay.ini:2: '[]': neither a [section] nor 'option = value'"),
        ("[a]\n[b]\n[a]\n", "relay.ini:3: [a]: duplicate section (first on line 1)"),
        (
            "[a]\nx = 1\nX = 2\n",
            "relay.ini:3: [a] x: duplicate option (first on line 2)",
        ),
        (
            "[a]\nx = 1\n[b]\n[a]\nx = 2\n",
            (
                "relay.ini:4: [a]: duplicate section (first on line 1)\n"
                "relay.ini:5: [a] x: duplicate option (first on line 2)"
            ),
        ),
    ],
)
def test_mistakes_in_the_syntax_are_reported(text: str, problem: str) -> None:
    assert problems(text) == problem.split("\n")


def test_all_mistakes_are_found() -> None:
    text = "before\n[a]\nnothing\nx = 1\nx = 2\n[a]\nnothing again\n"
    assert sorted(problem.line for problem in read(text, "relay.ini")[1]) == [1, 3, 5, 6, 7]


def test_lines_after_a_mistake_are_read() -> None:
    sections, _ = read("before\n[a]\nnonsense\nx = 1\n", "relay.ini")
    assert sections["a"].options["x"].value == "1"


def test_a_problem_is_printable() -> None:
    assert str(Problem("a\x1b.ini", 3, "\x9b", "why\n")) == r"a\x1b.ini:3: \x9b: why\n"


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("relay.ini", 0, "", "cannot be read"), "relay.ini: cannot be read"),
        (Problem("", 0, "--port x", "is no port"), "--port x: is no port"),
    ],
)
def test_a_problem_omits_empty_parts(problem: Problem, text: str) -> None:
    assert str(problem) == text


pieces = st.sampled_from(
    [*"[]xY \t=:;#\n%é\x0b\x0c\x85\r\u2028", "[a]", "[b]", "[a", "  ", " ;", " #"]
)


@given(st.lists(pieces, max_size=30).map("".join))
def test_sections_options_and_mistakes_of_any_text_have_their_lines(text: str) -> None:
    sections, found_problems = read(text, "relay.ini")
    lines = text.split("\n")
    for problem in found_problems:
        assert lines[problem.line - 1].strip()
    for name, section in sections.items():
        assert f"[{name}]" in lines[section.line - 1]
        for option, entry in section.options.items():
            assert lines[entry.line - 1].strip().lower().startswith(option)
