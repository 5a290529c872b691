"""
The client: ``udprelay-client``, and :func:`join` for programs that want to be in a room.

The events that :func:`join` tells are those of :mod:`udprelay.core.membership.events`.
"""

from udprelay.client.errors import (
    JoinError,
    RefusedError,
    UndeliveredError,
    UnreachableError,
)
from udprelay.client.joining import join
from udprelay.client.member import Member
from udprelay.core.membership.events import MemberJoined, MemberLeft, NickChanged, Received
from udprelay.core.membership.sending import MessageError

__all__ = [
    "JoinError",
    "Member",
    "MemberJoined",
    "MemberLeft",
    "MessageError",
    "NickChanged",
    "Received",
    "RefusedError",
    "UndeliveredError",
    "UnreachableError",
    "join",
]
