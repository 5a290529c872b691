"""The promises of a relay to plain members, checked from outside the hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.protocol.text import with_label
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.challenge import is_challenge
from udprelay.relay.drops import DropReason
from udprelay.relay.events import DatagramsDropped, Event, MemberJoined, RelayStopped
from udprelay.relay.hub import Hub
from udprelay.relay.room import Group, Listener, Member, Rendering

# All other reasons are for received datagrams.
OUTGOING = frozenset(
    (
        DropReason.UNREACHABLE,
        DropReason.SEND_BUFFER,
        DropReason.PATH_MTU,
        DropReason.SEND_FAILED,
        DropReason.CONSOLE_BEHIND,
    )
)


class Promises:
    """
    Watches one hub; a broken promise is an :exc:`AssertionError`.

    :ivar failed: deliveries that the kernel has rejected.
    """

    def __init__(self, hub: Hub, listeners: Mapping[str, Listener]) -> None:
        self.failed = 0
        self._hub = hub
        self._listeners = listeners
        self._sent: dict[str, dict[bytes, list[Any]]] = {}
        self._texts: dict[bytes | None, bytes] = {}
        self._delivered: set[bytes] = set()
        self._serial = 0
        self._last_sent: dict[bytes, int] = {}
        self._first_sent: dict[Any, int] = {}
        self._received: Counter[Any] = Counter()
        self._replied: Counter[Any] = Counter()
        self._unanswered: Counter[Any] = Counter()
        self._deliveries = 0
        self._datagrams = 0
        self._console_datagrams = 0
        self._neither = (0, 0)
        self._joined = 0
        self._reported: Counter[str] = Counter()

    # Received datagrams.

    def arrived(self, listener: Listener | None, room: str, source: Any, payload: bytes) -> None:
        """Note a datagram that the hub is about to receive."""
        self._sent.setdefault(room, {}).setdefault(payload, []).append(source)
        self._texts[with_label(payload, b"", 4 * MAX_PAYLOAD)] = payload
        self._serial += 1
        self._last_sent[payload] = self._serial
        if listener is not None and source not in listener.members:
            # It joins with this datagram at the earliest.
            self._first_sent.setdefault((listener, source), self._serial)
        if listener is None:
            self._console_datagrams += 1
        else:
            self._datagrams += 1
            self._received[source] += len(payload)
            self._unanswered[source] += 1

    def before(self, listener: Listener) -> set[Any]:
        """Return the members for :meth:`after`."""
        self._first_sent.clear()
        return set(listener.members)

    def after(
        self, listener: Listener, batch: Sequence[tuple[Any, bytes]], members: set[Any]
    ) -> None:
        """
        Count the datagrams of a batch that are neither relayed nor dropped.

        These are empty ones of members, and codes, each of a member that joined in this batch.
        """
        joined = len(listener.members) - len(members)
        of_members = sum(not payload and source in members for source, payload in batch)
        empty = sum(not payload and source in listener.members for source, payload in batch)
        lowest, highest = self._neither
        self._neither = lowest + of_members, highest + empty + joined

    # Sent datagrams.

    def delivery(self, group: Group, payload: bytes, sender: Member, member: Member) -> None:
        """Check one delivery."""
        room = sender.room.name
        self._deliveries += 1
        assert member.room is sender.room, f"{member.name} is not in {room}"
        assert member.slot >= 0, f"{member.name} has left {room}"
        if group.rendering is Rendering.LABELLED:
            label = f"{sender.name}: ".encode()
            lines = payload.removesuffix(b"\n").split(b"\n")
            assert all(line.startswith(label) for line in lines), f"{payload!r} without {label!r}"
            payload = self._texts[payload.replace(b"\n" + label, b"\n").removeprefix(label)]
        self._delivered.add(payload)
        sources = self._sent[room].get(payload)
        assert sources is not None, f"{payload!r} was not sent to {room}"
        if member.kind is MemberKind.PLAIN:
            joined = self._first_sent.get((member.listener, member.source), 0)
            assert self._last_sent[payload] >= joined, f"{payload!r} is older than {member.name}"
        if member.kind is not MemberKind.CONSOLE:
            assert member.source != sender.source, f"{payload!r} goes back to its sender"
            others = [source for source in sources if source != member.source]
            assert others, f"{payload!r} goes back to {member.source}"

    def was_delivered(self, payload: bytes) -> bool:
        """Return whether a fan-out had this payload."""
        return payload in self._delivered

    def reply(self, source: Any, payload: bytes) -> None:
        """Check one datagram that is not part of a fan-out."""
        assert is_challenge(payload), f"{payload!r} was sent to {source}, which is no member"
        self._replied[source] += len(payload)
        assert self._replied[source] < 3 * self._received[source], (
            f"{source} sent {self._received[source]} bytes and got {self._replied[source]}"
        )
        self._unanswered[source] -= 1
        assert self._unanswered[source] >= 0, f"{source} got more answers than it sent datagrams"

    # Tables, events and totals.

    def bounds(self) -> None:
        """Check that no table outgrows the configuration."""
        hub, rules = self._hub, self._hub.rules
        plain = sum(len(listener.members) for listener in self._listeners.values())
        for room in hub.roster.rooms.values():
            inside = Counter(member.kind for member in room.members())
            assert inside[MemberKind.PLAIN] <= room.rules.max_members
            assert len(room) == inside.total() > 0
        assert hub.roster.kinds[MemberKind.PLAIN] == plain <= rules.max_members
        assert hub.roster.member_count == sum(map(len, hub.roster.rooms.values()))
        named = {listener.room for listener in rules.listeners.values()} | set(rules.rooms)
        assert set(hub.roster.rooms) <= named

    def event(self, event: Event) -> None:
        """Add up drops and joins."""
        if isinstance(event, DatagramsDropped):
            self._reported[event.reason] += event.count
        elif isinstance(event, MemberJoined):
            self._joined += 1

    def totals(self, stopped: RelayStopped) -> None:
        """Compare the totals with the counts."""
        assert stopped.deliveries == self._deliveries - self.failed
        assert stopped.members == self._joined
        assert stopped.dropped == dict(self._reported)
        dropped = sum(n for reason, n in stopped.dropped.items() if reason not in OUTGOING)
        relayed = stopped.datagrams - self._console_datagrams
        lowest, highest = self._neither
        rest = self._datagrams - relayed - dropped
        assert lowest <= rest <= highest, f"{rest} datagrams were neither relayed nor dropped"
        assert stopped.dropped.get(DropReason.SEND_BUFFER.value, 0) == self.failed
