"""A session member: a client that has done the handshake."""

from __future__ import annotations

import struct
from math import inf

from attrs import frozen

from udprelay.protocol.token_bucket import TokenBucket
from udprelay.protocol.wire.from_client import PrivateUp
from udprelay.protocol.wire.header import PREFIX, UP_PAYLOAD_OFFSET, Type
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.room import Group, Listener, Member, Room
from udprelay.relay.session.repairs import Repairs
from udprelay.relay.session.sequences import OwnRoomSequences, PrivateStream, ReceiveWindow
from udprelay.relay.session.waits import RoomFlow, Wait, WaitTime
from udprelay.relay.sizes import EARLY_SIZE, SESSION_SIZE
from udprelay.segments import Source

_ACK = struct.Struct(">6s8sIQIQ")
_ACK_START = PREFIX + bytes((Type.ACK, 0))


@frozen
class LastNick:
    """
    The last NICK of a member.

    :param request: its number.
    :param answer: the NICKED that answered it.
    :param since: when the member was last given a nick by NICK, or minus infinity.
    """

    request: int
    answer: bytes
    since: float


class SessionMember(Member):
    """
    One client in one room.

    :ivar id: the session id in all its datagrams; a secret of client and relay.
    :ivar identity: of this run of the client; every member of the room sees it.
    :ivar badge: proves its nick to those who know the passphrase; may be empty.
    :ivar first: the first room sequence that it gets.
    :ivar window: its reliable DATA, as whole datagrams, in its own order.
    :ivar private_window: its reliable PRIVATE, likewise.
    :ivar private: the datagrams for this member alone.
    :ivar own_room: the room sequences of its own datagrams.
    :ivar repairs: what it may be sent in answer to NACK and ROSTER; None before the first.
    :ivar heard: the bytes of its room that its credit for repairs has already.
    :ivar missed: how often it may be sent a ``missed`` notice; None before the first.
    :ivar missed_tokens: the tokens of the last MISSED that it has sent.
    :ivar nicked: its last NICK; None before the first.
    :ivar flow: that of its room.
    :ivar reports: whether it reports what it has settled.
    :ivar place: the room sequence that it has settled; infinity if it is not waited for.
    :ivar private_place: the private sequence, likewise.
    :ivar private_wait: for it as the receiver of private datagrams; None before the first.
    :ivar waited: how long others have waited for it; None if they never have.
    """

    __slots__ = (
        "badge",
        "first",
        "flow",
        "heard",
        "id",
        "identity",
        "missed",
        "missed_tokens",
        "nicked",
        "own_room",
        "place",
        "private",
        "private_place",
        "private_wait",
        "private_window",
        "repairs",
        "reports",
        "waited",
        "window",
    )

    listener: Listener
    overhead = UP_PAYLOAD_OFFSET
    footprint = SESSION_SIZE

    def __init__(
        self,
        room: Room,
        group: Group,
        nick: str,
        listener: Listener,
        source: Source,
        now: float,
        session_id: bytes,
        identity: bytes,
        badge: bytes,
        next_own: tuple[int, int],
        flow: RoomFlow[SessionMember],
    ) -> None:
        super().__init__(room, group, MemberKind.SESSION, nick, listener, source, now)
        reliable, private = next_own
        self.id = session_id
        self.identity = identity
        self.badge = badge
        self.first = 1
        self.window: ReceiveWindow[bytes] = ReceiveWindow(reliable, _early_size)
        self.private_window: ReceiveWindow[PrivateUp] = ReceiveWindow(
            private, lambda message: EARLY_SIZE + len(message.payload)
        )
        self.private = PrivateStream()
        self.own_room = OwnRoomSequences()
        self.repairs: Repairs | None = None
        self.heard = 0
        self.missed: TokenBucket | None = None
        self.missed_tokens: tuple[bytes, ...] = ()
        self.nicked: LastNick | None = None
        self.flow = flow
        self.reports = False
        self.place = self.private_place = inf
        self.private_wait: Wait[SessionMember] | None = None
        self.waited: WaitTime | None = None

    @property
    def idle_timeout(self) -> float:
        """Seconds of silence after which the session ends."""
        return self.room.rules.session_timeout

    @property
    def buffered_bytes(self) -> int:
        """Bytes that its datagrams take which wait for an earlier one."""
        return self.window.buffered_bytes + self.private_window.buffered_bytes

    def unregister(self) -> None:
        """Remove the member from its listener's table."""
        del self.listener.sessions[self.id]

    def ack(self) -> bytes:
        """Return ACK, and count the room sequences in it as reported."""
        # Packed here and not by the codec: there is one for every few datagrams.
        window, private = self.window, self.private_window
        received = window.next, window.bitmap, private.next, private.bitmap
        return _ACK.pack(_ACK_START, self.id, *received) + self.own_room.drain()


def _early_size(datagram: bytes) -> int:
    return EARLY_SIZE + len(datagram)


def per_second(datagrams: float, size: float) -> TokenBucket:
    """Return a bucket that holds what is allowed for one second; 0 is no limit."""
    return TokenBucket((datagrams, size), (datagrams, size))
