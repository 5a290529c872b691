"""Compile the C programs, once for each state of their sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "peers"
PROGRAMS = ("load", "c_sendto", "c_mmsg_gso")
COUNT = "count.so"
"""A library for LD_PRELOAD."""


class CannotBuildError(Exception):
    """There is no C compiler, or it rejects our sources."""


def compiler() -> str:
    """Return the name and version of ``cc``."""
    return _run("cc", "--version").splitlines()[0]


def build() -> Path:
    """
    Compile the programs that are not compiled yet.

    :return: the directory of the programs.
    :raises CannotBuildError: without a C compiler; the load side is written in C.
    """
    if shutil.which("cc") is None:
        raise CannotBuildError("no C compiler (cc): the load side is written in C")
    state = hashlib.blake2b(compiler().encode(), digest_size=8)
    for source in sorted(SOURCES.glob("*.[ch]")):
        state.update(source.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "udprelay-bench" / state.hexdigest()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotBuildError(f"{place}: {error.strerror} (set XDG_CACHE_HOME)") from error
    for name in PROGRAMS:
        if not (place / name).exists():
            _compile(place / name, SOURCES / f"{name}.c")
    if not (place / COUNT).exists():
        _compile(place / COUNT, SOURCES / "count.c", "-shared", "-fPIC", "-ldl")
    return place


def _compile(program: Path, source: Path, *options: str) -> None:
    unfinished = program.with_name(f"{program.name}.{os.getpid()}")
    _run("cc", "-O2", "-o", unfinished, source, *options)
    unfinished.rename(program)


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CannotBuildError(f"{' '.join(map(str, command))}:\n{done.stderr}")
    return done.stdout
