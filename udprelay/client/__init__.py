"""
The client: ``udprelay-client``, and :func:`join` for programs that want to be in a room.

The events that :func:`join` tells are those of :mod:`udprelay.session_client.events`.
"""

from udprelay.client.errors import (
    JoinError,
    RefusedError,
    UndeliveredError,
    UnreachableError,
)
from udprelay.client.joining import join
from udprelay.client.member import Member
from udprelay.session_client.events import MemberJoined, MemberLeft, NickChanged, Received
from udprelay.session_client.sending import MessageError

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
