"""A channel for messages, plain or in a room, and what front ends and channels share."""

from __future__ import annotations

from typing import Protocol

from attrs import field, frozen
from twisted.internet.defer import Deferred

from udprelay.client.notices import Notice
from udprelay.protocol.nick import NickError, comparable, normalise

# Exit statuses.
DONE = 0
FAILED = 1
UNREACHABLE = 2
REFUSED = 3


@frozen
class OutgoingMessage:
    """
    A message to send.

    :param to: the nick of the only receiver; ``None``: everybody in the room.
    :param reliable: whether it is retransmitted until it is acknowledged.
    """

    payload: bytes = field(repr=False)
    to: str | None = None
    reliable: bool = True


@frozen
class Sender:
    """
    The sender of a message, and how the message was sent.

    :param nick: ``None`` if it is not authenticated.
    :param private: whether the message was for this client only.
    """

    room: str
    number: int
    nick: str | None
    private: bool
    reliable: bool
    sealed: bool

    @property
    def name(self) -> str:
        """The name to show."""
        return member_name(self.nick, self.number)


@frozen
class IncomingMessage:
    """
    A received message.

    :param sender: ``None`` if it is not known, as with plain datagrams.
    """

    payload: bytes = field(repr=False)
    sender: Sender | None = None


class RejectedError(Exception):
    """
    A line that cannot be sent as a message.

    :param reason: ``empty``, ``too-long``, ``invalid`` or ``absent`` (the receiver).
    :param explanation: the same for people.
    :param length: bytes in what was rejected.
    """

    def __init__(self, reason: str, explanation: str, length: int) -> None:
        super().__init__(explanation)
        self.reason = reason
        self.length = length


def too_long(length: int, limit: int, what: str = "message") -> RejectedError:
    return RejectedError("too-long", f"a {what} of {length} bytes (at most {limit})", length)


def member_name(nick: str | None, number: int) -> str:
    """Return the name to show for a member whose nick may not be authenticated."""
    return f"member {number}" if nick is None else nick


def same_nick(nick: str, other: str) -> bool:
    """Return whether the relay regards ``other``, as typed, as the same nick."""
    try:
        return comparable(nick) == comparable(normalise(other))
    except NickError:
        return False


class ChannelObserver(Protocol):
    """What a channel calls when something happens."""

    def opened(self) -> None:
        """Messages can be sent now."""
        ...

    def received(self, message: IncomingMessage) -> None: ...

    def notice(self, notice: Notice) -> None: ...

    def progressed(self) -> None:
        """Note a message sent, delivered or lost: :attr:`Channel.busy` may have changed."""
        ...

    def ended(self, status: int) -> None:
        """Note that the channel is closed, for a reason already reported, with an exit status."""
        ...


class Channel(Protocol):
    """Sends and receives messages."""

    @property
    def peer(self) -> str:
        """The address of the relay or peer as ``host:port``."""
        ...

    @property
    def busy(self) -> bool:
        """Whether the backlog is so large that no more should be sent."""
        ...

    @property
    def pending(self) -> int:
        """How many messages are neither delivered nor failed."""
        ...

    @property
    def resolving(self) -> bool:
        """Whether a name is being looked up, in a thread that cannot be stopped."""
        ...

    async def open(self) -> None:
        """Open the channel; ``opened`` or ``ended`` follows."""
        ...

    def send(self, message: OutgoingMessage) -> None:
        """
        Send a message, or queue it.

        :raises RejectedError: if it cannot be a message.
        """
        ...

    def send_now(self, payload: bytes, number: int | None = None) -> str | None:
        """
        Send a message once, unreliably and without a queue.

        :param number: of the only receiver; ``None``: everybody.
        :return: ``None``, or why it was not sent: ``empty``, ``too-large``, ``no-contact``,
            ``absent`` (the receiver) or ``unsent``.
        """
        ...

    def exit_status(self) -> int:
        """Return the exit status for a channel that is closed now."""
        ...

    def pause(self) -> None:
        """Stop reading from the network: received messages wait to be shown."""
        ...

    def resume(self) -> None: ...

    def close(self) -> Deferred[int]:
        """
        Close the channel; the only notices that may follow are of messages that have failed.

        :return: fires with the exit status when it is closed.
        """
        ...
