"""Token buckets for source prefixes, in a table that strangers can't grow."""

from __future__ import annotations

from array import array
from hashlib import blake2b
from ipaddress import IPv6Address

from udprelay.protocol.endpoint import IPAddress

_BUCKETS = 4096


def prefix(ip: IPAddress) -> bytes:
    """Return what one subscriber is assumed to hold: an IPv4 address, an IPv6 /56 (RFC 6177)."""
    return ip.packed[:7] if isinstance(ip, IPv6Address) else ip.packed


class PrefixBudgets:
    """
    A fixed number of token buckets; a prefix uses the one that a keyed hash gives it.

    Prefixes that meet in one bucket share it: harmless, and without the key nobody can choose
    whom to meet.

    :param key: up to 64 secret bytes.
    :param rate: tokens a second.
    :param burst: tokens in a full bucket.
    """

    def __init__(self, key: bytes, rate: float, burst: float) -> None:
        self._key = key
        self._rate = rate
        self._burst = burst
        self._tokens = array("d", [burst]) * _BUCKETS
        self._updated = array("d", [0.0]) * _BUCKETS

    def take(self, ip: IPAddress, now: float) -> bool:
        """Take one token for the prefix of ``ip``; return whether there was one."""
        bucket = self._filled(ip, now)
        if self._tokens[bucket] < 1:
            return False
        self._tokens[bucket] -= 1
        return True

    def has(self, ip: IPAddress, now: float) -> bool:
        """Return whether there is a token for the prefix of ``ip``; take none."""
        return self._tokens[self._filled(ip, now)] >= 1

    def _filled(self, ip: IPAddress, now: float) -> int:
        """Return the bucket of a prefix, with the tokens gained since it was last looked at."""
        digest = blake2b(prefix(ip), digest_size=4, key=self._key).digest()
        bucket = int.from_bytes(digest, "big") % _BUCKETS
        gained = max(0.0, now - self._updated[bucket]) * self._rate
        self._tokens[bucket] = min(self._burst, self._tokens[bucket] + gained)
        self._updated[bucket] = now
        return bucket
