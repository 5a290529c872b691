"""The reasons for drops, their counters, and the event for each window."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from math import inf

from udprelay.relay.events import DatagramsDropped


class DropReason(str, Enum):
    """The reasons for which the relay drops a datagram or a delivery."""

    INVALID_SOURCE = "invalid-source"
    """Source port 0, or a multicast, broadcast or unspecified source address."""
    OWN_ADDRESS = "own-address"
    """Its source is one of the relay's own listeners."""
    FROM_TARGET = "from-target"
    """Targets only receive."""
    KICKED = "kicked"
    PLAIN_OFF = "plain-off"
    OUTSIDE_NETWORKS = "outside-networks"
    ROOM_FULL = "room-full"
    RELAY_FULL = "relay-full"
    CHALLENGED = "challenged"
    """Its sender was sent a code, to prove the return path."""
    CHALLENGE_ECHO = "challenge-echo"
    """It is a challenge: from another relay, or ours sent back whole."""
    CHALLENGE_LIMIT = "challenge-limit"
    """Too many challenges for this source prefix."""
    CHALLENGE_TOO_SHORT = "challenge-too-short"
    """No challenge is smaller than three times this datagram."""
    SESSION_ONLY = "session-only"
    """The listener accepts session datagrams only."""
    KEY_REQUIRED = "key-required"
    """The room has an access key, and the sender proved none."""
    WRONG_KEY = "wrong-key"
    NO_KEY_HERE = "no-key-here"
    """The sender proved a key, and the room has none."""
    NO_ROOM = "no-room"
    """The room does not exist, and may not be opened."""
    NICK_TAKEN = "nick-taken"
    NICK_INVALID = "nick-invalid"
    NICK_LIMIT = "nick-limit"
    """A NICK within five seconds of the sender's last new nick."""
    PROOF_LIMIT = "proof-limit"
    """Too many wrong proofs from this source or its prefix; the proof was not checked."""
    SOURCE_FULL = "source-full"
    """Its source, prefix or network has all members that source_members allows."""
    SOURCE_ROOMS = "source-rooms"
    """Its source, prefix or network has opened all rooms that source_rooms allows."""
    JOIN_LIMIT = "join-limit"
    """Too many joins from its source, prefix or network."""
    CONTROL_LIMIT = "control-limit"
    """Too many control datagrams in one batch."""
    STRANGER_LIMIT = "stranger-limit"
    """Its source is no member, and stranger_rate is used up; it was not looked at."""
    MALFORMED = "malformed"
    """It has the signature, but is no datagram that a client may send."""
    OTHER_VERSION = "other-version"
    """Its sender was sent the versions of the relay."""
    COOKIE = "cookie"
    """A JOIN whose cookie is too old, was made for another address, or has made a member."""
    UNKNOWN_SESSION = "unknown-session"
    """The relay has no such session, and answered so."""
    SESSION_LIMIT = "session-limit"
    """As one of the above, but not answered: too many answers to this source prefix."""
    PATH = "path"
    """Its token does not prove the new address."""
    REPEATED = "repeated"
    """It is a duplicate, or outside the receive window."""
    MEMBER_LIMIT = "member-limit"
    """Its sender has used up member_rate or member_bandwidth."""
    MEMBER_OUTPUT = "member-output"
    """Its sender has used up member_output."""
    CONTROL_RATE = "control-rate"
    """Its sender has used up control_rate."""
    ROOM_OUTPUT = "room-output"
    """Its sender has used up its share of room_output."""
    RELAY_OUTPUT = "relay-output"
    """Its sender has used up its share of [limits] output."""
    LOOP = "loop"
    """Its sender returns what it is sent: a relay, an echo program or a bridge."""
    EARLY_LIMIT = "early-limit"
    """The memory for datagrams that wait for an earlier one is used up."""
    REPAIR_LIMIT = "repair-limit"
    """Its sender asks for more than repair_rate allows."""
    OUTSIDE_SEQUENCE = "outside-sequence"
    """It asks for sequences before the sender's join, or not sent yet."""
    ABSENT = "absent"
    """A private message for a client that is not in the room."""
    TOO_LONG = "too-long"
    """More than 65,507 bytes, or with the room's label it would be."""
    RECEIVE_BUFFER = "receive-buffer"
    """The kernel's receive buffer was full: the relay could not keep up."""
    FILTERED = "filtered"
    """The kernel dropped them while a flood was filtered: at least so many."""
    UNREACHABLE = "unreachable"
    """An ICMP error was received for a member's address."""
    SEND_BUFFER = "send-buffer"
    """The kernel's send buffer was full."""
    PATH_MTU = "path-mtu"
    """Larger than the path MTU, and not to be fragmented."""
    SEND_FAILED = "send-failed"
    """Any other error of the sending system call."""
    CONSOLE_BEHIND = "console-behind"
    """The terminal of the relay is too slow for its lines."""


class Drops:
    """
    Counts drops by listener, room and reason, and reports each window once.

    The number of counters is bounded by the configuration.

    :param window: seconds from the first drop to the report of all that followed.
    """

    def __init__(self, window: float) -> None:
        self._window = window
        self._current: Counter[tuple[str, str, DropReason]] = Counter()
        self._since = 0.0
        self._totals = dict.fromkeys(DropReason, 0)

    def __len__(self) -> int:
        return len(self._current)

    def by_reason(self) -> dict[str, int]:
        """Return the number of all drops for each reason."""
        return {reason.value: count for reason, count in self._totals.items()}

    @property
    def deadline(self) -> float:
        """When :meth:`report` is due, or infinity."""
        return self._since + self._window if self._current else inf

    def count(
        self, listener: str, room: str, reason: DropReason, now: float, count: int = 1
    ) -> bool:
        """Count drops; return whether they are the first of their kind in this window."""
        if not self._current:
            self._since = now
        key = (listener, room, reason)
        first = key not in self._current
        self._current[key] += count
        self._totals[reason] += count
        return first

    def report(self, now: float) -> list[DatagramsDropped]:
        """Return one event for each kind of drop and begin a new window."""
        window = round(now - self._since, 3)
        events = [
            DatagramsDropped(
                listener=listener, room=room, reason=reason.value, count=count, window=window
            )
            for (listener, room, reason), count in self._current.items()
        ]
        self._current.clear()
        return events
