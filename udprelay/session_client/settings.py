"""What configures a client, and what it reports of itself."""

from __future__ import annotations

from enum import Enum

from attrs import define, field, frozen

from udprelay.protocol.wire import fields


@frozen
class Settings:
    """
    The settings of a client, which never change.

    :param room: the room's name.
    :param nick: the nick as typed.
    :param keyed: there is a passphrase: the client seals what it sends and drops payloads that
        are not sealed.
    :param recover: request missing datagrams, and deliver in order. Otherwise only missing
        entries are requested.
    :param other_nicks: if the nick is taken, try it with ``-2`` to ``-9`` appended.
    :param last_own: the own sequence at which the client joins with a new identity.
    :raises ValueError: if the name of the room is invalid.
    """

    room: str = field(converter=fields.room)
    nick: str
    keyed: bool = False
    recover: bool = True
    other_nicks: bool = False
    last_own: int = 2**32 - 2**20


class State(Enum):
    """The states of the client in ``docs/protocol.rst``, and ``NEW`` before them."""

    NEW = "new"
    GREETING = "greeting"
    KEYING = "keying"
    JOINING = "joining"
    JOINED = "joined"
    WAITING = "waiting"
    LEAVING = "leaving"
    CLOSED = "closed"


@define
class Statistics:
    """
    What a client has counted and measured since it was made.

    :param round_trip: seconds, smoothed; None if unknown.
    :param round_trip_variation: seconds; None if unknown.
    :param received: messages.
    :param lost: datagrams lost in transit.
    :param repaired: datagrams that came after the client had requested them.
    :param duplicates: datagrams dropped as duplicates.
    :param sent: datagrams with messages or pieces of them, without retransmissions.
    :param repeated: retransmissions.
    :param unsent: unreliable messages dropped outside a session.
    :param ignored: datagrams that were invalid, or unexpected in the client's state.
    """

    round_trip: float | None = None
    round_trip_variation: float | None = None
    received: int = 0
    lost: int = 0
    repaired: int = 0
    duplicates: int = 0
    sent: int = 0
    repeated: int = 0
    unsent: int = 0
    ignored: int = 0
