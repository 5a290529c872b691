"""A session member: a client that has done the handshake."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from udprelay.protocol.wire.from_client import PrivateUp
from udprelay.protocol.wire.from_relay import Bye, Pong
from udprelay.protocol.wire.header import Type, header
from udprelay.relay.listener import Listener, Source
from udprelay.relay.room import Group, Kind, Member, Room
from udprelay.relay.session.allowance import Allowance
from udprelay.relay.session.own_sequences import OwnSequences
from udprelay.relay.session.private_stream import PrivateStream
from udprelay.relay.session.receive_window import ReceiveWindow

if TYPE_CHECKING:
    from udprelay.relay.session.room_log import RoomSessions

_MISSED_RATE = 10.0
_MOST_REPORTS = 64
_NO_TOKEN = bytes(8)
_ACK = struct.Struct(">IQIQ")


class Session(Member):
    """
    One client in one room.

    :ivar side: the session side of its room.
    :ivar id: heads all that it sends; only it and the relay know it.
    :ivar identity: of this run of the client; everybody in the room sees it.
    :ivar badge: what proves its nick to those who know the passphrase; may be empty.
    :ivar first: the first room sequence that it is to have.
    :ivar window: its reliable DATA, as whole datagrams, in its own order.
    :ivar private_window: its reliable PRIVATE, likewise.
    :ivar private: what it alone gets.
    :ivar own: room sequences that are its own.
    :ivar allowance: what it may send; None is everything.
    :ivar repairs: what may be sent to it because it asks.
    :ivar missed: how often it is told that others have missed something of it.
    :ivar reports: the tokens of its last reports of what it has missed.
    :ivar nicked: the last answer to a NICK, with the number of the request.
    """

    __slots__ = (
        "_ack_header",
        "allowance",
        "badge",
        "first",
        "id",
        "identity",
        "missed",
        "nicked",
        "own",
        "private",
        "private_window",
        "repairs",
        "reports",
        "side",
        "window",
    )

    listener: Listener

    def __init__(
        self,
        side: RoomSessions,
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
        repair_rate: float,
    ) -> None:
        super().__init__(room, group, Kind.SESSION, nick, listener, source, now)
        rules = room.rules
        self.side = side
        reliable, private = next_own
        self.id = session_id
        self._ack_header = header(Type.ACK, session_id)
        self.identity = identity
        self.badge = badge
        self.first = 1
        self.window: ReceiveWindow[bytes] = ReceiveWindow(reliable, len)
        self.private_window: ReceiveWindow[PrivateUp] = ReceiveWindow(private, _size)
        self.private = PrivateStream()
        self.own = OwnSequences()
        self.allowance: Allowance | None = None
        if rules.member_rate or rules.member_bandwidth:
            self.allowance = Allowance(rules.member_rate, rules.member_bandwidth)
        self.repairs = Allowance(0.0, repair_rate)
        self.missed = Allowance(_MISSED_RATE, 0.0)
        self.reports: tuple[bytes, ...] = ()
        self.nicked: tuple[int, bytes] | None = None

    @property
    def patience(self) -> float:
        """Seconds of silence after which the session is over."""
        return self.room.rules.session_timeout

    @property
    def held_bytes(self) -> int:
        """Bytes of what has come early and waits."""
        return self.window.held_bytes + self.private_window.held_bytes

    def ack(self) -> bytes:
        """Return ACK as it is now; own sequences in it count as told."""
        # Written here, and not by the codec: there is one for every few datagrams.
        window, private = self.window, self.private_window
        place = _ACK.pack(window.next, window.bitmap, private.next, private.bitmap)
        return b"".join((self._ack_header, place, self.own.take()))

    def pong(self, token: bytes = _NO_TOKEN) -> bytes:
        """Return PONG; without a token, nobody has asked."""
        return Pong(self.id, token, self.side.newest, self.private.newest).encode()

    def reported(self, token: bytes) -> bytes:
        """Return PONG for a report; the token is known from now on."""
        self.reports = (*self.reports, token)[-_MOST_REPORTS:]
        return self.pong(token)

    def bye(self, code: str, sentence: str, retry_after: float) -> bytes:
        """Return BYE; ``retry_after`` is in seconds, 0 for never."""
        return Bye(self.id, code, sentence, round(1000 * retry_after)).encode()


def _size(private: PrivateUp) -> int:
    return len(private.payload)
