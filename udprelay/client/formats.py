"""
How messages and notices look in a pipe: as lines of text, or with ``--json`` as objects.

With ``--json`` each line of standard output is one object in ASCII. Each has ``time``
(RFC 3339, UTC, microseconds) and ``event``:

``message``
    A message was received. In a room: ``room``, ``member`` (its number), ``nick`` (null if
    nobody vouches for it), ``private``, ``reliable``, ``sealed``. ``text``: all of its payload
    as text, a final line break included. ``bytes``: the length of the payload. ``base64``: the
    exact payload, only if it is not UTF-8; ``text`` has ``\\xNN`` for the bytes that are not.
any other
    A notice (see :mod:`udprelay.client.notices`, :mod:`udprelay.client.room_notices`), with
    its fields, and ``detail``: the line for people.

Each line of standard input is an object with ``text`` or ``base64`` (which wins), so that
a received ``message`` sent on has the same payload. In a room, ``to`` is the nick of the only
member to get it, and ``reliable`` says whether it is repeated until it has arrived. Other keys
are ignored, but what is ``private`` is not sent to everybody.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Protocol, TypeVar

from udprelay.client.notices import Fields, Notice, RejectedError
from udprelay.client.talk import Heard, Said
from udprelay.protocol.text import printable, shown, without_line_break
from udprelay.session_client.sending import LARGEST_MESSAGE

T = TypeVar("T")
D = TypeVar("D")

_KINDS = {str: "a string", bool: "true or false"}


class Format(Protocol):
    """
    The two ways of a pipe.

    :param longest_line: bytes in the longest line of input that could be a message.
    :param notices_in_output: whether notices are part of standard output.
    """

    longest_line: int
    notices_in_output: bool

    def said(self, line: bytes) -> Said:
        """
        Return what a line of input says.

        :raises RejectedError: if that can't be told.
        """
        ...

    def message(self, message: Heard) -> bytes:
        """Return the line of output, without its line break, for a received message."""
        ...

    def notice(self, notice: Notice) -> bytes: ...


class TextFormat:
    """
    A message is a line of the same bytes, behind the sender's name if that is known.

    :param escape: whether what could steer a terminal is written as escapes. If not, only
        line breaks are, so that one message is always one line.
    :param longest: bytes in the longest message that can be sent.
    """

    notices_in_output = False

    def __init__(self, escape: bool, longest: int = LARGEST_MESSAGE) -> None:
        self.longest_line = longest
        self._escape = escape

    def said(self, line: bytes) -> Said:
        return Said(line)

    def message(self, message: Heard) -> bytes:
        return self._behind_name(message) + self._text(message.payload)

    def _behind_name(self, message: Heard) -> bytes:
        if message.sender is None:
            return b""
        private = " (private)" if message.sender.private else ""
        return f"{printable(message.sender.name)}{private}: ".encode()

    def _text(self, payload: bytes) -> bytes:
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
    longest_line = 6 * LARGEST_MESSAGE + 4096
    notices_in_output = True

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        self._now = now

    def said(self, line: bytes) -> Said:
        if not line.strip():
            return Said(b"")
        try:
            return _said(json.loads(line.decode()))
        except (ValueError, RecursionError) as error:
            raise RejectedError("invalid", _in_one_line(error), len(line)) from None

    def message(self, message: Heard) -> bytes:
        payload, sender = message.payload, message.sender
        fields: dict[str, str | int | float | None] = {}
        if sender is not None:
            fields.update(
                room=sender.room,
                member=sender.number,
                nick=sender.nick,
                private=sender.private,
                reliable=sender.reliable,
                sealed=sender.sealed,
            )
        text = payload.decode("utf-8", "backslashreplace")
        fields.update(text=text, bytes=len(payload))
        if text.encode() != payload:
            fields["base64"] = b64encode(payload).decode()
        return self._object("message", fields)

    def notice(self, notice: Notice) -> bytes:
        return self._object(notice.event, {**notice.fields, "detail": notice.text})

    def _object(self, event: str, fields: Fields) -> bytes:
        time = self._now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        # In ASCII: C1 controls and bidirectional overrides don't reach a terminal as they are.
        return json.dumps({"time": time, "event": event, **fields}).encode()


def _said(value: object) -> Said:
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    to = _typed(value, "to", str, None)
    if to is None and _typed(value, "private", bool, False):
        raise ValueError("'private' without 'to'")
    return Said(_payload(value), to, _typed(value, "reliable", bool, True))


def _payload(value: dict[str, object]) -> bytes:
    encoded = _typed(value, "base64", str, None)
    if encoded is not None:
        return _decode_base64(encoded)
    text = _typed(value, "text", str, None)
    if text is None:
        raise ValueError("neither 'text' nor 'base64'")
    return _encode_text(text)


def _typed(value: dict[str, object], key: str, kind: type[T], default: D) -> T | D:
    if key not in value:
        return default
    found = value[key]
    if not isinstance(found, kind):
        raise ValueError(f"{key!r} is not {_KINDS[kind]}")
    return found


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
