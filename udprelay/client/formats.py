"""
How messages and notices look in a pipe: as lines of text, or with ``--json`` as objects.

With ``--json`` each line of standard output is one object in ASCII. Each has ``time``
(RFC 3339, UTC, microseconds) and ``event``:

``message``
    A message was received. ``text``: all of its payload as text, a final line break
    included. ``bytes``: the length of the payload. ``base64``: the exact payload, only if it
    is not UTF-8; ``text`` has ``\\xNN`` for the bytes that are not.
any other
    A notice (see :mod:`udprelay.client.notices`), with its fields, and ``detail``: the line
    for people.

Each line of standard input is an object with ``text`` or ``base64`` (which wins), so that
a received ``message`` sent on has the same payload. Other keys are ignored.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Protocol

from udprelay.client.notices import Fields, Notice, RejectedError
from udprelay.core.endpoint import MAX_PAYLOAD
from udprelay.core.text import printable, shown, without_line_break


class Format(Protocol):
    """
    The two ways of a pipe.

    :param longest_line: bytes in the longest line of input that could be a message.
    :param notices_in_output: whether notices are part of standard output.
    """

    longest_line: int
    notices_in_output: bool

    def payload(self, line: bytes) -> bytes:
        """
        Return what a line of input says.

        :raises RejectedError: if that can't be told.
        """
        ...

    def message(self, payload: bytes) -> bytes:
        """Return the line of output, without its line break, for a received payload."""
        ...

    def notice(self, notice: Notice) -> bytes: ...


class TextFormat:
    """
    A message is a line of the same bytes.

    :param escape: whether what could steer a terminal is written as escapes. If not, only
        line breaks are, so that one message is always one line.
    """

    longest_line = MAX_PAYLOAD
    notices_in_output = False

    def __init__(self, escape: bool) -> None:
        self._escape = escape

    def payload(self, line: bytes) -> bytes:
        return line

    def message(self, payload: bytes) -> bytes:
        if self._escape:
            return shown(payload).encode()
        return without_line_break(payload).replace(b"\r", b"\\r").replace(b"\n", b"\\n")

    def notice(self, notice: Notice) -> bytes:
        return b"udprelay-client: " + printable(notice.text).encode()


def _now() -> datetime:
    return datetime.now(timezone.utc)


class JSONFormat:
    """A message is a JSON object; so is a notice."""

    # Each byte of the largest message as an escape of six, and room for the rest.
    longest_line = 6 * MAX_PAYLOAD + 4096
    notices_in_output = True

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        self._now = now

    def payload(self, line: bytes) -> bytes:
        if not line.strip():
            return b""
        try:
            return _said(json.loads(line.decode()))
        except (ValueError, RecursionError) as error:
            raise RejectedError("invalid", _in_one_line(error), len(line)) from None

    def message(self, payload: bytes) -> bytes:
        text = payload.decode("utf-8", "backslashreplace")
        fields: dict[str, str | int] = {"text": text, "bytes": len(payload)}
        if text.encode() != payload:
            fields["base64"] = b64encode(payload).decode()
        return self._object("message", fields)

    def notice(self, notice: Notice) -> bytes:
        return self._object(notice.event, {**notice.fields, "detail": notice.text})

    def _object(self, event: str, fields: Fields) -> bytes:
        time = self._now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        # In ASCII: C1 controls and bidirectional overrides don't reach a terminal as they are.
        return json.dumps({"time": time, "event": event, **fields}).encode()


def _said(value: object) -> bytes:
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    for key, read in (("base64", _decode_base64), ("text", _encode_text)):
        if key in value:
            if not isinstance(value[key], str):
                raise ValueError(f"{key!r} is not a string")
            return read(value[key])
    raise ValueError("neither 'text' nor 'base64'")


def _decode_base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"'base64': {error}") from None


def _encode_text(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"'text': {error}") from None


def _in_one_line(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, json.JSONDecodeError | RecursionError):
        return f"not JSON: {error}"
    return str(error)
