"""
The target ``client``: the client's half of the session protocol.

Its inputs are the datagrams of a relay, honest or not, and the actions of a user:
``python -m fuzz.client``; see ``fuzz/README.rst``. ``fuzz/client_steps.py`` and
``fuzz/client_datagrams.py`` have the steps, ``fuzz/client_checks.py`` the checks.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fuzz.mutation import OneInput, run
from fuzz.steps import Play, corpus_files, write_corpus

CORPUS = Path(__file__).parent / "corpus" / "client"

# The first step has no name: it holds the options and the nick. Six bytes follow each "welcome".
_JOINED, _KEYED, _UNORDERED, _OTHER_NICKS, _LONG = 1, 2, 4, 8, 16
_EIGHT = bytes((0, 8, 0, 0, 0, 0))
# The third byte of "welcome", and the last but two of "data".
_ANOTHER_SESSION, _ANOTHER_ROOM = 1, 2
_UNRELIABLE, _SEALED, _CONTINUED, _MORE, _RESUBMITTED, _PRIVATE = 1, 2, 4, 8, 16, 32
_BACK = 160
"""A byte from here on chooses a number before the usual one."""
_FAR = 224
"""A byte from here on chooses a number far from the usual one."""


def _steps(*steps: tuple[str | int, ...] | bytes) -> Play:
    """Return the steps unchanged; this puts several in a line and gives them their type."""
    return steps


_REJOIN: Play = [("challenge",), ("welcome", 0, _ANOTHER_SESSION), _EIGHT]
_REJOIN_BEHIND: Play = [("challenge",), ("welcome", 0, _ANOTHER_SESSION, 9, _FAR + 15), _EIGHT]
_REJOIN_RESTARTED: Play = [
    ("challenge",),
    ("welcome", 0, _ANOTHER_SESSION | _ANOTHER_ROOM),
    _EIGHT,
]
PLAYS: dict[str, Play] = {
    "nothing": [()],
    "join": [(0,), ("start",), ("challenge",), ("welcome",), _EIGHT, ("ping",), ("pong",)],
    "join with a key": [(_KEYED,), ("start",), ("challenge",), ("keys",), ("welcome",), _EIGHT],
    "keys for another salt": [(_KEYED,), ("start",), ("challenge", 0, 0, 1), ("keys", 0, 1)],
    "no answer": [(0,), ("start",), ("wait", 0, 10), ("challenge",), ("wait", 0, 12)],
    "no nick": [(0, 5), ("start",)],
    "versions": [(0,), ("start",), ("versions", 0, 2), ("versions", 0, 1)],
    "refused": [(0,), ("start",), ("challenge",), ("refused", 0, 1, 0)],
    "nick taken": [
        *_steps((_OTHER_NICKS,), ("start",), ("challenge",)),
        *[("refused",)] * 2,
        *_steps(("welcome",), _EIGHT),
    ],
    "all nicks taken": [(_OTHER_NICKS,), ("start",), ("challenge",), *[("refused",)] * 9],
    "sent away for a while": [
        *_steps((_JOINED,), ("unknown",), ("wait", 0, 7), ("challenge",), ("refused", 0, 1, 2)),
        *_steps(("wait", 0, 8), *_REJOIN),
    ],
    "data": [(_JOINED,), *[("data", k, k % 5) for k in range(9)], ("data", 0, 0, 0, 0, 1)],
    "data sealed": [(_JOINED | _KEYED,), *[("data", k, k % 3) for k in range(4)]],
    "data not sealed": [
        *_steps((_JOINED | _KEYED,), ("data", 0, 0, 0, 0, _SEALED)),
        *_steps(("data", 0, 0, 0, 0, 64), ("data", 0, 7), ("data", 3, 0, 0, 0, 0, 20, 4)),
        *_steps(("wait", 0, 10)),
    ],
    "data again": [
        *_steps((_JOINED,), ("data",), ("data", 0, 0, _BACK), ("data", 0, 0, 0, _BACK)),
        *_steps(("data", 0, 0, 0, _BACK, _RESUBMITTED), ("data", 0, 0, 0, _BACK, _UNRELIABLE)),
    ],
    "pieces": [
        *_steps((_JOINED,), ("data", 5, 0, 0, 0, _MORE), ("data", 5, 0, 0, 0, _MORE | _CONTINUED)),
        *_steps(("data", 5, 1), ("data", 5, 0, 0, 0, _CONTINUED)),
    ],
    "pieces that end nowhere": [
        *_steps((_JOINED,), ("data", 5, 0, 0, 0, _MORE), ("data",), ("data", 0, 0, 0, 0, _MORE)),
        *_steps(("entry", 0, 0, 0, 1, 1), ("data", 0, 1, 0, 0, _MORE), ("wait", 0, 13)),
        *_steps(("private", 0, 1, 0, 0, _PRIVATE | _MORE), ("ping",), ("wait", 0, 4)),
    ],
    "pieces, too many": [
        (_JOINED,),
        *_steps(("data", 11, 0, 0, 0, _MORE), ("data", 11, 0, 0, 0, 12)),
    ],
    "a gap": [
        *_steps((_JOINED,), ("data", 0, 0, 2), ("wait", 0, 2), ("data", 0, 0, _BACK + 1)),
        *_steps(("data", 0, 1, _BACK + 2)),
    ],
    "a gap for good": [
        *_steps(
            (_JOINED,), ("data",), ("data", 0, 0, 3, 3), ("wait", 0, 3), ("gone", 0, _BACK + 2, 2)
        ),
        *_steps(("members", 0, 0, 0, 8), ("wait", 0, 5), ("pong", 0, 1), ("wait", 0, 7)),
    ],
    "a gap that nobody closes": [
        *_steps((_JOINED,), ("data", 0, 0, 9)),
        *[step for _ in range(12) for step in (("wait", 0, 7), ("heartbeat",))],
    ],
    "many gaps": [(_JOINED,), *[("data", k % 4, k % 3, 1 + k % 2) for k in range(40)]],
    "gaps without recovery": [
        *_steps(
            (_JOINED | _UNORDERED,), ("data", 0, 0, 3, 3), ("data", 0, 0, _BACK + 2, _BACK + 2)
        ),
        *_steps(("wait", 0, 6), ("heartbeat", 0, 0, 2), ("wait", 0, 8)),
    ],
    "far ahead": [
        *_steps((_JOINED,), ("data", 0, 0, _FAR + 7), ("heartbeat", 0, 0, _FAR + 8), ("ping",)),
        *_steps(("pong", 0, 0, _FAR + 7), ("wait", 0, 7), ("entry", 0, 0, _FAR + 12)),
    ],
    "gone": [
        *_steps((_JOINED,), ("heartbeat", 0, 0, 20), ("gone", 0, _BACK + 19, 1, 2, 4)),
        *_steps(("gone", 0, _BACK + 9, 0, 0, 2), ("private", 0, 0, 3, 0, _PRIVATE)),
        *_steps(("gone", 0, _BACK + 2, 2, 0, 1)),
    ],
    "run": [(_JOINED,), ("run", 0, 0, 0, 100), ("run", 2, 1, 1, 20), ("run", 0, 2, 0, 9, 1)],
    "private": [
        *_steps((_JOINED,), ("private", 0, 0, 0, 0, _PRIVATE), ("private", 0, 1, 2, 0, _PRIVATE)),
        *_steps(
            ("private", 0, 1, 0, 0, _PRIVATE | _UNRELIABLE), ("pong", 0, 0, 0, 4), ("wait", 0, 7)
        ),
    ],
    "private sealed": [(_JOINED | _KEYED,), *[("private", 3, 0, 0, 0, _PRIVATE)] * 2],
    "entries": [
        (_JOINED,),
        *[("entry", k, number, 0, k) for number in (0, 9, 6, 200) for k in range(4)],
    ],
    "entries of strangers": [
        *_steps(
            (_JOINED,), ("entry", 0, 90, 0, 2), ("entry", 0, 90, 0, 0), ("entry", 0, 91, 0, 1)
        ),
        *_steps(("entry", 0, 91, 0, 2), ("entry", 0, 6, 0, 2), ("entry", 2, 6, 0, 2)),
    ],
    "strangers": [
        *_steps((_JOINED,), ("data", 0, 100), ("data", 0, 101), ("data", 11, 100), ("wait", 0, 1)),
        *_steps(("members", 0, 0, 0, 1), ("entry", 0, 100), ("wait", 0, 10)),
    ],
    "strangers of two sessions": [
        *_steps((_JOINED,), ("private", 0, 201, 2, 0, _PRIVATE), ("wait", 0, 12)),
        *_steps(*_REJOIN, ("data", 0, 202)),
    ],
    "roster": [
        *_steps((0,), ("start",), ("challenge",), ("welcome",), bytes((0, 16, 17, 0, 0, 0))),
        *_steps(("members", 0, 0, 0, 16, 1), ("members", 0, 0, 0, 9), ("wait", 0, 7)),
    ],
    "notices": [
        *_steps((_JOINED,), ("send",), ("send private", 0, 0, 0, 0, 2), ("notice",)),
        *_steps(("notice", 0, 0, 0, 1), ("notice", 0, 0, 0, 2)),
    ],
    "send": [(_JOINED,), ("send", 0, 2, 0, 5), ("ack",), ("send", 0, 3, 1, 2), ("wait", 0, 5)],
    "send sealed": [(_JOINED | _KEYED,), ("send", 0, 3, 0, 3), ("ack",), ("send", 0, 3, 1)],
    "send in pieces": [
        *_steps((_JOINED,), ("send", 0, 11), ("ack",), ("ack",), ("wait", 0, 4), ("ack",)),
    ],
    "send before joining": [
        *_steps((0,), ("send", 0, 2, 0, 3), ("send", 0, 2, 1), ("start",), ("challenge",)),
        *_steps(("welcome",), _EIGHT, ("ack",)),
    ],
    "send with an allowance": [
        *_steps((0,), ("start",), ("challenge",), ("welcome",), bytes((0, 8, 0, 4, 2, 0))),
        *_steps(("send", 0, 9, 0, 3), ("wait", 0, 7), ("ack",), ("wait", 0, 7), ("ack",)),
    ],
    "send, overtaken": [
        *_steps(
            (_JOINED,), ("send", 0, 2, 0, 39), ("ack", 0, _BACK + 20, 0, 0xFE), ("wait", 0, 2)
        ),
        *_steps(("ack", 0, _BACK + 3, 0, 0x0F, 3), ("ack", 0, 0, 0, 0, 240)),
    ],
    "send to nobody": [(_JOINED | _LONG,), ("send", 0, 2, 0, 2), ("wait", 0, 12)],
    "send, not heard": [
        *_steps((_JOINED,), ("send", 0, 2, 0, 2), ("send private", 0, 2, 0, 1, 1)),
        *[step for _ in range(18) for step in (("wait", 0, 8), ("heartbeat",))],
        *_REJOIN,
    ],
    "send private": [
        *_steps(
            (_JOINED,), ("send private", 0, 2, 0, 2, 1), ("send private", 0, 2, 1, 0, 1), ("ack",)
        ),
        *_steps(("send private", 0, 2, 0, 0, 4), ("send private", 0, 2, 0, 0, 7)),
    ],
    "nick": [
        *_steps((_JOINED,), ("change nick", 0, 1), ("nicked", 0, 0, 0, 1), ("change nick", 0, 2)),
        *_steps(("nicked", 0, 0, 1), ("change nick", 0, 5), ("change nick", 0, 3), ("wait", 0, 9)),
    ],
    "waiting": [
        *_steps((_JOINED,), ("send",), ("waiting", 0, 1, 1), ("waiting", 0, 2), ("waiting", 0, 1)),
        *_steps(("wait", 0, 8), ("waiting", 0, 1, 1), ("waiting",)),
    ],
    "another address": [(_JOINED,), ("path challenge", 0, 3), ("unreachable",)],
    "unreachable": [(_JOINED,), *[("unreachable",), ("wait", 0, 6)] * 5],
    "silent": [(_JOINED,), ("wait", 0, 12), *_REJOIN, ("data",), ("wait", 0, 10)],
    "late": [
        *_steps((_JOINED,), ("send",), ("data", 0, 0, 3), ("pass over", 0, 13, 1)),
        *_steps(("pass over", 0, 14), ("data",), ("wait", 0, 7)),
    ],
    "resumed": [
        *_steps((_JOINED,), ("send", 0, 2, 0, 4), ("ack", 0, _BACK + 1), ("data", 0, 0, 3)),
        *_steps(("unknown",), ("wait", 0, 7), *_REJOIN, ("ack",), ("data",)),
    ],
    "restarted": [
        *_steps((_JOINED,), ("send", 0, 2, 0, 4), ("send private", 0, 2, 0, 1, 1), ("ack",)),
        *_steps(("data", 0, 1), ("unknown",), ("wait", 0, 7), *_REJOIN_RESTARTED, ("ack",)),
        *_steps(("data", 0, 1, 0, _BACK, _RESUBMITTED), ("wait", 0, 11)),
    ],
    "resumed again and again": [
        (_JOINED,),
        *[s for _ in range(12) for s in (("unknown",), ("wait", 0, 7), *_REJOIN_BEHIND)],
    ],
    "stopping": [(_JOINED,), ("bye", 0, 3, 2), ("wait", 0, 8), *_REJOIN_RESTARTED],
    "kicked": [(_JOINED,), ("send",), ("bye", 0, 2), ("bye",)],
    "leave": [(_JOINED,), ("send",), ("leave",), ("ping",), ("wait", 0, 3), ("bye",)],
    "leave unheard": [(_JOINED,), ("leave",), ("wait", 0, 7), ("send",), ("start",)],
    "leave between": [(_JOINED,), ("unknown",), ("leave",)],
    "anything": [
        *_steps(
            (_JOINED,), ("anything", 0, 20, 4), bytes(20), ("with id", 0, 0x29, 0, 8), bytes(8)
        ),
        *_steps(("with id", 0, 0x26, 0, 8, 1), bytes(8), ("data", 0, 0, 0, 0, 0, 5, 1)),
    ],
}


def load() -> OneInput:
    """Import the client; return the function for each input."""
    from fuzz.client_steps import run_input

    def one_input(data: bytes) -> None:
        run_input(data)

    return one_input


def files() -> dict[str, bytes]:
    """Return the files of the corpus by name."""
    from fuzz.client_steps import OPERATIONS

    return corpus_files(OPERATIONS, PLAYS)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write-corpus"]:
        write_corpus(CORPUS, files())
    else:
        run(load, CORPUS, sys.argv[1:])
