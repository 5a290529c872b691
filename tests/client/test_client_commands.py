from __future__ import annotations

import pytest

from udprelay.client.commands import Command, Say, Unknown, understand


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
        ("/help me", Command("help")),
        ("/", Unknown("/")),
        ("/quitter now", Unknown("/quitter")),
        ("/Quit", Unknown("/Quit")),
    ],
)
def test_a_line_is_text_or_a_command(line: str, meaning: object) -> None:
    assert understand(line) == meaning
