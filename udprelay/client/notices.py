"""
What the client has to say besides the messages themselves.

Each notice has a stable id, typed fields, and one line for people. These are all of them:

====================  ====================================================================
``link.opened``       ``peer``, ``local`` (addresses as ``host:port``) [only with ``-v``]
``peer.unreachable``  ``peer``, ``reason`` (an errno name such as ``ECONNREFUSED``): said
                      once, not for each datagram
``peer.reachable``    ``peer``: something arrived after it was unreachable
``peer.unresolved``   ``host``: its name is unknown; the client leaves
``datagram.empty``    ``peer``: it sent an empty datagram, which is no message [``-v``]
``message.unsent``    ``peer``, ``reason`` (an errno name), ``bytes`` (its length)
``line.rejected``     ``line`` (its number from 1), ``reason`` (``empty``, ``too-long``,
                      ``invalid``, ``absent``), ``bytes`` (the length of what was rejected)
``terminal.ready``    ``peer`` [only on a terminal]
``history.unusable``  ``path``, ``reason`` (an errno name) [``-v``, on a terminal]
``output.failed``     standard output can't be written; the client leaves
``passphrase.exposed``  ``path``: others may read the file with the passphrase
====================  ====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from errno import ECONNREFUSED, errorcode
from os import strerror

from attrs import Factory, frozen

Fields = Mapping[str, str | int | float | None]


class Volume(Enum):
    """How much one must want to hear to hear a notice."""

    DETAIL = "only with --verbose"
    COMPANY = "where the front end wants it, else only with --verbose"
    NORMAL = "not with --quiet"
    ERROR = "always"


@frozen
class Notice:
    """
    Something that happened.

    :param event: its stable id.
    :param text: one line for people.
    """

    event: str
    text: str
    fields: Fields = Factory(dict)
    volume: Volume = Volume.NORMAL


class RejectedError(Exception):
    """
    A line that can't be sent as a message.

    :param reason: ``empty``, ``too-long``, ``invalid`` or ``absent`` (the receiver).
    :param explanation: the same for people.
    :param length: bytes in what was rejected.
    """

    def __init__(self, reason: str, explanation: str, length: int) -> None:
        super().__init__(explanation)
        self.reason = reason
        self.length = length


def too_long(length: int, limit: int, what: str = "message") -> RejectedError:
    return RejectedError("too-long", f"a {what} of {length} bytes (at most {limit})", length)


def errno_name(error: OSError) -> str:
    return errorcode.get(error.errno or 0, "EUNKNOWN")


def link_opened(peer: str, local: str) -> Notice:
    fields = {"peer": peer, "local": local}
    return Notice("link.opened", f"talking to {peer} from {local}", fields, Volume.DETAIL)


def peer_unreachable(peer: str, error: OSError, volume: Volume = Volume.NORMAL) -> Notice:
    if error.errno == ECONNREFUSED:
        text = f"nobody listens at {peer}"
    else:
        text = f"{peer} is unreachable: {_cause(error)}"
    return Notice("peer.unreachable", text, {"peer": peer, "reason": errno_name(error)}, volume)


def peer_reachable(peer: str) -> Notice:
    return Notice("peer.reachable", f"{peer} is reachable again", {"peer": peer})


def peer_unresolved(host: str) -> Notice:
    text = f"the name {host} is unknown"
    return Notice("peer.unresolved", text, {"host": host}, Volume.ERROR)


def datagram_empty(peer: str) -> Notice:
    text = f"an empty datagram from {peer}"
    return Notice("datagram.empty", text, {"peer": peer}, Volume.DETAIL)


def message_unsent(peer: str, error: OSError, length: int) -> Notice:
    fields: Fields = {"peer": peer, "reason": errno_name(error), "bytes": length}
    return Notice("message.unsent", f"not sent ({length} bytes): {_cause(error)}", fields)


def line_rejected(rejected: RejectedError, number: int) -> Notice:
    """:param number: of the line of input, from 1."""
    fields: Fields = {"line": number, "reason": rejected.reason, "bytes": rejected.length}
    return Notice("line.rejected", f"line {number} not sent: {rejected}", fields)


def terminal_ready(peer: str) -> Notice:
    return Notice("terminal.ready", f"talking to {peer}; /help for help", {"peer": peer})


def history_unusable(path: str, error: OSError) -> Notice:
    fields = {"path": path, "reason": errno_name(error)}
    text = f"no history is kept in {path}: {_cause(error)}"
    return Notice("history.unusable", text, fields, Volume.DETAIL)


def output_failed() -> Notice:
    return Notice("output.failed", "standard output can't be written", volume=Volume.ERROR)


def messages_pending(count: int) -> Notice:
    messages = "1 message has" if count == 1 else f"{count} messages have"
    text = f"leaving as soon as {messages} arrived"
    return Notice("messages.pending", text, {"count": count})


def passphrase_exposed(path: str) -> Notice:
    text = f"others may read the passphrase in {path}: chmod go= {path}"
    return Notice("passphrase.exposed", text, {"path": path})


def _cause(error: OSError) -> str:
    return error.strerror or strerror(error.errno or 0)
