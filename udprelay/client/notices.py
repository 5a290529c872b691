"""
What the client reports besides the messages themselves.

:data:`KINDS` has all notices; ``docs/client.rst`` and ``docs/bridge.rst`` describe them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from errno import ECONNREFUSED, errorcode
from os import strerror

from attrs import Factory, frozen

Value = str | int | float | None


class Level(Enum):
    """When a notice is shown."""

    DETAIL = "with --verbose"
    PRESENCE = "where the front end shows who comes and goes, or with --verbose"
    NORMAL = "without --quiet"
    ERROR = "always"


@frozen
class Kind:
    """
    A kind of notice.

    :param text: one line for people, with the names of values in braces.
    :param fields: the names of its fields, in the order of the JSON object.
    """

    text: str
    fields: str = ""
    level: Level = Level.NORMAL


KINDS = {
    "session.connecting": Kind("connecting to {peer} ...", "peer room"),
    "session.deriving": Kind("deriving the key from the passphrase ...", "room"),
    "session.joined": Kind(
        "in {room}{encrypted} as {nick}, {company}",
        "peer room nick member others sealed",
        Level.PRESENCE,
    ),
    "session.silent": Kind("{cause}; still trying", "peer seconds"),
    "session.lost": Kind("lost contact with {peer}: {cause}; reconnecting", "peer reason"),
    "session.resumed": Kind("reconnected to {peer}", "peer room nick member"),
    "session.refused": Kind("not admitted to {room}: {cause}{hint}", "room reason", Level.ERROR),
    "session.closed": Kind("no longer in {room}: {cause}", "room reason", Level.ERROR),
    "session.left": Kind("left {room}", "room", Level.PRESENCE),
    "session.leaving": Kind("leaving: waiting for the relay"),
    "member.joined": Kind("{name} has joined", "member nick", Level.PRESENCE),
    "member.left": Kind("{name} {what}", "member nick reason", Level.PRESENCE),
    "member.renamed": Kind("{old_name} is now {name}", "member nick before", Level.PRESENCE),
    "nick.changed": Kind("you are now {name}", "member nick", Level.PRESENCE),
    "nick.refused": Kind("nick not changed: {cause}", "reason"),
    "message.failed": Kind("not delivered ({cause}){excerpt}", "reason text bytes", Level.ERROR),
    "message.missed": Kind("not received by {name}{excerpt}", "nick text bytes", Level.ERROR),
    "messages.lost": Kind("lost in transit: {what}", "count nick", Level.ERROR),
    "messages.limited": Kind("too fast for the relay: {what}", "count reason", Level.ERROR),
    "messages.waiting": Kind("waiting for {names}", "member nick count"),
    "messages.resumed": Kind("no longer waiting"),
    "messages.pending": Kind("leaving when {messages} delivered", "count"),
    "messages.abandoned": Kind("left before {messages} acknowledged", "count", Level.ERROR),
    "message.distrusted": Kind("{what}", "reason member nick count", Level.ERROR),
    "ping.answered": Kind(
        "{peer} answered in {milliseconds:.1f} ms; datagrams lost: {lost}, recovered: {repaired},"
        " retransmitted: {repeated}",
        "seconds",
    ),
    "passphrase.exposed": Kind(
        "other users can read the passphrase in {path}; run: chmod go= {path}", "path"
    ),
    "line.rejected": Kind("line {line} not sent: {cause}", "line reason bytes"),
    "terminal.ready": Kind("talking to {peer}; /help for help", "peer"),
    "history.unusable": Kind(
        "cannot save the history in {path}: {cause}", "path reason", Level.DETAIL
    ),
    "notices.lost": Kind("{count} notices are missing here", "count", Level.ERROR),
    "output.failed": Kind("cannot write to standard output", level=Level.ERROR),
    "peer.unresolved": Kind("unknown host name {host}", "host", Level.ERROR),
    "peer.unreachable": Kind("{what}", "peer reason"),
    "peer.reachable": Kind("{peer} is reachable again", "peer"),
    "link.opened": Kind("sending to {peer} from {local}", "peer local", Level.DETAIL),
    "datagram.empty": Kind("empty datagram from {peer}", "peer", Level.DETAIL),
    "message.unsent": Kind("{bytes} bytes not sent: {cause}", "peer reason bytes"),
    "bridge.opened": Kind("the bridge is open at {local}{where}", "local program"),
    "bridge.exposed": Kind("other machines may be able to send to the bridge at {local}", "local"),
    "bridge.unusable": Kind(
        "cannot use {local} for the bridge: {cause}", "local reason", Level.ERROR
    ),
    "bridge.loop": Kind(
        "--bridge-to {program} is the {reason} itself: give the address of the program",
        "program reason",
        Level.ERROR,
    ),
    "bridge.member": Kind("{name} is at {local}", "member nick local"),
    "bridge.closed": Kind("{name} is no longer at {local}", "nick local"),
    "bridge.full": Kind(
        "no more sockets for members: {name} shares {local} with the room", "member nick local"
    ),
    "bridge.dropped": Kind("{what} dropped: {cause}", "reason count"),
    "bridge.traffic": Kind(
        "datagrams to the room: {to_room}, to the program: {to_program}, dropped: {dropped}",
        "to_room to_program dropped",
        Level.DETAIL,
    ),
}
"""The kinds of notices by their stable ids."""

# What codes mean, for people.
SESSION_LOST = {
    "silent": "no answer",
    "unreachable": "it is unreachable",
    "unknown": "it was restarted",
    "stuck": "it did not acknowledge a message",
    "stopping": "it is stopping",
    "idle": "this client timed out",
    "renewed": "this session has reached its limit of messages",
}
HINTS = {
    "key-required": "; give --passphrase-file or UDPRELAY_PASSPHRASE",
    "no-key-here": "; use no passphrase with this room",
    "nick-taken": "; choose another with --nick",
}
MEMBER_LEFT = {
    "idle": "timed out",
    "kicked": "was kicked",
    "replaced": "was replaced",
    "stopping": "has left, as the relay is stopping",
}
MESSAGE_FAILED = {
    "unacknowledged": "the relay did not acknowledge it",
    "not-joined": "no contact with the relay",
    "absent": "its receiver has left",
    "plain": "its receiver cannot get private messages",
    "closed": "this client has left the room",
    "unconfirmed": "the relay has gone, perhaps before everybody had it",
}
DISTRUSTED = {
    "badge": "the nick of {name} is not authenticated",
    "unsealed": "dropped {messages} from {name}: not encrypted",
    "seal": "dropped {messages} from {name}: decryption failed",
    "repeated": "dropped {messages} from {name}: replayed",
    "withheld": "not received: {messages} from {name}, withheld by the relay or given up",
}


@frozen
class Notice:
    """
    Something that happened.

    :param id: the stable name of this kind of notice.
    :param text: one line for people; it may have control characters from others.
    """

    id: str
    text: str
    fields: Mapping[str, Value] = Factory(dict)
    level: Level = Level.NORMAL

    @classmethod
    def of(cls, kind_id: str, **values: Value) -> Notice:
        """
        Return a notice of one of :data:`KINDS`.

        :param values: its fields, and the other values in its line for people.
        """
        kind = KINDS[kind_id]
        fields = {name: values[name] for name in kind.fields.split() if name in values}
        return cls(kind_id, kind.text.format(**values), fields, kind.level)


def reason_of(error: OSError) -> dict[str, Value]:
    """Return the name of an error as ``reason``, and the same for people as ``cause``."""
    return {
        "reason": errorcode.get(error.errno or 0, "EUNKNOWN"),
        "cause": error.strerror or strerror(error.errno or 0),
    }


def peer_unreachable(peer: str, error: OSError) -> Notice:
    reason = reason_of(error)
    what = f"{peer} is unreachable: {reason['cause']}"
    if error.errno == ECONNREFUSED:
        what = f"no program listens at {peer}"
    return Notice.of("peer.unreachable", peer=peer, what=what, **reason)


def messages(count: int, one: str = "", several: str = "") -> str:
    """
    Count messages in words.

    :param one: what follows one message, such as a verb.
    :param several: what follows several.
    """
    return f"1 message{one}" if count == 1 else f"{count} messages{several}"
