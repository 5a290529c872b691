"""What a report about a wrong configuration may quote: nothing that could be a secret."""

from __future__ import annotations

import re
from difflib import get_close_matches

_SECRETS = ("access_key", "passphrase", "password", "secret")
# A key is found by its digits, too: it may stand where nobody would look for one.
_SECRET = re.compile(r"(key|passphrase|password|secret)\b.*|[0-9a-f]{32,}", re.I | re.S)


def is_secret(option: str) -> bool:
    """Return whether the value of an option is a secret, also if its name is not spelt right."""
    return bool(get_close_matches(option, _SECRETS, 1))


def quotable(text: str) -> str:
    """Return a text with ``...`` for what could be a secret."""
    return _SECRET.sub(lambda match: f"{match[1] or ''}...", text)
