"""The measurements of sessions that join and leave."""

from __future__ import annotations

import pytest

from bench import session_members


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_members, "JOINING", 4)
    monkeypatch.setattr(session_members, "TURNS", (2,))
    monkeypatch.setattr(session_members, "SIZES", (3, 6))


def test_joins_and_leaves_are_measured_in_a_room_of_that_size() -> None:
    found = session_members.measure(3)
    assert set(found) == {("join", 2, 3), ("leave", 2, 3)}
    assert all(time > 0 and fan_outs > 0 for time, fan_outs in found.values())


def test_each_size_of_room_is_compared_with_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    session_members.compare(1)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[:3] for row in rows] == [
        [work, "2", size] for work in ("join", "leave") for size in ("3", "6")
    ]
    assert [row[5] for row in rows[::2]] == ["1.00", "1.00"]
    assert {row[6] for row in rows} <= {"met", "MISSED"}
