"""
The client: ``udprelay-client``, and :func:`join` for programs.

The callbacks of :func:`join` get the events of :mod:`udprelay.session_client.events`.
"""

from udprelay.client.joining import join
from udprelay.client.member import (
    JoinError,
    Member,
    RefusedError,
    UndeliveredError,
    UnreachableError,
)
from udprelay.session_client.events import MemberJoined, MemberLeft, NickChanged, Received
from udprelay.session_client.message_sender import MessageError

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
