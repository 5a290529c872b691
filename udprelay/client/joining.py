"""Joins a room, for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from udprelay.client.member import Member, UnreachableError
from udprelay.client.options import DEFAULT_PORT, DEFAULT_ROOM
from udprelay.clock import clock_of
from udprelay.protocol.endpoint import host_port
from udprelay.session_client.events import (
    Closed,
    Event,
    Failed,
    Lost,
    MemberJoined,
    MemberLeft,
    Missed,
    NickChanged,
    Received,
    Refused,
)
from udprelay.session_client.settings import Settings

JOIN_TIMEOUT = 10.0
"""Seconds in which a reachable relay admits a member, even on a lossy network."""


def join(
    reactor: Any,
    host: str,
    port: int = DEFAULT_PORT,
    *,
    room: str = DEFAULT_ROOM,
    nick: str,
    passphrase: str | None = None,
    other_nicks: bool = False,
    recover: bool = True,
    patience: float | None = JOIN_TIMEOUT,
    received: Callable[[Member, Received], object] | None = None,
    roster_changed: Callable[[Member, MemberJoined | MemberLeft | NickChanged], object]
    | None = None,
    lost: Callable[[Member, Lost | Missed | Failed], object] | None = None,
    closed: Callable[[Member, Refused | Closed], object] | None = None,
    observe: Callable[[Member, Event], object] | None = None,
) -> Deferred[Member]:
    """
    Join a room.

    Each callback is called with the member and an event of
    :mod:`udprelay.session_client.events`, perhaps before the Deferred fires.

    :param reactor: any reactor of Twisted's with sockets and threads.
    :param host: the relay's name or address.
    :param passphrase: the room's, if it has one: it admits the member and encrypts messages.
    :param other_nicks: if the nick is taken, use it with a suffix, ``-2`` to ``-9``.
    :param recover: request lost messages again, and deliver in order.
    :param patience: the timeout in seconds; ``None``: no timeout.
    :param received: called for messages.
    :param roster_changed: called when another member joins or leaves, or a nick changes.
    :param lost: called for messages that were lost, in either direction.
    :param closed: called when the membership is over.
    :param observe: called for each event.
    :return: fires with the member; cancel it to give up. Fails with :exc:`UnreachableError` if
        the name is unknown or the relay does not answer, and with :exc:`RefusedError`.
    :raises ValueError: if the host, room or passphrase is invalid.
    """
    # Otherwise the resolver's thread would fail, and its error be lost.
    host.encode("idna")

    def dispatch(member: Member, event: Event) -> None:
        match event:
            case Received() if received:
                received(member, event)
            case MemberJoined() | MemberLeft() | NickChanged() if roster_changed:
                roster_changed(member, event)
            case Lost() | Missed() | Failed() if lost:
                lost(member, event)
            case Refused() | Closed() if closed:
                closed(member, event)
        if observe:
            observe(member, event)

    settings = Settings(room, nick, passphrase is not None, recover, other_nicks)
    member = Member(reactor, host, port, settings, passphrase, dispatch)
    joined = member.join()
    if patience is not None:
        unanswered = f"no answer from {host_port(host, port)} within {patience:g} s"
        joined.addTimeout(
            patience, clock_of(reactor), lambda *_: Failure(UnreachableError(unanswered))
        )
    return joined
