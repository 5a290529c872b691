"""Who may become a plain member: the rules for unknown addresses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from ipaddress import IPv4Address
from itertools import takewhile

from attrs import frozen

from udprelay.protocol.endpoint import Endpoint
from udprelay.relay import challenge
from udprelay.relay.bounded_dict import BoundedDict
from udprelay.relay.budget import SourceBudgets, prefix
from udprelay.relay.census import Census
from udprelay.relay.drops import DropReason
from udprelay.relay.room import Listener
from udprelay.relay.rules import Limits, PlainPolicy, Protocol
from udprelay.segments import Source

_MAX_ENTRIES = 1024


class Kicked:
    """
    Addresses and identities that a room refuses for a while; a bounded list.

    :param kick_time: seconds.
    """

    def __init__(self, kick_time: float) -> None:
        self._kick_time = kick_time
        self._until: BoundedDict[tuple[str, Hashable], float] = BoundedDict(_MAX_ENTRIES)

    def __len__(self) -> int:
        return len(self._until)

    def add(self, room: str, key: Hashable, now: float) -> None:
        """Refuse an address or identity in ``room``; a full list drops the oldest."""
        self._until[room, key] = now + self._kick_time

    def seconds_left(self, room: str, key: Hashable, now: float) -> float:
        """Return the seconds for which ``room`` refuses an address or identity, or 0."""
        # In the order of their times.
        for past in list(takewhile(lambda one: self._until[one] <= now, self._until)):
            del self._until[past]
        return max(0.0, self._until.get((room, key), now) - now)


_BROADCAST = IPv4Address("255.255.255.255")


@frozen
class Decision:
    """
    Whether an address may join.

    :param reason: why not now; None if it may.
    :param reply: what is sent to it instead.
    :param relay: whether its datagram is a payload, not the code.
    :param trusted: whether it needs no proof: its address may be forged, and is not counted.
    """

    reason: DropReason | None = None
    reply: bytes | None = None
    relay: bool = False
    trusted: bool = False


def is_invalid_source(address: Endpoint) -> bool:
    """Return whether ``address`` is not valid as a source (RFC 1122, 3.2.1.3)."""
    ip = address.ip
    return (
        address.port == 0
        or ip.is_multicast
        or ip == _BROADCAST
        or int(ip) == 0
        or (isinstance(ip, IPv4Address) and ip.packed[0] == 0)
    )


class Admission:
    """
    Decides on the datagrams of unknown addresses.

    It keeps no state for them, except for a bounded list of kicked ones.

    :param secret: 32 random bytes; codes and the choice of budgets depend on it.
    :param is_own: tells whether an endpoint is one of the relay's own listeners.
    :ivar targets: number of targets by address.
    :ivar kicked: addresses and identities that were kicked.
    """

    def __init__(
        self, limits: Limits, secret: bytes, is_own: Callable[[Endpoint], bool], census: Census
    ) -> None:
        self._secret = secret
        self._is_own = is_own
        self._budgets = SourceBudgets(secret, limits.challenge_rate, limits.challenge_burst)
        self.kicked = Kicked(limits.kick_time)
        self.targets: Counter[Endpoint] = Counter()
        census.add("tables.kicked", self.kicked.__len__)
        census.add("tables.targets", self.targets.__len__)
        census.add("tables.budgets.challenges", self._budgets.__len__)

    def decide(
        self, listener: Listener, source: Source, address: Endpoint, payload: bytes, now: float
    ) -> Decision:
        """Decide on one plain datagram from a source that is not a member."""
        reason = self._refusal(listener, address, now)
        if reason is not None:
            return Decision(reason)
        if challenge.is_challenge(payload):
            # From another relay, which must not become a member, or ours sent back whole.
            return Decision(DropReason.CHALLENGE_ECHO)
        policy = listener.rules.plain
        if policy is PlainPolicy.ANY or listener.trusts(source, address.ip):
            return Decision(relay=True, trusted=True)
        if policy is PlainPolicy.NETWORKS:
            return Decision(DropReason.OUTSIDE_NETWORKS)
        if challenge.proves(self._secret, listener.name, address, payload, now):
            return Decision()
        return self._challenge(listener, address, payload, now)

    def impossible(self, address: Endpoint) -> DropReason | None:
        """Return why no member of any kind can send from ``address``, or None."""
        if is_invalid_source(address):
            return DropReason.INVALID_SOURCE
        if self._is_own(address):
            return DropReason.OWN_ADDRESS
        if self.targets[address]:
            return DropReason.FROM_TARGET
        return None

    def _refusal(self, listener: Listener, address: Endpoint, now: float) -> DropReason | None:
        if listener.rules.protocol is Protocol.SESSION:
            return DropReason.SESSION_ONLY
        if listener.rules.plain is PlainPolicy.OFF:
            return DropReason.PLAIN_OFF
        reason = self.impossible(address)
        if reason is not None:
            return reason
        if self.kicked.seconds_left(listener.rules.room, address, now):
            return DropReason.KICKED
        if listener.needs_key:
            return DropReason.KEY_REQUIRED
        return None

    def _challenge(
        self, listener: Listener, address: Endpoint, payload: bytes, now: float
    ) -> Decision:
        code = challenge.code(self._secret, listener.name, address, now)
        reply = challenge.challenge(code, len(payload))
        if reply is None:
            return Decision(DropReason.CHALLENGE_TOO_SHORT)
        if not self._budgets.try_consume(prefix(address.ip), now):
            return Decision(DropReason.CHALLENGE_LIMIT)
        return Decision(DropReason.CHALLENGED, reply)
