"""Token buckets for sources, in tables of fixed size."""

from __future__ import annotations

from array import array
from hashlib import blake2b
from ipaddress import IPv6Address

from udprelay.protocol.endpoint import Endpoint, IPAddress
from udprelay.protocol.token_bucket import TokenBucket

_BUCKETS = 4096


def prefix(ip: IPAddress) -> bytes:
    """Return the prefix of one subscriber: an IPv4 address, an IPv6 /56 (RFC 6177)."""
    return ip.packed[:7] if isinstance(ip, IPv6Address) else ip.packed


def full_address(endpoint: Endpoint) -> bytes:
    """Return an address with its port; of a link-local one, without the interface."""
    return endpoint.ip.packed + endpoint.port.to_bytes(2, "big")


class SourceBudgets:
    """
    A fixed number of token buckets; a keyed hash assigns one to each source.

    A source is a prefix, or an address with its port. Those with the same bucket share it. Without
    the key, no sender can choose with whom it shares a bucket.

    :param key: up to 64 secret bytes.
    :param rate: tokens per second.
    :param burst: tokens in a full bucket, at least 1.
    """

    def __init__(self, key: bytes, rate: float, burst: float) -> None:
        self._key = key
        # One bucket calculates; arrays of constant size have the state of all.
        self._bucket = TokenBucket((rate, 0.0), (burst, 0.0))
        self._tokens = array("d", [burst]) * _BUCKETS
        self._updated = array("d", [0.0]) * _BUCKETS

    def __len__(self) -> int:
        return _BUCKETS

    def try_consume(self, source: bytes, now: float) -> bool:
        """Consume one token of a source; return whether there was one."""
        index = self._load_state(source)
        consumed = self._bucket.try_consume(0, now)
        self._tokens[index], self._updated[index] = self._bucket.state
        return consumed

    def has_token(self, source: bytes, now: float) -> bool:
        """Return whether a source has a token; consume none."""
        self._load_state(source)
        return self._bucket.has_token(now)

    def _load_state(self, source: bytes) -> int:
        digest = blake2b(source, digest_size=4, key=self._key).digest()
        index = int.from_bytes(digest, "big") % _BUCKETS
        self._bucket.state = self._tokens[index], self._updated[index]
        return index
