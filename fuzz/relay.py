"""
The relay's half of the session protocol: any datagrams and calls in any order at any time.

``python -m fuzz.relay``; see ``fuzz/README.rst``. ``fuzz/relay_steps.py`` reads the inputs,
``fuzz/relay_checks.py`` has the checks.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fuzz.mutation import OneInput, run
from fuzz.steps import Play, corpus_files, write_corpus

CORPUS = Path(__file__).parent / "corpus" / "relay"

# The first step has no name: it chooses the rules and who has joined. The second byte of the
# others chooses the sender (bits 0, 1), its address (2-4), the listener (5), the receiver (6, 7).
_ELSEWHERE, _TO_SECOND = 4, 64
PLAYS: dict[str, Play] = {
    "nothing": [()],
    "join": [(4,), ("hello", 0), ("join", 0), ("hello", 1), ("join", 1), ("ping", 1)],
    "join with a key": [(0, 4), ("hello",), ("join",), ("join", 1), ("join", 0, 16)],
    "refused": [(2, 1, 4), *[(name, k, 0, k) for k in (2, 3) for name in ("hello", "join")]],
    "rooms": [(0,), *[(name, k, k) for k in range(4) for name in ("hello", "join")]],
    "data": [(7,), *[("data", k % 3, 0, k % 5, k) for k in range(10)], ("wait", 0, 5)],
    "data early": [(3,), ("data", 0, 2), ("data", 0, 1), ("data", 0), ("data", 1, 64)],
    "data in a batch": [(3,), *[(0x82, k % 3, 0, k % 2) for k in range(9)], ("data",)],
    "data beyond the allowance": [(3, 0, 3), *[("data", 0, 0, k % 2, 8) for k in range(6)]],
    "private": [(3,), *[("private", _TO_SECOND, 0, k % 2) for k in range(4)], ("wait", 0, 6)],
    "private to nobody": [(3,), ("private", 192), ("private", _TO_SECOND, 2), ("leave", 1)],
    "recovery": [(3, 0, 0, 1), *[("data", 0)] * 12, ("nack", 1, 165, 5, 3), ("nack", 1, 255, 1)],
    "recovery of private": [(3,), *[("private", _TO_SECOND)] * 3, ("nack", 1, 161, 2, 0, 1)],
    "missed": [(3,), ("data",), ("missed", 1, 0, 1, 0, 1), ("missed", 1, 0, 1, 3, 162)],
    "nick": [(3,), ("nick", 0, 1, 3), ("nick", 0, 1, 4), ("nick", 1, 2, 3), ("nick", 1, 3, 5)],
    "roster": [(3,), ("roster", 0), ("roster", 1, 2), ("roster", 2, 255)],
    "another address": [
        *[(3,), ("ping", _ELSEWHERE), ("path response", _ELSEWHERE), ("data", _ELSEWHERE)],
        *[("path response", 16), ("ping", 0), ("path response", 36)],
    ],
    "resumed": [
        (3,),
        ("data", 0),
        ("hello", 0),
        ("join", 0, 32, 0, 1),
        ("leave", 0),
        ("join", 0, 32),
    ],
    "silent": [(7,), ("wait", 0, 12), ("wait", 0, 14), ("hello", 0), ("join", 0, 32), ("ping", 1)],
    "late": [
        (3,),
        ("data",),
        ("pass over", 0, 12, 1),
        ("pass over", 0, 14),
        ("data",),
        ("wait", 0, 9),
    ],
    "silent together": [(7,), ("plain",), ("pass over", 0, 14), ("nack", 0, 0, 2)],
    "kicked": [(3,), ("kick", 0, 1), ("hello", 1), ("join", 1), ("kick",), ("wait", 0, 15)],
    "plain": [
        (2, 16),
        ("plain", 2, 0, 65, 1),
        ("data",),
        ("plain", 3, 0, 66, 2),
        ("plain", 2, 0, 65, 9),
    ],
    "plain with a code": [(1,), ("plain", 2, 0, 65, 1), ("plain", 2, 1), ("plain", 2, 0, 65, 3)],
    "plain becomes a session": [(1, 16), ("plain", 1, 0, 65, 1), ("hello", 1), ("join", 1)],
    "console": [
        (3,),
        ("console",),
        ("console", 0, 1, 1),
        ("console", 1, 1, 2),
        ("nack", 0, 162, 2),
    ],
    "targets": [
        (3,),
        ("target", 2),
        ("data",),
        ("target", 3, 0, 1),
        ("unreachable", 2),
        ("target", 0, 1),
    ],
    "of the session": [
        (3,),
        ("of session", 0, 0x12, 0, 11),
        b"\0" * 8 + b"\1\0\1",
        ("of session", 1, 0x16),
    ],
    "anything": [
        (3,),
        ("anything", 0, 20, 4),
        bytes(20),
        ("anything", 0, 14, 3),
        b"\2" * 14,
        ("of attempt",),
    ],
    "the end": [(15,), ("data", 0), ("private", _TO_SECOND), ("data", 1, 3)],
}


def load() -> OneInput:
    """Import the relay; return the target."""
    from fuzz.relay_steps import run_input

    def one_input(data: bytes) -> None:
        run_input(data)

    return one_input


def files() -> dict[str, bytes]:
    """Return the files of the corpus by name."""
    from fuzz.relay_steps import OPERATIONS

    return corpus_files(OPERATIONS, PLAYS)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write-corpus"]:
        write_corpus(CORPUS, files())
    else:
        run(load, CORPUS, sys.argv[1:])
