"""
The formats of messages and notices in a pipe: lines of text, or ``--json`` objects.

``docs/client.rst`` describes the objects.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TypeVar

from udprelay.client.channel import IncomingMessage, OutgoingMessage, RejectedError
from udprelay.client.notices import Notice, Value
from udprelay.protocol.text import printable, printable_payload, without_line_break
from udprelay.session_client.pieces import MAX_MESSAGE

T = TypeVar("T")
D = TypeVar("D")

_KINDS = {str: "a string", bool: "true or false"}


class TextFormat:
    """
    A message is a line of the same bytes, after the sender's name if that is known.

    :param escape: whether control characters are escaped. If not, only line breaks are, so
        that a message is always one line.
    :param max_message: bytes in the longest message that can be sent.
    :ivar max_line: bytes in the longest line of input that can be a message.
    :ivar notices_in_output: whether notices go to standard output.
    """

    notices_in_output = False

    def __init__(self, escape: bool, max_message: int = MAX_MESSAGE) -> None:
        self.max_line = max_message
        self._escape = escape

    def parse(self, line: bytes) -> OutgoingMessage:
        return OutgoingMessage(line)

    def message(self, message: IncomingMessage) -> bytes:
        payload, sender = message.payload, message.sender
        if self._escape:
            text = printable_payload(payload).encode()
        else:
            text = without_line_break(payload).replace(b"\r", b"\\r").replace(b"\n", b"\\n")
        if sender is None:
            return text
        private = " (private)" if sender.private else ""
        return f"{printable(sender.name)}{private}: ".encode() + text

    def notice(self, notice: Notice) -> bytes:
        return b"udprelay-client: " + printable(notice.text).encode()


class JSONFormat:
    """
    A message is a JSON object; so is a notice.

    The variables are those of :class:`TextFormat`.
    """

    # Each byte of the largest message as an escape of six bytes, and 4 KiB for the rest.
    max_line = 6 * MAX_MESSAGE + 4096
    notices_in_output = True

    def __init__(self, now: Callable[[timezone], datetime] = datetime.now) -> None:
        self._now = now

    def parse(self, line: bytes) -> OutgoingMessage:
        """
        Return the message in a line of input.

        :raises RejectedError: if the line is invalid.
        """
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
        time = self._now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
        # ASCII, so that C1 controls and bidirectional overrides reach a terminal escaped.
        return json.dumps({"time": time, "event": event, **fields}).encode()


Format = TextFormat | JSONFormat


def _parse(value: object) -> OutgoingMessage:
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    to = _get(value, "to", str, None)
    if to is None and _get(value, "private", bool, False):
        raise ValueError("'private' without 'to'")
    return OutgoingMessage(_payload(value), to, _get(value, "reliable", bool, True))


def _payload(value: dict[str, object]) -> bytes:
    key = "base64" if "base64" in value else "text"
    content = _get(value, key, str, None)
    if content is None:
        raise ValueError("neither 'text' nor 'base64'")
    try:
        return content.encode() if key == "text" else b64decode(content, validate=True)
    except ValueError as error:
        raise ValueError(f"{key!r}: {error}") from None


def _get(value: dict[str, object], key: str, kind: type[T], default: D) -> T | D:
    """Return the value of a key, checked; the default if the key is missing."""
    if key not in value:
        return default
    found = value[key]
    if not isinstance(found, kind):
        raise ValueError(f"{key!r} is not {_KINDS[kind]}")
    return found


def _explanation(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, json.JSONDecodeError | RecursionError):
        return f"not JSON: {error}"
    return str(error)
