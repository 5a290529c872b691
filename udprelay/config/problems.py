"""What is wrong with a configuration, in words that quote no secret."""

from __future__ import annotations

import re
from difflib import get_close_matches

from attrs import frozen

from udprelay.protocol.text import printable

_SECRETS = ("access_key", "passphrase", "password", "secret")
# A key is recognised by its digits, too, as it may be in a wrong place.
_SECRET = re.compile(r"(key|passphrase|password|secret)\b.*|[0-9a-f]{32,}", re.I | re.S)

_MAX_QUOTED = 300
"""Characters: a file that is no configuration may have long lines."""


@frozen
class Problem:
    """
    One mistake in a configuration.

    :param file: empty for a command-line flag.
    :param line: counted from 1; 0 for the whole file or a flag.
    :param what: section, option and value, or the flag; empty for the whole file.
    :param why: what is wrong and what would be valid.
    """

    file: str
    line: int
    what: str
    why: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return printable(": ".join(part for part in (where, self.what, self.why) if part))


class ConfigError(Exception):
    """
    An invalid configuration.

    :ivar problems: all mistakes in it.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        super().__init__("\n".join(map(str, self.problems)))


def is_secret(option: str) -> bool:
    """Return whether the value of an option, whose name may be misspelt, is a secret."""
    return bool(get_close_matches(option, _SECRETS, 1))


def quotable(text: str) -> str:
    """Return a text with ``...`` in place of what could be a secret, and of its end if long."""
    without = _SECRET.sub(lambda match: f"{match[1] or ''}...", text)
    return without if len(without) <= _MAX_QUOTED else f"{without[:_MAX_QUOTED]}..."


def has_secret(text: str) -> bool:
    """Return whether a text has something that could be a secret."""
    return _SECRET.search(text) is not None
