from __future__ import annotations

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from udprelay.client.colours import style_of
from udprelay.client.commands import HELP, ROOM_HELP, words
from udprelay.client.completion import LineCompleter

IN_ROOM = LineCompleter(
    words(ROOM_HELP), lambda: {"lobby", "games"}, lambda: ["bob", "Bob the Builder", "carol"]
)


def completed(completer: LineCompleter, line: str) -> list[str]:
    """Return the lines that Tab offers."""
    document = Document(line)
    return [
        line[: len(line) + found.start_position] + found.text
        for found in completer.get_completions(document, CompleteEvent())
    ]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("/", ["/help ", "/join ", "/msg ", "/nick ", "/ping ", "/quit ", "/who "]),
        ("/j", ["/join "]),
        ("/x", []),
        ("/join ", ["/join games", "/join lobby"]),
        ("/join g", ["/join games"]),
        ("/msg b", ["/msg Bob the Builder ", "/msg bob "]),
        ("/msg bob the", ["/msg Bob the Builder "]),
        ("/who ", []),
        ("", []),
        ("B", ["Bob the Builder: ", "bob: "]),
        ("hi ca", ["hi carol "]),
        ("hi ", []),
        ("hi /j", []),
    ],
)
def test_commands_rooms_and_nicks_are_completed_where_they_can_stand(
    line: str, offered: list[str]
) -> None:
    assert completed(IN_ROOM, line) == offered


def test_without_a_room_there_are_only_commands() -> None:
    completer = LineCompleter(words(HELP))
    assert completed(completer, "/") == ["/help ", "/quit "]
    assert completed(completer, "b") == []


def test_a_nick_has_one_colour_however_it_is_written() -> None:
    assert style_of("Bob") == style_of("bob")
    assert len({style_of(f"nick {number}") for number in range(200)}) == 12
