"""Token buckets for source prefixes, in a table of fixed size."""

from __future__ import annotations

from hashlib import blake2b
from ipaddress import IPv6Address

from udprelay.protocol.endpoint import IPAddress
from udprelay.protocol.token_bucket import TokenBucket

_BUCKETS = 4096


def prefix(ip: IPAddress) -> bytes:
    """Return the prefix of one subscriber: an IPv4 address, an IPv6 /56 (RFC 6177)."""
    return ip.packed[:7] if isinstance(ip, IPv6Address) else ip.packed


class PrefixBudgets:
    """
    A fixed number of token buckets; a keyed hash assigns one to each prefix.

    Prefixes with the same bucket share it. Without the key, no sender can choose with which
    prefix it shares a bucket.

    :param key: up to 64 secret bytes.
    :param rate: tokens per second.
    :param burst: tokens in a full bucket, at least 1.
    """

    def __init__(self, key: bytes, rate: float, burst: float) -> None:
        self._key = key
        self._rates, self._bursts = (rate, 0.0), (burst, 0.0)
        # Filled on demand: to make all buckets of a relay at once takes 16 ms.
        self._buckets: list[TokenBucket | None] = [None] * _BUCKETS

    def try_consume(self, ip: IPAddress, now: float) -> bool:
        """Consume one token of the prefix of ``ip``; return whether there was one."""
        return self._bucket(ip).try_consume(1, 0, now)

    def has_token(self, ip: IPAddress, now: float) -> bool:
        """Return whether the prefix of ``ip`` has a token; consume none."""
        return self._bucket(ip).has_token(now)

    def _bucket(self, ip: IPAddress) -> TokenBucket:
        digest = blake2b(prefix(ip), digest_size=4, key=self._key).digest()
        index = int.from_bytes(digest, "big") % _BUCKETS
        bucket = self._buckets[index]
        if bucket is None:
            bucket = self._buckets[index] = TokenBucket(self._rates, self._bursts)
        return bucket
