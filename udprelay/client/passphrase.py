"""Finds the passphrase of a room, and derives the access key for the relay."""

from __future__ import annotations

import getpass
import os
import secrets
import stat
import warnings
from collections.abc import Callable, Mapping

from attrs import field, frozen

from udprelay.client.notices import Notice
from udprelay.client.options import UsageError
from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.keys import PassphraseError, prepare_passphrase

VARIABLE = "UDPRELAY_PASSPHRASE"
MAX_FILE_BYTES = 4096
"""A larger file cannot be a passphrase file."""


@frozen
class Passphrase:
    """
    A passphrase.

    :param warning: about the file that it comes from.
    """

    text: str = field(repr=False)
    warning: Notice | None = None


def find(file: str | None, environ: Mapping[str, str]) -> Passphrase | None:
    """
    Return the passphrase from a file or else from the environment; ``None`` without either.

    :raises UsageError: if the file cannot be read, or the passphrase is invalid.
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
    Return the line for the relay's configuration, with a new salt.

    :param ask: asks for a passphrase on a terminal, if there is none elsewhere.
    :raises UsageError: as :func:`find`, and if the two answers differ.
    """
    found = find(file, environ)
    if found is None:
        found = Passphrase(_checked(_ask_twice(ask), "the answer"))
    return f"access_key = {AccessKey.make(found.text, secrets.token_bytes(16))}"


def _from_file(path: str) -> Passphrase:
    try:
        with open(path, "rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
            mode = os.fstat(opened.fileno()).st_mode
    except OSError as error:
        raise UsageError(f"--passphrase-file: {path!r}: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"--passphrase-file: {path!r} has more than {MAX_FILE_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise UsageError(f"--passphrase-file: {path!r} is not UTF-8") from None
    exposed = stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH)
    warning = Notice.of("passphrase.exposed", path=path) if exposed else None
    return Passphrase(_checked(text, repr(path)), warning)


def _checked(text: str, where: str) -> str:
    try:
        return prepare_passphrase(text)
    except PassphraseError as error:
        raise UsageError(f"{where}: {error}") from None


def _ask_twice(ask: Callable[[str], str]) -> str:
    try:
        with warnings.catch_warnings():
            # Without a terminal, it would be echoed.
            warnings.simplefilter("error", getpass.GetPassWarning)
            text = ask("Room passphrase: ")
            repeated = ask("Repeat the passphrase: ")
    except (EOFError, OSError, getpass.GetPassWarning):
        raise UsageError(
            f"no passphrase: give --passphrase-file or {VARIABLE}, or use a terminal"
        ) from None
    if text != repeated:
        raise UsageError("the two passphrases differ")
    return text
