"""
The formats of messages and notices in a pipe: lines of text, or ``--json`` objects.

With ``--json`` each line of standard output is one object in ASCII. Each has ``time``
(RFC 3339, UTC, microseconds) and ``event``:

``message``
    A message was received. In a room: ``room``, ``member`` (its number), ``nick`` (null if it
    is not authenticated), ``private``, ``reliable``, ``sealed``. ``text``: the whole payload
    as text, a final line break included. ``bytes``: the length of the payload. ``base64``: the
    exact payload, only if it is not UTF-8; ``text`` has ``\\xNN`` for invalid bytes.
any other
    A notice of :data:`udprelay.client.notices.KINDS`, with its fields, and ``detail``: the line
    for people.

Each line of standard input is an object with ``text`` or ``base64`` (which takes precedence):
a received ``message`` can be forwarded unchanged. In a room, ``to`` is the nick of the only
member to get it, and ``reliable`` says whether it is retransmitted until it is acknowledged.
Other keys are ignored, but an object that is ``private`` needs ``to``.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Protocol, TypeVar

from udprelay.client.channel import IncomingMessage, OutgoingMessage, RejectedError
from udprelay.client.notices import Notice, Value
from udprelay.protocol.text import printable, printable_payload, without_line_break
from udprelay.session_client.pieces import MAX_MESSAGE

T = TypeVar("T")
D = TypeVar("D")

_KINDS = {str: "a string", bool: "true or false"}


class Format(Protocol):
    """
    How input is parsed, and output is formatted.

    :ivar max_line: bytes in the longest line of input that can be a message.
    :ivar notices_in_output: whether notices go to standard output.
    """

    max_line: int
    notices_in_output: bool

    def parse(self, line: bytes) -> OutgoingMessage:
        """
        Return the message in a line of input.

        :raises RejectedError: if the line is invalid.
        """
        ...

    def message(self, message: IncomingMessage) -> bytes:
        """Return the line of output for a received message, without a line break."""
        ...

    def notice(self, notice: Notice) -> bytes: ...


class TextFormat:
    """
    A message is a line of the same bytes, after the sender's name if that is known.

    :param escape: whether control characters are escaped. If not, only line breaks are, so
        that a message is always one line.
    :param max_message: bytes in the longest message that can be sent.
    """

    notices_in_output = False

    def __init__(self, escape: bool, max_message: int = MAX_MESSAGE) -> None:
        self.max_line = max_message
        self._escape = escape

    def parse(self, line: bytes) -> OutgoingMessage:
        return OutgoingMessage(line)

    def message(self, message: IncomingMessage) -> bytes:
        return self._name_prefix(message) + self._text(message.payload)

    def _name_prefix(self, message: IncomingMessage) -> bytes:
        if message.sender is None:
            return b""
        private = " (private)" if message.sender.private else ""
        return f"{printable(message.sender.name)}{private}: ".encode()

    def _text(self, payload: bytes) -> bytes:
        if self._escape:
            return printable_payload(payload).encode()
        return without_line_break(payload).replace(b"\r", b"\\r").replace(b"\n", b"\\n")

    def notice(self, notice: Notice) -> bytes:
        return b"udprelay-client: " + printable(notice.text).encode()


def _now() -> datetime:
    return datetime.now(timezone.utc)


class JSONFormat:
    """A message is a JSON object; so is a notice."""

    # Each byte of the largest message as an escape of six bytes, and 4 KiB for the rest.
    max_line = 6 * MAX_MESSAGE + 4096
    notices_in_output = True

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        self._now = now

    def parse(self, line: bytes) -> OutgoingMessage:
        if not line.strip():
            return OutgoingMessage(b"")
        try:
            return _parse(json.loads(line.decode()))
        except (ValueError, RecursionError) as error:
            raise RejectedError("invalid", _explanation(error), len(line)) from None

    def message(self, message: IncomingMessage) -> bytes:
        payload, sender = message.payload, message.sender
        fields: dict[str, Value] = {}
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
        return self._object(notice.id, {**notice.fields, "detail": notice.text})

    def _object(self, event: str, fields: dict[str, Value]) -> bytes:
        time = self._now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        # ASCII, so that C1 controls and bidirectional overrides reach a terminal escaped.
        return json.dumps({"time": time, "event": event, **fields}).encode()


def _parse(value: object) -> OutgoingMessage:
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    to = _get(value, "to", str, None)
    if to is None and _get(value, "private", bool, False):
        raise ValueError("'private' without 'to'")
    return OutgoingMessage(_payload(value), to, _get(value, "reliable", bool, True))


def _payload(value: dict[str, object]) -> bytes:
    encoded = _get(value, "base64", str, None)
    if encoded is not None:
        return _decode_base64(encoded)
    text = _get(value, "text", str, None)
    if text is None:
        raise ValueError("neither 'text' nor 'base64'")
    return _encode_text(text)


def _get(value: dict[str, object], key: str, kind: type[T], default: D) -> T | D:
    """Return the value of a key, checked; the default if the key is missing."""
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


def _explanation(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, json.JSONDecodeError | RecursionError):
        return f"not JSON: {error}"
    return str(error)
