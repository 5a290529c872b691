"""What the hub knows of a socket: its rules, its members, how to read a source."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from udprelay.protocol.endpoint import Endpoint, IPAddress
from udprelay.protocol.wire.header import SIGNATURE
from udprelay.relay.room import Member
from udprelay.relay.rules import ListenerRules, Protocol

if TYPE_CHECKING:
    from udprelay.relay.session.member import Session

Source = Any
"""Where a datagram came from: opaque, hashable, equal for equal addresses of one listener."""


class Listener:
    """
    A socket as the hub sees it.

    :ivar members: the plain members that came in here.
    :ivar sessions: the session members that came in here, by session id.
    :ivar first_byte: what session datagrams begin with; -1 if they are not looked for.
    :ivar targets: the targets that are sent to from here; one address may be that of several.
    :ivar datagrams: taken in from members, with ``bytes`` in all.
    :ivar deliveries: sent out from here.
    :param needs_key: whether its room admits nobody without a key.
    :param read_endpoint: turns a source into the endpoint it stands for; asked about strangers
        and for logs only.
    """

    __slots__ = (
        "_networks",
        "bytes",
        "datagrams",
        "deliveries",
        "endpoint",
        "first_byte",
        "members",
        "name",
        "needs_key",
        "rules",
        "sessions",
        "targets",
    )

    def __init__(
        self,
        name: str,
        rules: ListenerRules,
        read_endpoint: Callable[[Source], Endpoint],
        needs_key: bool = False,
    ) -> None:
        self.name = name
        self.rules = rules
        self.needs_key = needs_key
        self.endpoint = read_endpoint
        self.first_byte = -1 if rules.protocol is Protocol.PLAIN else SIGNATURE[0]
        self.members: dict[Source, Member] = {}
        self.sessions: dict[bytes, Session] = {}
        self.targets: dict[Source, list[Member]] = {}
        self.datagrams = 0
        self.bytes = 0
        self.deliveries = 0
        self._networks = tuple(
            (
                isinstance(net.network_address, IPv4Address),
                int(net.network_address),
                int(net.netmask),
            )
            for net in rules.plain_networks
        )

    def trusts(self, ip: IPAddress) -> bool:
        """Return whether ``ip`` is in the listener's ``plain_networks``."""
        ipv4, number = isinstance(ip, IPv4Address), int(ip)
        return any(v4 is ipv4 and number & mask == net for v4, net, mask in self._networks)
