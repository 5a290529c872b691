"""
What a :class:`~udprelay.session_client.membership.Membership` tells its owner.

Nothing here holds a secret; ``payload`` is the only field with what people said.
"""

from __future__ import annotations

from typing import TypeAlias

from attrs import field, frozen

from udprelay.protocol.wire.members import MemberKind


@frozen
class KeysNeeded:
    """
    Compute :func:`udprelay.protocol.keys.derive`, then call ``provide_keys``; it waits until then.

    :param salt: 16 bytes, the room's.
    """

    salt: bytes


@frozen
class Joined:
    """
    The client is a member of the room, for the first time or again.

    :param room: the room's name.
    :param nick: the client's nick, as the relay has it.
    :param number: the client's member number.
    :param resumed: it has been a member before, and goes on from where it was.
    """

    room: str
    nick: str
    number: int
    resumed: bool


@frozen
class Refused:
    """
    The relay does not admit the client; the membership is closed.

    :param code: one of REFUSED's, ``version``, or ``nick-invalid`` for the client's own check.
    :param sentence: why, for people; from the relay, so any characters.
    """

    code: str
    sentence: str


@frozen
class NoAnswer:
    """
    Another 5 s have passed without becoming a member; it goes on trying.

    :param since: the time from which on the client has tried, by the clock of ``now``.
    """

    since: float


@frozen
class ContactLost:
    """
    The client is no member for now; it joins again by itself.

    :param reason: ``silent``, ``unreachable``, ``unknown`` (to the relay), ``stuck`` (a message
        was not acknowledged for too long), ``renewed`` (it comes back with another identity, as
        it has sent so much), or the code of BYE.
    """

    reason: str


@frozen
class Received:
    """
    A message, whole.

    :param number: who sent it.
    :param nick: that member's nick; None if it is not known, or its badge was not right.
    :param payload: what was sent, opened.
    :param reliable: it came in order.
    :param private: it was sent to this client alone.
    :param sealed: it was sealed by somebody who knows the passphrase.
    """

    number: int
    nick: str | None
    payload: bytes = field(repr=False)
    reliable: bool
    private: bool
    sealed: bool


@frozen
class Delivered:
    """
    The relay has all of a message.

    :param message: what ``send`` returned.
    """

    message: int


@frozen
class Failed:
    """
    A message has not reached the relay, or its receiver; parts of it may have.

    A private message can fail after it was delivered to the relay.

    :param message: what ``send`` returned.
    :param reason: ``unacknowledged`` (given up), ``not-joined`` (it was unreliable), ``absent``
        or ``plain`` (so is the receiver), or ``closed`` (the membership is over).
    """

    message: int
    reason: str


@frozen
class Missed:
    """
    A member tells that it has not received this client's message.

    :param message: what ``send`` returned.
    :param nick: that member's nick; None if it is not known.
    """

    message: int
    nick: str | None


@frozen
class Lost:
    """
    A hole: messages that were sent, and can't be had any more.

    :param count: how many datagrams, at least.
    :param nick: who sent them; None if it is not known.
    """

    count: int
    nick: str | None


@frozen
class Distrusted:
    """
    Something was dropped or hidden, as nobody who knows the passphrase can have sent it so.

    :param reason: ``unsealed``, ``seal`` (it can't be opened), ``repeated``, ``badge``, or
        ``withheld`` (messages have not come though nothing was lost on the way: the relay has
        kept them back, unless their sender gave them up).
    :param number: whom the relay calls the sender.
    :param nick: that member's nick; None if it is not known.
    :param count: how often, since it was told last; once in 10 s for each reason and member.
    """

    reason: str
    number: int
    nick: str | None
    count: int


@frozen
class MemberJoined:
    """
    Somebody else is a member, since now or since before.

    :param number: its number.
    :param nick: its nick; None if its badge is not right.
    :param kind: how it takes part.
    """

    number: int
    nick: str | None
    kind: MemberKind


@frozen
class MemberLeft:
    """
    Somebody else is no longer a member.

    :param number: its number.
    :param nick: its nick; None if its badge was not right.
    :param reason: as in ENTRY ``leave``; empty if it is not known.
    """

    number: int
    nick: str | None
    reason: str


@frozen
class NickChanged:
    """
    A member has a new nick.

    :param number: its number.
    :param before: the nick that it had; None if it is not known.
    :param nick: the nick that it has; None if its badge is not right.
    :param own: it is this client.
    """

    number: int
    before: str | None
    nick: str | None
    own: bool


@frozen
class NickRefused:
    """
    The client keeps the nick that it had.

    :param code: as in REFUSED, or ``no-answer``.
    :param sentence: why, for people; from the relay, so any characters.
    """

    code: str
    sentence: str


@frozen
class Ponged:
    """
    The answer to ``ping``.

    :param round_trip: seconds.
    """

    round_trip: float


@frozen
class Closed:
    """
    The membership is over, and nothing more will come.

    :param code: BYE's; ``left`` if the client's user wanted it.
    :param sentence: why, for people; from the relay, so any characters.
    """

    code: str
    sentence: str


Event: TypeAlias = (
    KeysNeeded
    | Joined
    | Refused
    | NoAnswer
    | ContactLost
    | Received
    | Delivered
    | Failed
    | Missed
    | Lost
    | Distrusted
    | MemberJoined
    | MemberLeft
    | NickChanged
    | NickRefused
    | Ponged
    | Closed
)
