"""Commands on the terminal: parsing and completion."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from udprelay.client.commands import PlainCommands, RoomCommands, parse_line, split_nick

ROOM: Any = SimpleNamespace(rooms={"lobby", "games"}, nicks=["bob", "Bob the Builder", "carol"])
PLAIN = PlainCommands(print)
IN_ROOM = RoomCommands(ROOM, lambda text, nick: True, print)


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("hello", ("", "hello")),
        ("", ("", "")),
        (" /quit", ("", " /quit")),
        ("a/b", ("", "a/b")),
        ("//quit", ("", "/quit")),
        ("///", ("", "//")),
        ("/quit", ("/quit", "")),
        ("/help me", ("/help", "me")),
        ("/msg bob  hi there ", ("/msg", "bob  hi there")),
        ("/join\tgames", ("/join\tgames", "")),
        ("/", ("/", "")),
        ("/quitter now", ("/quitter", "now")),
        ("/Quit", ("/Quit", "")),
    ],
)
def test_a_line_is_text_or_a_command(line: str, meaning: tuple[str, str]) -> None:
    assert parse_line(line) == meaning


def test_a_room_has_more_commands_than_a_plain_channel() -> None:
    assert PLAIN.words == ["/help", "/quit"]
    assert IN_ROOM.words == ["/who", "/msg", "/nick", "/join", "/ping", "/help", "/quit"]


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("bob hi there", ("bob", "hi there")),
        ("BOB hi", ("BOB", "hi")),
        ("bob the builder hi", ("bob the builder", "hi")),
        ("Bob  The Builder hi", ("Bob  The Builder", "hi")),
        ("bob the builder", ("bob", "the builder")),
        ("nobody hi there", ("nobody", "hi there")),
        ("\u2028 hi there", ("\u2028", "hi there")),
        ("bob", None),
        ("", None),
    ],
)
def test_the_longest_nick_that_fits_is_chosen(
    argument: str, found: tuple[str, str] | None
) -> None:
    assert split_nick(argument, ["bob", "bob the builder"]) == found


def complete(completer: PlainCommands, line: str) -> list[str]:
    """Return the completed lines."""
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
def test_commands_rooms_and_nicks_are_completed_where_they_are_valid(
    line: str, offered: list[str]
) -> None:
    assert complete(IN_ROOM, line) == offered


def test_in_a_plain_channel_only_commands_are_completed() -> None:
    assert complete(PLAIN, "/") == ["/help ", "/quit "]
    assert complete(PLAIN, "/join ") == []
    assert complete(PLAIN, "b") == []
