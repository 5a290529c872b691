"""When ``twistd`` writes its process id, and which old file it does not see."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from udprelay.pid_file import settle
from udprelay.tap import Options


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "twistd.pid"


def settled(*arguments: str, foreground: bool = False, **twistd: Any) -> str:
    options = {"pidfile": "twistd.pid", **twistd}
    settle(options, foreground, arguments)
    return str(options["pidfile"])


def test_there_is_none_in_the_foreground(path: Path) -> None:
    path.write_text("stays")
    assert settled("-n", "udprelay", foreground=True) == ""
    assert path.read_text() == "stays"


@pytest.mark.parametrize("argument", ["--pidfile=twistd.pid", "--pidfile", "--pi"])
def test_there_is_one_in_the_foreground_if_asked_for(path: Path, argument: str) -> None:
    assert settled("-n", argument, foreground=True) == "twistd.pid"


def test_a_daemon_has_one(path: Path) -> None:
    assert settled() == "twistd.pid"
    assert not path.exists()


@pytest.mark.parametrize("left", ["", "\n", "garbage", "-1", f"{2**22 + 1}", "{own}", "{parent}"])
def test_a_stale_one_is_removed(path: Path, left: str) -> None:
    """Empty, invalid, or of a process that is gone or is another program now."""
    path.write_text(left.format(own=os.getpid(), parent=os.getppid()))
    settled()
    assert not path.exists()


@pytest.fixture(params=[[], ["-u"], ["-X", "dev", "-W", "error"]])
def twistd(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose program is called so."""
    program = tmp_path / "bin" / "twistd"
    program.parent.mkdir()
    program.write_text("input('\\n')")
    command = (sys.executable, *request.param, program)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        # Right after exec it has no command line yet.
        process.stdout.read(1)
        yield process
        process.kill()


def test_that_of_a_running_twistd_stays(path: Path, twistd: subprocess.Popen[bytes]) -> None:
    path.write_text(f"{twistd.pid}\n")
    settled()
    assert path.exists()


def test_one_that_cannot_be_written_is_a_mistake(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = Options()
    options.parent = {"nodaemon": False, "pidfile": "missing/pid"}  # type: ignore[assignment]
    with pytest.raises(SystemExit) as end:
        options.parseOptions([])
    assert end.value.code == 1
    assert capfd.readouterr().err == (
        "udprelay: --pidfile missing/pid: No such file or directory\n"
    )


def test_one_inside_another_root_is_not_tried(path: Path) -> None:
    assert settled(pidfile="missing/pid", chroot="/srv") == "missing/pid"
