"""
Whose datagrams the kernel is to drop, before they take space in the receive buffer.

What is sent beyond an allowance costs the relay little, but it costs the others: it fills the
receive buffer, which all share. So a member that keeps exceeding its allowance, and a source that
keeps sending without becoming a member, are filtered for a while. Meanwhile the relay sees nothing
of them: it looks again when the time is over, and filters for twice as long if the flood lasts.

A source can be forged. A session member is filtered by its source *and* its session id, which
others do not know. Nobody else is filtered at the address and port of a session member, and no
whole address that has members.
"""

from __future__ import annotations

from collections.abc import Hashable
from ipaddress import IPv4Address, IPv6Address
from math import inf
from typing import TypeAlias

from udprelay.protocol.endpoint import IPAddress
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay import events
from udprelay.relay.census import Census
from udprelay.relay.excess import Excess
from udprelay.relay.flood_source import FloodSource
from udprelay.relay.output import Output
from udprelay.relay.room import Listener, Member
from udprelay.relay.tally import Tally
from udprelay.segments import Segments, Source

INTERVAL = 1.0
"""Seconds over which datagrams of others are counted."""
MEMBER_LIMIT = 1000
"""Datagrams beyond limits of its own, in one second, for which a member is filtered."""
STRANGER_LIMIT = 2000
"""Datagrams in an interval for which a source is filtered that is no member."""
ADDRESS_LIMIT = 10_000
"""The same for all sources of one address that are no members, if it has no members."""
AGAIN = 5
"""A source that was filtered is filtered again for this part of the limit."""

FIRST_TIME = 1.0
LONGEST_TIME = 16.0
"""Seconds for which a source is filtered: shorter than any time of silence that is too long."""
WATCH_TIME = 5.0
"""Seconds after that without a flood after which it is over."""
REPORT_INTERVAL = 10.0
"""Seconds between two reports of sources of one listener."""

MAX_SOURCES = 256
"""Members that are filtered or watched, and as many others."""

_COUNTED = 1024
"""Sources in a table of counts."""
_SAMPLE = 16
"""Datagrams of others than members, of which one is looked at."""


class _Flood:
    """
    One source.

    :ivar seconds: for which it is filtered, or was before.
    :ivar until: the end of that time, or of the time after it in which it is watched.
    """

    __slots__ = ("filtered", "is_member", "seconds", "source", "until")

    def __init__(self, source: FloodSource, is_member: bool) -> None:
        self.source = source
        self.is_member = is_member
        self.filtered = False
        self.seconds = 0.0
        self.until = 0.0


_Key: TypeAlias = tuple[Listener, Hashable, bytes]
"""A source: the listener; the peer, or the network of an address; the session id if any."""


