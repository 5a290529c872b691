"""
What members of one source may have: places, rooms, and joins per second.

A source is an address and port, its prefix (an IPv4 address, an IPv6 /56), and its network (an
IPv4 /24, an IPv6 /40). Only addresses that have been proved are counted: a forged one uses up
nothing. So each count is of members that are there, and the tables are as bounded as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from udprelay.protocol.endpoint import Endpoint
from udprelay.relay.budget import SourceBudgets, full_address
from udprelay.relay.census import Census
from udprelay.relay.drops import DropReason
from udprelay.relay.room import Member, Room
from udprelay.relay.rules import Limits

_SHARES = (1 / 8, 1.0, 8.0)
"""How much of the configured quotas an address and port, a prefix and a network have."""

_IPV4 = 6
"""Bytes of an IPv4 address and port."""


class Quotas:
    """
    Quotas of sources.

    :param secret: 32 random bytes.
    """

    def __init__(self, limits: Limits, secret: bytes, census: Census) -> None:
        self._exempt_networks = limits.exempt_networks
        self._max_members = _shares(limits.source_members)
        self._max_rooms = _shares(limits.source_rooms)
        self._joins = [
            SourceBudgets(secret, limits.join_rate * share, max(1, limits.join_burst * share))
            for share in _SHARES
        ]
        self._members: dict[bytes, int] = {}
        self._rooms: dict[bytes, int] = {}
        census.add("tables.quotas", lambda: len(self._members) + len(self._rooms))
        census.add("tables.budgets.joins", lambda: sum(map(len, self._joins)))

    def refusal(self, endpoint: Endpoint, opens: bool, now: float) -> DropReason | None:
        """
        Return why a proved address cannot have another member now, or None.

        :param opens: whether the member would open a room.
        """
        if self._is_exempt(endpoint):
            return None
        keys = _keys(full_address(endpoint))
        if _is_full(self._members, keys, self._max_members):
            return DropReason.SOURCE_FULL
        if opens and _is_full(self._rooms, keys, self._max_rooms):
            return DropReason.SOURCE_ROOMS
        joins = zip(self._joins, keys, strict=True)
        if not all(budget.has_token(key, now) for budget, key in joins):
            return DropReason.JOIN_LIMIT
        return None

    def admit(self, member: Member, opens: bool, now: float) -> None:
        """Count a member that has joined, and its room if it has opened it."""
        self._count(member)
        keys = _keys(member.counted_at)
        for budget, key in zip(self._joins, keys, strict=False):
            budget.try_consume(key, now)
        if opens:
            member.room.opened_at = member.counted_at
            _add(self._rooms, keys, 1)

    def move(self, member: Member) -> None:
        """Count a member at its new address."""
        self.leave(member)
        self._count(member)

    def leave(self, member: Member) -> None:
        """Count a member no more."""
        _add(self._members, _keys(member.counted_at), -1)
        member.counted_at = b""

    def close(self, room: Room) -> None:
        """Count a room no more."""
        _add(self._rooms, _keys(room.opened_at), -1)
        room.opened_at = b""

    def _count(self, member: Member) -> None:
        endpoint = member.endpoint
        if endpoint is not None and not self._is_exempt(endpoint):
            member.counted_at = full_address(endpoint)
            _add(self._members, _keys(member.counted_at), 1)

    def _is_exempt(self, endpoint: Endpoint) -> bool:
        return any(endpoint.ip in one for one in self._exempt_networks)


def _shares(quota: int) -> list[int]:
    """Return the quota of each scope; 0 is none."""
    return [max(1, int(quota * share)) if quota else 0 for share in _SHARES]


def _keys(full: bytes) -> tuple[bytes, ...]:
    """Return an address with its port, its prefix and its network; nothing for nothing."""
    if not full:
        return ()
    prefix, network = (7, 5) if len(full) > _IPV4 else (4, 3)
    return full, full[:prefix], full[:network]


def _is_full(counts: Mapping[bytes, int], keys: Iterable[bytes], quotas: Iterable[int]) -> bool:
    pairs = zip(keys, quotas, strict=True)
    return any(quota and counts.get(key, 0) >= quota for key, quota in pairs)


def _add(counts: dict[bytes, int], keys: Iterable[bytes], number: int) -> None:
    for key in keys:
        left = counts[key] = counts.get(key, 0) + number
        if not left:
            del counts[key]
    if not counts:
        # A dict does not shrink otherwise.
        counts.clear()
