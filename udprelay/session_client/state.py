"""Where a membership is."""

from __future__ import annotations

from enum import Enum

from attrs import frozen


class State(Enum):
    """The states of the client in ``docs/protocol.rst``, and one before them, ``NEW``."""

    NEW = "new"
    GREETING = "greeting"
    KEYING = "keying"
    JOINING = "joining"
    JOINED = "joined"
    WAITING = "waiting"
    LEAVING = "leaving"
    CLOSED = "closed"


@frozen
class Statistics:
    """
    What a membership has come to, since it was made.

    :param round_trip: seconds, smoothed; None if nothing is known.
    :param round_trip_variation: seconds; None if nothing is known.
    :param received: messages.
    :param lost: datagrams that were sent and never came.
    :param repaired: datagrams that came after they were asked for again.
    :param duplicates: datagrams dropped because they had come before.
    :param sent: datagrams with messages or pieces of them, each counted once.
    :param repeated: those of them that were sent another time.
    :param unsent: unreliable messages dropped as the client was no member just then.
    :param ignored: datagrams that were invalid, or did not belong to the state.
    """

    round_trip: float | None
    round_trip_variation: float | None
    received: int
    lost: int
    repaired: int
    duplicates: int
    sent: int
    repeated: int
    unsent: int
    ignored: int
