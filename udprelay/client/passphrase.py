"""The passphrase of a room: where it comes from, and what the relay gets of it."""

from __future__ import annotations

import getpass
import os
import secrets
import stat
import warnings
from collections.abc import Callable, Mapping

from attrs import field, frozen

from udprelay.client import notices
from udprelay.client.notices import Notice
from udprelay.client.options import UsageError
from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.keys import PassphraseError, prepare_passphrase

VARIABLE = "UDPRELAY_PASSPHRASE"
# More is a wrong file, not a passphrase.
MOST_BYTES = 4096


@frozen
class Passphrase:
    """
    A passphrase that has been found.

    :param warning: what is wrong with the place where it was.
    """

    text: str = field(repr=False)
    warning: Notice | None = None


def find(file: str | None, environ: Mapping[str, str]) -> Passphrase | None:
    """
    Return the passphrase from a file or, without one, from the environment; if there is any.

    :raises UsageError: if it can't be read, or can't be a passphrase.
    """
    if file is not None:
        return _from_file(file)
    if VARIABLE not in environ:
        return None
    return Passphrase(_checked(environ[VARIABLE], VARIABLE))


def access_key(
    file: str | None, environ: Mapping[str, str], ask: Callable[[str], str] = getpass.getpass
) -> str:
    """
    Return the line for the configuration of a room with this passphrase, and a salt of its own.

    :param ask: asks for a passphrase on a terminal, if there is none elsewhere.
    :raises UsageError: as :func:`find`, and if two answers differ.
    """
    found = find(file, environ)
    if found is None:
        found = Passphrase(_checked(_asked(ask), "the answer"))
    return f"access_key = {AccessKey.make(found.text, secrets.token_bytes(16))}"


def _from_file(path: str) -> Passphrase:
    try:
        with open(path, "rb") as opened:
            content = opened.read(MOST_BYTES + 1)
            mode = os.fstat(opened.fileno()).st_mode
    except OSError as error:
        raise UsageError(f"--passphrase-file: {path!r}: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise UsageError(f"--passphrase-file: {path!r} has more than {MOST_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise UsageError(f"--passphrase-file: {path!r} is not UTF-8") from None
    exposed = stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH)
    warning = notices.passphrase_exposed(path) if exposed else None
    return Passphrase(_checked(text, repr(path)), warning)


def _checked(text: str, where: str) -> str:
    try:
        return prepare_passphrase(text)
    except PassphraseError as error:
        raise UsageError(f"{where}: {error}") from None


def _asked(ask: Callable[[str], str]) -> str:
    try:
        with warnings.catch_warnings():
            # Without a terminal it would be echoed.
            warnings.simplefilter("error", getpass.GetPassWarning)
            text = ask("Passphrase of the room: ")
            again = ask("The same again: ")
    except (EOFError, OSError, getpass.GetPassWarning):
        raise UsageError(
            f"no passphrase: give --passphrase-file or {VARIABLE}, or use a terminal"
        ) from None
    if text != again:
        raise UsageError("the two passphrases differ")
    return text
