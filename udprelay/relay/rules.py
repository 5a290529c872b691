"""The configuration of the relay as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from ipaddress import ip_network

from attrs import field, frozen

from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.endpoint import IPNetwork


class Protocol(str, Enum):
    """The datagrams that a listener accepts."""

    AUTO = "auto"
    """Session datagrams, recognised by their signature, and plain ones."""
    PLAIN = "plain"
    """Session datagrams are payloads like any other."""
    SESSION = "session"
    """Session datagrams only: there are no plain members."""


class PlainPolicy(str, Enum):
    """Who may become a plain member through a listener."""

    CHALLENGE = "challenge"
    """Addresses in ``plain_networks`` at once, others when they send back a code."""
    NETWORKS = "networks"
    """Addresses in ``plain_networks`` only; others are ignored."""
    ANY = "any"
    OFF = "off"


class Label(str, Enum):
    """What a room puts before each payload for its plain members."""

    NONE = "none"
    NICK = "nick"


PRIVATE_NETWORKS: tuple[IPNetwork, ...] = tuple(
    ip_network(network)
    for network in (
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    )
)
"""Loopback, private and link-local networks (RFC 1122, 1918, 3927, 4193, 4291)."""


@frozen
class RoomRules:
    """
    The options of one room.

    :param idle_timeout: seconds of silence after which a plain member is removed.
    :param targets: host names or addresses, each with a port, that get a copy of every payload.
    :param target_refresh: seconds between two look-ups of the targets' names.
    :param access_key: None admits session members without a passphrase.
    :param plain_with_key: whether a room with an access key admits plain members.
    :param history: datagrams kept for recovery.
    :param history_size: bytes kept for recovery, headers included.
    :param history_age: seconds for which datagrams are kept.
    :param history_on_join: datagrams of the history that a new session member gets.
    :param session_timeout: seconds of silence after which a session ends.
    :param member_rate: datagrams that a session member may send per second; 0 is no limit.
    :param member_bandwidth: bytes that a session member may send per second; 0 is no limit.
    """

    max_members: int = 1000
    idle_timeout: float = 300.0
    label: Label = Label.NONE
    targets: tuple[tuple[str, int], ...] = ()
    target_refresh: float = 300.0
    access_key: AccessKey | None = None
    plain_with_key: bool = False
    history: int = 1024
    history_size: int = 1024 * 1024
    history_age: float = 120.0
    history_on_join: int = 0
    session_timeout: float = 45.0
    member_rate: float = 0.0
    member_bandwidth: int = 0


@frozen
class ListenerRules:
    """
    The options of one listener.

    :param batch: whether to move many datagrams in one system call, where possible.
    :param receive_buffer: bytes to ask the kernel for; 0 is its own default.
    :param send_buffer: bytes to ask the kernel for; 0 is its own default.
    """

    interface: str = "::"
    port: int = 6000
    room: str = "lobby"
    protocol: Protocol = Protocol.AUTO
    plain: PlainPolicy = PlainPolicy.CHALLENGE
    plain_networks: tuple[IPNetwork, ...] = PRIVATE_NETWORKS
    batch: bool = True
    receive_buffer: int = 4 * 1024 * 1024
    send_buffer: int = 1024 * 1024


@frozen
class Limits:
    """
    Limits on the work that unverified sources can cause.

    :param challenge_rate: challenges sent to one source prefix, per second, once the burst is
        used up.
    :param challenge_burst: challenges sent to one source prefix at once.
    :param kick_time: seconds for which a kicked address or identity is refused.
    :param drop_window: seconds over which drops are added up to one event.
    :param session_rate: answers of the session protocol to unverified sources in one prefix, per
        second, once the burst is used up.
    :param session_burst: such answers to one source prefix at once.
    :param proof_rate: wrong proofs of a passphrase that one source prefix may send, per second,
        once the burst is used up.
    :param proof_burst: wrong proofs from one source prefix at once.
    :param repair_rate: bytes retransmitted to one session member per second, and at once.
    """

    challenge_rate: float = 1.0
    challenge_burst: int = 10
    kick_time: float = 300.0
    drop_window: float = 10.0
    session_rate: float = 100.0
    session_burst: int = 200
    proof_rate: float = 1.0
    proof_burst: int = 10
    repair_rate: int = 256 * 1024


@frozen
class RelayRules:
    """
    The configuration of a hub.

    :param max_rooms: rooms at once; beyond that, only rooms with a section or a listener can be
        opened.
    :param open_rooms: whether session clients may open rooms without a section or a listener.
    """

    max_members: int = 10_000
    max_rooms: int = 1000
    open_rooms: bool = True
    listeners: Mapping[str, ListenerRules] = field(factory=lambda: {"main": ListenerRules()})
    rooms: Mapping[str, RoomRules] = field(factory=dict)
    room_defaults: RoomRules = RoomRules()
    limits: Limits = Limits()
    log_payloads: bool = False

    def room(self, name: str) -> RoomRules:
        """Return the rules of a room: its own, or those of all rooms without a section."""
        return self.rooms.get(name, self.room_defaults)