class Floods:
    """
    Decides whose datagrams the kernel is to drop.

    :param excess: what members send beyond limits of their own.
    :ivar deadline: when :meth:`expire` is due, or infinity.
    :ivar changed: listeners whose sources are others than when :meth:`drain` returned them.
    """

    def __init__(self, output: Output, excess: Excess, census: Census) -> None:
        self.deadline = inf
        self.changed: set[Listener] = set()
        self._output = output
        self._excess = excess
        self._strangers: Tally[_Key] = Tally(_COUNTED, INTERVAL)
        self._addresses: Tally[tuple[Listener, IPAddress, bytes]] = Tally(_COUNTED, INTERVAL)
        self._unsampled = 0
        self._scan_at = 0.0
        self._floods: dict[_Key, _Flood] = {}
        self._since = 0.0
        self._number = 0
        self._unreported = 0
        self._report_at = 0.0
        census.add("tables.floods", self._floods.__len__)
        census.add("tables.flood_counts", self._count)

    def _count(self) -> int:
        return len(self._strangers) + len(self._addresses)

    # What is counted, for each run.

    def exceeded(
        self,
        listener: Listener,
        source: Source,
        member: Member,
        now: float,
        session_id: bytes = b"",
    ) -> None:
        """
        Look at a member of which the gate has not accepted something.

        :param source: from where it came.
        :param session_id: empty for a plain member.
        """
        key = listener, listener.transport.peer_of(source), session_id
        number = self._excess.present(member, now)
        if number >= self._limit(key, MEMBER_LIMIT) and (session_id or not _has_sessions(key)):
            self._filter(key, _one_source(listener, source, session_id), now, member)

    def unknown(self, listener: Listener, source: Source, segments: Segments, now: float) -> None:
        """Count datagrams of a source that has not become a member with them."""
        self._unsampled += _weight(segments, segments.count)
        if self._unsampled < _SAMPLE:
            return
        # All of them for one: few of the sources that are heard once are counted at all.
        number, self._unsampled = self._unsampled, 0
        key = listener, listener.transport.peer_of(source), b""
        total = self._strangers.add(key, number, now)
        if total >= self._limit(key, STRANGER_LIMIT) and not _has_sessions(key):
            self._filter(key, _one_source(listener, source), now)
        self._count_address(listener, source, number, now)

    def _count_address(self, listener: Listener, source: Source, number: int, now: float) -> None:
        network = _network(listener.transport.endpoint(source).ip)
        if network is None:
            return
        key = listener, network, b""
        total = self._addresses.add(key, number, now)
        if total < self._limit(key, ADDRESS_LIMIT) or now < self._scan_at:
            return
        self._scan_at = now + INTERVAL
        endpoint = listener.transport.endpoint
        occupied = {
            _network(endpoint(members[0].source).ip) for members in listener.peers.values()
        }
        for candidate, counted in self._addresses.above(ADDRESS_LIMIT // AGAIN):
            where, ip, _ = candidate
            if where is not listener or ip in occupied:
                continue
            if counted >= self._limit(candidate, ADDRESS_LIMIT):
                self._filter(candidate, FloodSource(ip, None), now)

    def _limit(self, key: _Key, limit: int) -> int:
        return limit // AGAIN if key in self._floods else limit

    # What is done about it.

    def _filter(
        self, key: _Key, source: FloodSource, now: float, member: Member | None = None
    ) -> None:
        flood = self._floods.get(key)
        if flood is None:
            if not self._has_space(member is not None):
                return
            flood = self._floods[key] = _Flood(source, member is not None)
            self._report(key[0], source, member, now)
        elif flood.filtered:
            # What was in the receive buffer before.
            return
        flood.filtered = True
        flood.seconds = min(2 * flood.seconds, LONGEST_TIME) or FIRST_TIME
        flood.until = now + flood.seconds
        self.deadline = min(self.deadline, flood.until)
        self.changed.add(key[0])

    def _has_space(self, is_member: bool) -> bool:
        """Return whether one more may be filtered; a watched one is forgotten for it."""
        same = [(key, one) for key, one in self._floods.items() if one.is_member is is_member]
        if len(same) < MAX_SOURCES:
            return True
        watched = next((key for key, one in same if not one.filtered), None)
        if watched is not None:
            del self._floods[watched]
        return watched is not None

    def expire(self, now: float) -> None:
        """Lift what is over, and forget who has been watched for long enough."""
        if now < self.deadline:
            return
        for key, flood in list(self._floods.items()):
            if now < flood.until:
                continue
            if flood.filtered:
                flood.filtered = False
                flood.until = now + WATCH_TIME
                self.changed.add(key[0])
            else:
                del self._floods[key]
        self.deadline = min((one.until for one in self._floods.values()), default=inf)
        if not self._floods:
            self._output.emit(
                events.FloodOver(sources=self._number, seconds=round(now - self._since, 3))
            )
            self._number = self._unreported = 0

    def close(self) -> None:
        """Forget what was counted: the relay stops."""
        self._strangers.clear()
        self._addresses.clear()

    def drain(self) -> list[tuple[Listener, list[FloodSource]]]:
        """Return listeners with changes, and all that is to be filtered at each, members first."""
        changed, self.changed = self.changed, set()
        filtered = [(key[0], one) for key, one in self._floods.items() if one.filtered]
        filtered.sort(key=lambda each: not each[1].is_member)
        return [
            (listener, [one.source for where, one in filtered if where is listener])
            for listener in changed
        ]

    def _report(
        self, listener: Listener, source: FloodSource, member: Member | None, now: float
    ) -> None:
        """Report a new source, or that there are some, not too often."""
        if not self._number:
            self._since = now
        self._number += 1
        self._unreported += 1
        if now < self._report_at:
            return
        self._output.emit(
            events.FloodFiltered(
                listener=listener.name,
                address=str(source),
                room="" if member is None else member.room.name,
                member="" if member is None else member.name,
                sources=self._unreported,
            )
        )
        self._unreported = 0
        self._report_at = now + REPORT_INTERVAL


def _weight(segments: Segments, count: int) -> int:
    """Return for how many so many datagrams count: each for one more with every 1,500 bytes."""
    return count * (1 + segments.size // 1500)


def _one_source(listener: Listener, source: Source, session_id: bytes = b"") -> FloodSource:
    address = listener.transport.endpoint(source)
    return FloodSource(address.ip, address.port, session_id)


def _network(ip: IPAddress) -> IPAddress | None:
    """Return the addresses that one host may have, by the first of them; None if any host may."""
    if isinstance(ip, IPv4Address):
        return ip
    return None if ip.is_link_local else IPv6Address(int(ip) >> 64 << 64)


def _has_sessions(key: _Key) -> bool:
    """Return whether a session member is where a source is, which others may forge."""
    listener, peer, _ = key
    return any(one.kind is MemberKind.SESSION for one in listener.peers.get(peer, ()))
