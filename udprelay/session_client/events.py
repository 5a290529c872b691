"""
The events of a :class:`~udprelay.session_client.client.SessionClient`.

No event holds a secret; ``payload`` is the only field with content of messages.
"""

from __future__ import annotations

from attrs import field, frozen

from udprelay.protocol.wire.members import MemberKind


@frozen
class Event:
    """What the owner of a client is told; each kind of event is a class."""


@frozen
class KeysNeeded(Event):
    """
    Joining waits for ``provide_keys``; :func:`udprelay.protocol.keys.derive` computes the keys.

    :param salt: 16 bytes, the room's.
    """

    salt: bytes


@frozen
class Joined(Event):
    """
    The client has become a member of the room.

    :param room: the room's name.
    :param nick: the client's nick, as the relay has it.
    :param number: the client's member number.
    :param resumed: it was a member before, and continues.
    """

    room: str
    nick: str
    number: int
    resumed: bool


@frozen
class Refused(Event):
    """
    The client is not admitted; it is closed.

    :param code: one of REFUSED's, ``version``, or ``nick-invalid`` (the client's own check).
    :param sentence: the reason for people; any characters, as it comes from the relay.
    """

    code: str
    sentence: str


@frozen
class NoAnswer(Event):
    """
    Joining has taken another 5 s without success; it continues.

    :param since: when it began, by the clock of ``now``.
    """

    since: float


@frozen
class ContactLost(Event):
    """
    The session has ended; the client joins again by itself.

    :param reason: ``silent``, ``unreachable``, ``unknown`` (to the relay), ``stuck`` (a message
        was not acknowledged in time), ``renewed`` (the client needs another identity, as its
        own sequences are used up), or the code of BYE.
    """

    reason: str


@frozen
class Received(Event):
    """
    A message was received completely.

    :param number: its sender.
    :param nick: the sender's nick; None if it is unknown or not authenticated.
    :param payload: the message, unsealed.
    :param reliable: it was sent reliably, so it is in its sender's order.
    :param private: it was sent to this client only.
    :param sealed: its sender knows the passphrase.
    """

    number: int
    nick: str | None
    payload: bytes = field(repr=False)
    reliable: bool
    private: bool
    sealed: bool


@frozen
class Delivered(Event):
    """
    The relay has acknowledged all of a message.

    :param message: the number that ``send`` returned.
    """

    message: int


@frozen
class MembersKnown(Event):
    """
    All members that were in the room when the client joined are in ``members`` now.

    Only after :class:`Joined` in a room with more members than one datagram can list.
    """


@frozen
class Failed(Event):
    """
    A message was not delivered completely.

    A private message can fail after :class:`Delivered`, and each that is in doubt when the client
    leaves: the relay has gone, and no other one was there to get it again.

    :param message: the number that ``send`` returned.
    :param reason: ``unacknowledged`` (given up), ``not-joined`` (it was unreliable), ``absent``
        or ``plain`` (its receiver is), ``closed`` (the client is), or ``unconfirmed`` (in doubt).
    """

    message: int
    reason: str


@frozen
class Missed(Event):
    """
    A member has reported that it did not receive a message of this client.

    :param message: the number that ``send`` returned.
    :param nick: that member's nick; None if it is unknown.
    """

    message: int
    nick: str | None


@frozen
class Limited(Event):
    """
    The relay has dropped datagrams of this client, which has met a limit of the relay.

    Reliable messages are retransmitted.

    :param code: the limit: a drop reason of the relay, such as ``member-output``.
    :param count: datagrams since the last such event.
    """

    code: str
    count: int


@frozen
class WaitingFor(Event):
    """
    Reliable messages of this client wait in the relay, as other members are far behind.

    :param numbers: those members, or the first of them; none if the wait is over.
    :param nicks: their nicks; None if one is unknown or not authenticated.
    """

    numbers: tuple[int, ...]
    nicks: tuple[str | None, ...]


@frozen
class Lost(Event):
    """
    Messages to this client are lost for good.

    :param count: the number of datagrams, at least.
    :param nick: their sender's nick; None if it is unknown.
    """

    count: int
    nick: str | None


@frozen
class Distrusted(Event):
    """
    Something was dropped or hidden because it contradicts the passphrase.

    There is one event for each reason and member in 10 s.

    :param reason: ``unsealed``, ``seal`` (it can't be opened), ``repeated``, ``badge``, or
        ``withheld`` (messages are missing, but none was lost in transit: the relay withheld
        them, or their sender gave them up).
    :param number: the sender, according to the relay.
    :param nick: that member's nick; None if it is unknown.
    :param count: how often, since the last event.
    """

    reason: str
    number: int
    nick: str | None
    count: int


@frozen
class MemberJoined(Event):
    """
    Another member is in the room.

    :param number: its number.
    :param nick: its nick; None if it is not authenticated.
    :param kind: how it takes part.
    """

    number: int
    nick: str | None
    kind: MemberKind


@frozen
class MemberLeft(Event):
    """
    Another member has left.

    :param number: its number.
    :param nick: its nick; None if it was not authenticated.
    :param reason: as in ENTRY ``leave``; empty if it is unknown.
    """

    number: int
    nick: str | None
    reason: str


@frozen
class NickChanged(Event):
    """
    A member has changed its nick.

    :param number: its number.
    :param before: its old nick; None if it was not authenticated.
    :param nick: its new nick; None if it is not authenticated.
    :param own: it is this client.
    """

    number: int
    before: str | None
    nick: str | None
    own: bool


@frozen
class NickRefused(Event):
    """
    The client keeps its nick.

    :param code: as in REFUSED, or ``no-answer``.
    :param sentence: the reason for people; any characters, as it comes from the relay.
    """

    code: str
    sentence: str


@frozen
class Ponged(Event):
    """
    The answer to ``ping``.

    :param round_trip: seconds.
    """

    round_trip: float


@frozen
class Closed(Event):
    """
    The client has ended for good; this is the last event.

    :param code: BYE's; ``left`` after ``leave``.
    :param sentence: the reason for people; any characters, as it comes from the relay.
    """

    code: str
    sentence: str
