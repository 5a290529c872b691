"""What a relay promises, checked at each step from outside the hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from udprelay.relay.challenge import is_challenge
from udprelay.relay.drops import DropReason
from udprelay.relay.events import DatagramsDropped, Event, MemberJoined, RelayStopped
from udprelay.relay.fan_out import FanOut
from udprelay.relay.hub import Hub, Reply
from udprelay.relay.listener import Listener
from udprelay.relay.room import Group, Kind, Member

MOST_KICKED = 1024
# Drops of deliveries; all others are of datagrams that came in.
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

    :ivar kicks: members that were put out.
    :ivar refused: deliveries that the kernel did not take.
    """

    def __init__(self, hub: Hub, listeners: Mapping[str, Listener]) -> None:
        self.kicks = 0
        self.refused = 0
        self._hub = hub
        self._listeners = listeners
        self._said: dict[str, dict[bytes, list[Any]]] = {}
        self._delivered: set[bytes] = set()
        self._serial = 0
        self._latest: dict[bytes, int] = {}
        self._came: dict[Any, int] = {}
        self._received: Counter[Any] = Counter()
        self._replied: Counter[Any] = Counter()
        self._unanswered: Counter[Any] = Counter()
        self._deliveries = 0
        self._joined = 0
        self._reported: Counter[str] = Counter()

    # What came in.

    def arrived(self, listener: Listener | None, room: str, source: Any, payload: bytes) -> None:
        """Note a datagram that the hub is about to be given."""
        self._said.setdefault(room, {}).setdefault(payload, []).append(source)
        self._serial += 1
        self._latest[payload] = self._serial
        if listener is not None and source not in listener.members:
            # It joins with this datagram at the earliest.
            self._came.setdefault((listener, source), self._serial)
        if listener is not None:
            self._received[source] += len(payload)
            self._unanswered[source] += 1

    def before(self, listener: Listener) -> tuple[int, int, set[Any]]:
        """Return what :meth:`nothing_vanished` compares with."""
        self._came.clear()
        return self._hub.roster.datagrams, self._dropped_incoming(), set(listener.members)

    def nothing_vanished(
        self,
        listener: Listener,
        batch: Sequence[tuple[Any, bytes]],
        before: tuple[int, int, set[Any]],
    ) -> None:
        """Each datagram was relayed or counted as dropped, or was empty, or was a code."""
        datagrams, dropped, members = before
        relayed = self._hub.roster.datagrams - datagrams
        dropped = self._dropped_incoming() - dropped
        # A code is not relayed; whoever has joined in this batch may have sent one.
        joined = len(listener.members) - len(members)
        kept_alive = sum(not payload and source in members for source, payload in batch)
        empty = sum(not payload and source in listener.members for source, payload in batch)
        rest = len(batch) - relayed - dropped
        assert kept_alive <= rest <= empty + joined, (
            f"of {len(batch)} datagrams {relayed} were relayed, {dropped} counted as dropped, "
            f"{kept_alive} to {empty} empty, at most {joined} codes: {rest} vanished"
        )

    def _dropped_incoming(self) -> int:
        return sum(n for reason, n in self._hub.dropped.items() if reason not in OUTGOING)

    # What goes out.

    def delivery(
        self, fan_out: FanOut, group: Group, payload: bytes, sender: Member, member: Member
    ) -> None:
        """Check one delivery."""
        room = fan_out.room.name
        self._deliveries += 1
        assert member.room is fan_out.room, f"{member.name} is not in {room}"
        assert member.slot >= 0, f"{member.name} has left {room}"
        if group.labelled:
            label = f"{sender.name}: ".encode()
            assert payload.startswith(label), f"{payload!r} has not the label {label!r}"
            payload = payload[len(label) :]
        self._delivered.add(payload)
        sources = self._said[room].get(payload)
        assert sources is not None, f"nobody in {room} said {payload!r}"
        if member.kind is Kind.PLAIN:
            came = self._came.get((member.listener, member.source), 0)
            assert self._latest[payload] >= came, f"{payload!r} was said before {member.name} came"
        if member.kind is not Kind.CONSOLE:
            assert member.source != sender.source, f"{payload!r} goes back to its sender"
            others = [source for source in sources if source != member.source]
            assert others, f"{payload!r} goes back to {member.source}"

    def was_delivered(self, payload: bytes) -> bool:
        """Return whether anybody was sent this as part of a fan-out."""
        return payload in self._delivered

    def reply(self, reply: Reply) -> None:
        """Check one datagram that is not part of a fan-out."""
        source, payload = reply.source, reply.payload
        assert is_challenge(payload), f"{payload!r} was sent to {source}, no member"
        self._replied[source] += len(payload)
        assert self._replied[source] < 3 * self._received[source], (
            f"{source} sent {self._received[source]} bytes and got {self._replied[source]}"
        )
        self._unanswered[source] -= 1
        assert self._unanswered[source] >= 0, f"{source} got more answers than it has asked"

    # What is kept, and told.

    def bounds(self) -> None:
        """Check that no table outgrows the configuration."""
        hub, rules = self._hub, self._hub.rules
        plain = sum(len(listener.members) for listener in self._listeners.values())
        fixed = 0
        for room in hub.roster.rooms.values():
            inside = Counter(member.kind for member in room.members())
            fixed += inside.total() - inside[Kind.PLAIN]
            assert inside[Kind.PLAIN] <= room.rules.max_members
            assert len(room) == inside.total() > 0
        assert plain <= rules.max_members
        assert hub.roster.member_count == plain + fixed
        led_to = {listener.room for listener in rules.listeners.values()} | set(rules.rooms)
        assert set(hub.roster.rooms) <= led_to
        assert len(hub._expiry._heap) <= plain + self.kicks
        assert len(hub._admission.kicked) <= min(self.kicks, MOST_KICKED)
        listeners = len(rules.listeners) + 1
        assert len(hub._drops._current) <= listeners * len(led_to) * len(DropReason)
        assert len(hub._admission._budgets._tokens) == 4096

    def events(self, events: Iterable[Event]) -> None:
        """Add up what the hub says of itself."""
        for event in events:
            if isinstance(event, DatagramsDropped):
                self._reported[event.reason] += event.count
            elif isinstance(event, MemberJoined):
                self._joined += 1

    def totals(self, stopped: RelayStopped) -> None:
        """Compare the totals with what was seen."""
        assert stopped.deliveries == self._deliveries - self.refused
        assert stopped.members == self._joined
        assert stopped.dropped == dict(self._reported)
        assert stopped.dropped.get(DropReason.SEND_BUFFER.value, 0) == self.refused
