from __future__ import annotations

from udprelay.client.recent import MOST_BYTES, MOST_MESSAGES, Recent


def test_what_was_said_is_remembered() -> None:
    recent = Recent()
    recent.add(1, b"hello")
    assert (recent.get(1), recent.get(2)) == (b"hello", None)


def test_old_messages_are_forgotten() -> None:
    recent = Recent()
    for message in range(MOST_MESSAGES + 1):
        recent.add(message, b"x")
    assert (recent.get(0), recent.get(1)) == (None, b"x")


def test_large_messages_are_forgotten_sooner() -> None:
    recent = Recent()
    for message in range(3):
        recent.add(message, b"x" * (MOST_BYTES // 2))
    assert (recent.get(0), recent.get(2)) == (None, b"x" * (MOST_BYTES // 2))
