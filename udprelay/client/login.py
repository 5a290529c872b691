"""A nick for somebody who has not chosen one."""

from __future__ import annotations

import getpass

from udprelay.protocol.nick import NickError, is_reserved, normalise

NOBODY = "somebody"


def login_nick() -> str:
    """Return the login name if it can be a nick, else :data:`NOBODY`."""
    try:
        nick = normalise(getpass.getuser())
    except (KeyError, OSError, NickError):
        # No such user, as in a container that was told any number (before 3.13: KeyError).
        return NOBODY
    return NOBODY if is_reserved(nick) else nick
