from __future__ import annotations

import pytest

from udprelay.client.commands import (
    HELP,
    ROOM_HELP,
    Command,
    Say,
    Unknown,
    addressed,
    understand,
    words,
)

KNOWN = words(ROOM_HELP)


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("hello", Say("hello")),
        ("", Say("")),
        (" /quit", Say(" /quit")),
        ("a/b", Say("a/b")),
        ("//quit", Say("/quit")),
        ("///", Say("//")),
        ("/quit", Command("quit")),
        ("/help me", Command("help", "me")),
        ("/msg bob  hi there ", Command("msg", "bob  hi there")),
        ("/join\tgames", Unknown("/join\tgames")),
        ("/", Unknown("/")),
        ("/quitter now", Unknown("/quitter")),
        ("/Quit", Unknown("/Quit")),
    ],
)
def test_a_line_is_text_or_a_command(line: str, meaning: object) -> None:
    assert understand(line, KNOWN) == meaning


def test_the_commands_of_a_room_are_more() -> None:
    assert words(HELP) == ["/help", "/quit"]
    assert words(ROOM_HELP) == ["/who", "/msg", "/nick", "/join", "/ping", "/help", "/quit"]
    assert understand("/who", words(HELP)) == Unknown("/who")


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
def test_the_longest_nick_that_fits_is_meant(argument: str, found: tuple[str, str] | None) -> None:
    assert addressed(argument, ["bob", "bob the builder"]) == found
