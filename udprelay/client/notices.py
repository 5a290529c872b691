"""
What the client reports besides the messages themselves.

Each function gives one notice: its stable id, its typed fields, and one line for people.
:mod:`udprelay.client.room_notices` and :mod:`udprelay.client.bridge_notices` have more of them;
``docs/client.rst`` and ``docs/bridge.rst`` list all.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from errno import ECONNREFUSED, errorcode
from os import strerror

from attrs import Factory, frozen

Fields = Mapping[str, str | int | float | None]


class Level(Enum):
    """When a notice is shown."""

    DETAIL = "with --verbose"
    PRESENCE = "where the front end shows who comes and goes, or with --verbose"
    NORMAL = "without --quiet"
    ERROR = "always"


@frozen
class Notice:
    """
    Something that happened.

    :param id: the stable name of this kind of notice.
    :param text: one line for people; it may have control characters from others.
    """

    id: str
    text: str
    fields: Fields = Factory(dict)
    level: Level = Level.NORMAL


def errno_name(error: OSError) -> str:
    return errorcode.get(error.errno or 0, "EUNKNOWN")


def link_opened(peer: str, local: str) -> Notice:
    fields = {"peer": peer, "local": local}
    return Notice("link.opened", f"sending to {peer} from {local}", fields, Level.DETAIL)


def peer_unreachable(peer: str, error: OSError, level: Level = Level.NORMAL) -> Notice:
    if error.errno == ECONNREFUSED:
        text = f"no program listens at {peer}"
    else:
        text = f"{peer} is unreachable: {errno_text(error)}"
    return Notice("peer.unreachable", text, {"peer": peer, "reason": errno_name(error)}, level)


def peer_reachable(peer: str) -> Notice:
    return Notice("peer.reachable", f"{peer} is reachable again", {"peer": peer})


def peer_unresolved(host: str) -> Notice:
    return Notice("peer.unresolved", f"unknown host name {host}", {"host": host}, Level.ERROR)


def datagram_empty(peer: str) -> Notice:
    text = f"empty datagram from {peer}"
    return Notice("datagram.empty", text, {"peer": peer}, Level.DETAIL)


def message_unsent(peer: str, error: OSError, length: int) -> Notice:
    fields: Fields = {"peer": peer, "reason": errno_name(error), "bytes": length}
    return Notice("message.unsent", f"{length} bytes not sent: {errno_text(error)}", fields)


def line_rejected(line: int, reason: str, explanation: str, length: int) -> Notice:
    """Report a line by its number, from 1; the rest is as in ``channel.RejectedError``."""
    fields: Fields = {"line": line, "reason": reason, "bytes": length}
    return Notice("line.rejected", f"line {line} not sent: {explanation}", fields)


def terminal_ready(peer: str) -> Notice:
    return Notice("terminal.ready", f"talking to {peer}; /help for help", {"peer": peer})


def history_unusable(path: str, error: OSError) -> Notice:
    fields = {"path": path, "reason": errno_name(error)}
    text = f"cannot save the history in {path}: {errno_text(error)}"
    return Notice("history.unusable", text, fields, Level.DETAIL)


def output_failed() -> Notice:
    return Notice("output.failed", "cannot write to standard output", level=Level.ERROR)


def messages_pending(count: int) -> Notice:
    messages = "1 message is" if count == 1 else f"{count} messages are"
    return Notice("messages.pending", f"leaving when {messages} delivered", {"count": count})


def passphrase_exposed(path: str) -> Notice:
    text = f"other users can read the passphrase in {path}; run: chmod go= {path}"
    return Notice("passphrase.exposed", text, {"path": path})


def errno_text(error: OSError) -> str:
    return error.strerror or strerror(error.errno or 0)
