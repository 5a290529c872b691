"""What the terminal keeps and shows: history and the styles of nicks."""

from __future__ import annotations

from pathlib import Path

import pytest

from udprelay.client.terminal import history_file, nick_style, open_history


@pytest.mark.parametrize(
    ("state_home", "path"),
    [
        ("/state", "/state/udprelay/history"),
        ("relative", "/home/a/.local/state/udprelay/history"),
        ("", "/home/a/.local/state/udprelay/history"),
    ],
)
def test_the_history_is_where_the_xdg_specification_says(
    state_home: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/a")
    assert history_file({"XDG_STATE_HOME": state_home}) == Path(path)


def test_a_history_that_others_can_read_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / "udprelay" / "history"
    path.parent.mkdir()
    path.write_text("\n+before\n")
    path.chmod(0o644)
    history = open_history(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(history.load_history_strings()) == ["before"]


def test_a_full_disk_raises_no_error(tmp_path: Path) -> None:
    path = tmp_path / "udprelay" / "history"
    history = open_history(path)
    path.unlink()
    path.symlink_to("/dev/full")
    history.store_string("lost")


def test_a_nick_has_the_same_style_in_any_case() -> None:
    assert nick_style("Bob") == nick_style("bob")
    assert len({nick_style(f"nick {number}") for number in range(200)}) == 12
