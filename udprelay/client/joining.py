"""Becoming a member of a room, for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from udprelay.client.errors import UnreachableError
from udprelay.client.member import Member
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

DEFAULT_PORT = 6000
DEFAULT_ROOM = "lobby"
PATIENCE = 10.0
"""Seconds in which a relay that can be reached admits a member, also if much gets lost."""


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
    patience: float | None = PATIENCE,
    received: Callable[[Member, Received], object] | None = None,
    roster_changed: Callable[[Member, MemberJoined | MemberLeft | NickChanged], object]
    | None = None,
    lost: Callable[[Member, Lost | Missed | Failed], object] | None = None,
    closed: Callable[[Member, Refused | Closed], object] | None = None,
    observe: Callable[[Member, Event], object] | None = None,
) -> Deferred[Member]:
    """
    Become a member of a room.

    Each callback is given the member and an event of
    :mod:`udprelay.session_client.events`, and may be called before this has fired.

    :param reactor: any of Twisted's that has sockets and threads.
    :param host: the relay's name or address.
    :param passphrase: the room's, if it has a key: proves membership, and seals what is said.
    :param other_nicks: if the nick is taken, take it with ``-2`` to ``-9`` behind.
    :param recover: ask for what got lost, and wait for it, so that messages come in order.
    :param patience: seconds until it is given up; ``None``: never.
    :param received: is told what others say.
    :param roster_changed: is told who comes, goes, or changes its nick.
    :param lost: is told what will never arrive: here, or from here at others.
    :param closed: is told that the membership is over, and why.
    :param observe: is told everything.
    :returns: fires with the member. Cancelling it gives up.
    :raises UnreachableError: if the name is unknown, or the relay does not answer.
    :raises RefusedError: if the relay does not want this member.
    :raises ValueError: at once, if no host, room or passphrase can be like this.
    """
    # What a resolver would fail on in its thread, where nobody hears of it.
    host.encode("idna")

    def tell(member: Member, event: Event) -> None:
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
    member = Member(reactor, host, port, settings, passphrase, tell)
    joining = member.join()
    if patience is not None:
        joining.addTimeout(patience, reactor, lambda *_: _no_answer(host, port, patience))
    return joining


def _no_answer(host: str, port: int, patience: float) -> Failure:
    return Failure(UnreachableError(f"no answer from {host_port(host, port)} in {patience:g} s"))
