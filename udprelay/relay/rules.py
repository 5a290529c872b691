"""
The configuration of the relay as frozen values, and the only declaration of each option.

``config`` reads the options of the file by these declarations. ``etc/udprelay.ini`` is made of
them, and ``tests/docs`` compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, Literal

from attrs import field, frozen

from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.endpoint import IPNetwork
from udprelay.relay.option import Form, option

DAY = 86_400.0
"""Seconds."""
_MAX_MEMBERS = 10_000_000
_KIB = 1024
_MIB = 1024**2
_GIB = 1024**3
# A smaller history has no space for a datagram of the maximum size.
_MIN_HISTORY_SIZE = 65_536


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


LOCAL: Final = "local"
"""
In ``plain_networks``: the machine itself, and the private, link-local and unique-local subnets of
the interface at which a datagram arrives, without the addresses of gateways.
"""


@frozen
class RoomRules:
    """The options of one room."""

    max_members: int = option(
        1000, Form.COUNT, "Members of one room, targets and the console included.", 1, _MAX_MEMBERS
    )
    idle_timeout: float = option(
        300.0,
        Form.DURATION,
        "A plain member that has sent nothing for this time is removed. Lower it if addresses"
        " change often, raise it for members that mostly receive.",
        1,
        30 * DAY,
    )
    label: Label = option(
        Label.NONE,
        Form.CHOICE,
        "nick puts the sender's name before each line for plain members (guest-7: hello), and"
        " escapes control characters. It helps people, but not programs, as it changes the"
        " payload. none leaves payloads as they are.",
    )
    targets: tuple[tuple[str, int], ...] = option(
        (),
        Form.TARGETS,
        "Addresses that get a copy of every message and send none, as host:port with commas. The"
        " relay itself can't be one of them, by any of its names and addresses. Only rooms with a"
        " section or a listener have targets.",
    )
    target_refresh: float = option(
        300.0, Form.DURATION, "Time between two look-ups of the names of targets.", 1, 30 * DAY
    )
    access_key: AccessKey | None = option(
        None,
        Form.ACCESS_KEY,
        "udprelay-client --access-key prints it for a passphrase. Only session members that know"
        " the passphrase are admitted, and the relay cannot read their messages. Empty admits all"
        " clients. A client with this line can join, but not read messages: protect the file"
        " (mode 0640).",
    )
    plain_with_key: bool = option(
        False,
        Form.YES_OR_NO,
        "yes admits plain members to a room with an access key, for programs without passphrase."
        " They cannot read sealed messages, and members with a passphrase do not show theirs.",
    )
    history: int = option(
        1024,
        Form.COUNT,
        "Datagrams in the history, for session members that have missed some or reconnect. Raise"
        " it, and the next two, if members report losses after short breaks. Lower it if memory is"
        " scarce, or if messages should not be stored for long.",
        1,
        1_000_000,
    )
    history_size: int = option(
        _MIB, Form.SIZE, "Bytes in the history, headers included.", _MIN_HISTORY_SIZE, _GIB
    )
    history_age: float = option(
        120.0, Form.DURATION, "Time for which datagrams stay in the history.", 1, DAY
    )
    history_on_join: int = option(
        0,
        Form.COUNT,
        "Datagrams of the history that a new session member gets, such as the last messages of a"
        " chat. At most history.",
        0,
        1_000_000,
    )
    session_timeout: float = option(
        45.0,
        Form.DURATION,
        "A session ends after this time without a datagram from its client, which sends four times"
        " as often, and at least every 10 s. Raise it if short network failures should not end"
        " sessions.",
        1,
        DAY,
    )
    member_rate: float = option(
        10_000.0,
        Form.NUMBER,
        "Datagrams that one member may send per second; as many may come at once. 0 is no limit,"
        " as in the next four. Clients know this limit and the next, and keep to them; what other"
        " programs send beyond a limit is dropped. Lower them if members must not crowd out"
        " others.",
        0,
        10_000_000,
    )
    member_bandwidth: int = option(
        16 * _MIB, Form.SIZE, "Bytes that one member may send per second.", 0, 1024**4
    )
    member_output: int = option(
        64 * _MIB,
        Form.SIZE,
        "Bytes per second that the relay sends because of one member: what it sends, times the"
        " other members of the room. Each delivery counts 200 bytes more than its payload. Raise"
        " it for one fast sender with many receivers.",
        0,
        1024**4,
    )
    room_output: int = option(
        384 * _MIB,
        Form.SIZE,
        "Bytes per second, likewise, that the relay sends to all members of a room. If they would"
        " be more, each sender gets a fair share.",
        0,
        1024**4,
    )
    control_rate: float = option(
        200.0,
        Form.NUMBER,
        "Datagrams without a message, such as requests for what was lost, that one member may send"
        " per second.",
        0,
        10_000_000,
    )


@frozen
class ListenerRules:
    """The options of one listener."""

    interface: str = option(
        "::",
        Form.INTERFACE,
        "The address to bind. :: is all of them, IPv4 and IPv6; 0.0.0.0 all of IPv4. Set one"
        " address to serve one network only (see the deployment page of the documentation).",
    )
    port: int = option(
        6000,
        Form.COUNT,
        "0 is any free port, which the event listener.opened reports.",
        0,
        65_535,
    )
    room: str = option(
        "lobby",
        Form.ROOM,
        "The room of this listener's plain members (session members choose theirs). Every room but"
        " lobby needs a section [room:NAME], so that misspelt names are found.",
    )
    protocol: Protocol = option(
        Protocol.AUTO,
        Form.CHOICE,
        "The members of this listener:\n"
        "  auto     both kinds; session datagrams are recognised by their first bytes\n"
        "  plain    plain members only; datagrams of session clients are relayed as payloads\n"
        "  session  session members only; plain ones are refused, whatever the next option says",
    )
    plain: PlainPolicy = option(
        PlainPolicy.CHALLENGE,
        Form.CHOICE,
        "Which addresses may become plain members: those in plain_networks at once, and\n"
        "  challenge  others when they send back a code (the default)\n"
        "  networks   no others; they get no answer\n"
        "  any        all others: a forged address can join, and gets all traffic of the room\n"
        "  off        none, not even those in plain_networks",
    )
    plain_networks: tuple[IPNetwork | Literal["local"], ...] = option(
        (LOCAL,),
        Form.NETWORKS,
        "Networks that need no code. local is this machine, and the private, link-local and"
        " unique-local subnets of the network interface at which a datagram arrives, without"
        " their gateways. Others may stand beside it or in its place, as in local, 10.8.0.0/16:"
        " whoever can send with a source address in them joins.",
    )
    batch: bool = option(
        True,
        Form.YES_OR_NO,
        "yes moves up to 64 datagrams in one system call, if Linux allows it; the event"
        " listener.opened reports it. Set no only to find out whether this causes a problem.",
    )
    receive_buffer: int = option(
        4 * _MIB,
        Form.SIZE,
        "The kernel's buffer for received datagrams while the relay is busy. They are lost when it"
        " is full (reason receive-buffer). 0 is the kernel's own default. Without CAP_NET_ADMIN"
        " the kernel grants at most net.core.rmem_max; listener.opened reports the real size.",
        0,
        _GIB,
    )
    send_buffer: int = option(
        _MIB,
        Form.SIZE,
        "The same for sent datagrams, such as a burst to many members (reason send-buffer;"
        " net.core.wmem_max).",
        0,
        _GIB,
    )
    dscp: int = option(
        0,
        Form.DSCP,
        "The mark of all datagrams that are sent (RFC 2474), for networks that prefer some: a"
        " number, or a name such as EF (voice), AF41 (video) or CS1 (bulk). Marks of received"
        " datagrams are not passed on.",
        0,
        63,
    )


def trusts_neighbours(rules: ListenerRules) -> bool:
    """Return whether a listener admits the neighbours of this machine without a code."""
    asks = rules.plain in (PlainPolicy.CHALLENGE, PlainPolicy.NETWORKS)
    return LOCAL in rules.plain_networks and asks and rules.protocol is not Protocol.SESSION


@frozen
class Limits:
    """Limits of the whole relay."""

    challenge_rate: float = option(
        100.0,
        Form.NUMBER,
        "Codes (plain = challenge) sent to one IPv4 address or IPv6 /56 network per second. A code"
        " is smaller than three times the datagram that it answers. Lower it if the relay must"
        " not be used to send others that much; then forged datagrams keep codes from people"
        " sooner.",
        0,
        10_000,
    )
    challenge_burst: int = option(200, Form.COUNT, "Such codes sent at once.", 1, 10_000)
    kick_time: float = option(
        300.0, Form.DURATION, "Time for which a kicked member is refused.", 0, 30 * DAY
    )
    drop_window: float = option(
        10.0,
        Form.DURATION,
        "Time over which drops are summed before datagrams.dropped reports them.",
        0.1,
        DAY,
    )
    stranger_rate: float = option(
        2000.0,
        Form.NUMBER,
        "Datagrams per second from sources that are not members, of all of them together, that the"
        " relay looks at; as many as in four seconds may come at once. It holds for plain ones,"
        " JOIN and other session datagrams each. 0 is no limit. Lower it on a slow machine, raise"
        " it if thousands join in a second.",
        0,
        10_000_000,
    )
    session_rate: float = option(
        5000.0,
        Form.NUMBER,
        "Answers per second to session clients that are not yet members, to one IPv4 address or"
        " IPv6 /56 network. None is larger than what it answers. Lower it if they take too much"
        " CPU; then forged datagrams keep real clients out sooner.",
        0,
        1_000_000,
    )
    session_burst: int = option(5000, Form.COUNT, "Such answers sent at once.", 1, 1_000_000)
    source_members: int = option(
        256,
        Form.COUNT,
        "Members with one IPv4 address or IPv6 /56 network; 0 is no limit. One address and port"
        " may have an eighth of it, an IPv4 /24 or IPv6 /40 eight times as many. Not counted are"
        " plain members that need no code, and members in exempt_networks. Raise it if more"
        " people share an address (a school, a carrier's NAT).",
        0,
        _MAX_MEMBERS,
    )
    source_rooms: int = option(
        64,
        Form.COUNT,
        "Rooms without a section or a listener that such members may have opened; 0 is no limit.",
        0,
        _MAX_MEMBERS,
    )
    join_rate: float = option(
        100.0,
        Form.NUMBER,
        "Joins per second from one IPv4 address or IPv6 /56 network, likewise. Whoever meets it is"
        " told to try again soon.",
        0,
        1_000_000,
    )
    join_burst: int = option(256, Form.COUNT, "Such joins at once.", 1, 1_000_000)
    proof_rate: float = option(
        1.0,
        Form.NUMBER,
        "Wrong passphrases per second from one IPv4 address or IPv6 /56 network; half of it from"
        " one address and port. Beyond that, those who were not members lately are told to try"
        " again later, whatever their passphrase, which slows guessing down. Raise it, and the"
        " next, if people who share an address often mistype.",
        0,
        10_000,
    )
    proof_burst: int = option(10, Form.COUNT, "Such passphrases at once.", 1, 10_000)
    output: int = option(
        512 * _MIB,
        Form.SIZE,
        "Bytes per second that the relay sends to all rooms, as in room_output; 0 is no limit. If"
        " they would be more, each room gets a fair share, and in it each sender. Set it to what"
        " the machine and its network can do.",
        0,
        1024**4,
    )
    exempt_networks: tuple[IPNetwork, ...] = option(
        (),
        Form.NETWORKS,
        "Networks whose members have no limits: neither member_rate, member_bandwidth,"
        " member_output and control_rate, nor room_output and output, nor source_members,"
        " source_rooms and join_rate. For monitors and benchmarks;"
        " addresses of plain members can be forged.",
    )
    memory: int = option(
        256 * _MIB,
        Form.SIZE,
        "Bytes for all members, rooms, histories, and datagrams that are kept. When they are used"
        " up, the oldest datagrams leave the histories; if that is not enough, new members and"
        " rooms are refused (relay-full). --check prints what the whole process takes.",
        16 * _MIB,
        1024 * _GIB,
    )
    repair_rate: int = option(
        256 * _KIB,
        Form.SIZE,
        "Bytes retransmitted to one session member per second. Raise it for fast rooms on bad"
        " networks; lower it if retransmissions crowd out new messages.",
        _KIB,
        _GIB,
    )


@frozen
class RelayRules:
    """The configuration of a hub."""

    max_members: int = option(
        10_000,
        Form.COUNT,
        "Members of all rooms in total, targets and the console included. It bounds memory.",
        1,
        _MAX_MEMBERS,
    )
    max_rooms: int = option(
        1000,
        Form.COUNT,
        "Session clients cannot open more rooms than this. With history_size it bounds the memory"
        " of histories.",
        1,
        _MAX_MEMBERS,
    )
    open_rooms: bool = option(
        True,
        Form.YES_OR_NO,
        "yes lets session clients open any room by joining it. With no they can only join rooms"
        " that have a section or a listener.",
    )
    listeners: Mapping[str, ListenerRules] = field(factory=lambda: {"main": ListenerRules()})
    rooms: Mapping[str, RoomRules] = field(factory=dict)
    room_defaults: RoomRules = RoomRules()
    limits: Limits = Limits()
    log_payloads: bool = False

    def room(self, name: str) -> RoomRules:
        """Return the rules of a room: its own, or those of all rooms without a section."""
        return self.rooms.get(name, self.room_defaults)
