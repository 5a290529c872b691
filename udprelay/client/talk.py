"""A conversation: what front ends and conversations have to know of each other."""

from __future__ import annotations

from typing import Protocol

from attrs import field, frozen
from twisted.internet.defer import Deferred

from udprelay.client.notices import Notice
from udprelay.protocol.nick import NickError, comparable, normalise

DONE = 0
FAILED = 1
UNREACHABLE = 2
REFUSED = 3


@frozen
class Said:
    """
    What is to be sent.

    :param to: the nick of the only member to get it; ``None``: everybody in the room.
    :param reliable: whether it is to be repeated until it has arrived.
    """

    payload: bytes = field(repr=False)
    to: str | None = None
    reliable: bool = True


@frozen
class Sender:
    """
    A member of a room, and how a message came from it.

    :param nick: ``None`` if nobody vouches for it.
    :param private: whether the message was for this client alone.
    """

    room: str
    number: int
    nick: str | None
    private: bool
    reliable: bool
    sealed: bool

    @property
    def name(self) -> str:
        """What to call it."""
        return named(self.nick, self.number)


@frozen
class Heard:
    """
    A message received.

    :param sender: ``None`` if nobody can tell, as with plain datagrams.
    """

    payload: bytes = field(repr=False)
    sender: Sender | None = None


def named(nick: str | None, number: int) -> str:
    """Return what to call a member whose nick may not be known."""
    return f"member {number}" if nick is None else nick


def same_nick(nick: str, other: str) -> bool:
    """Return whether the relay takes another text for this nick."""
    try:
        return comparable(nick) == comparable(normalise(other))
    except NickError:
        return False


class Listening(Protocol):
    """Whom a conversation tells what happens."""

    def opened(self) -> None:
        """What is said can be sent now."""
        ...

    def heard(self, message: Heard) -> None: ...

    def notice(self, notice: Notice) -> None: ...

    def progressed(self) -> None:
        """Something said is on its way or has arrived: :attr:`Talk.busy` may have changed."""
        ...

    def ended(self, status: int) -> None:
        """It is over, which has been told; ``status`` is the exit status."""
        ...


class Talk(Protocol):
    """A conversation, whatever it is carried by."""

    @property
    def peer(self) -> str:
        """Whom it is with: an address as ``host:port``."""
        ...

    @property
    def busy(self) -> bool:
        """Whether so much waits to be sent that no more should be said."""
        ...

    @property
    def pending(self) -> int:
        """How many messages may still be sent, or fail."""
        ...

    @property
    def resolving(self) -> bool:
        """Whether a name is being looked up, in a thread that can't be stopped."""
        ...

    async def open(self) -> None:
        """Begin; ``opened`` or ``ended`` follows."""
        ...

    def say(self, said: Said) -> None:
        """
        Send a message as soon as may be.

        :raises RejectedError: if it can't be a message.
        """
        ...

    def throw(self, payload: bytes, number: int | None = None) -> str | None:
        """
        Send a message once and now; return why it could not be.

        :param number: of the only member to get it; ``None``: everybody.
        :returns: ``empty``, ``too-large``, ``no-contact``, ``absent`` (the member), or
            ``unsent``.
        """
        ...

    def outcome(self) -> int:
        """Return the exit status of a conversation that ends as it should."""
        ...

    def pause(self) -> None:
        """Read nothing for a while: what was heard waits to be shown."""
        ...

    def resume(self) -> None: ...

    def close(self) -> Deferred[None]:
        """Leave. Nothing is told any more."""
        ...
