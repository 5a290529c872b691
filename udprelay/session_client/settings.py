"""What a membership is to be."""

from __future__ import annotations

from attrs import field, frozen

from udprelay.protocol.wire import fields


@frozen
class Settings:
    """
    What a client wants; nothing of it changes while it runs.

    :param room: the room's name.
    :param nick: the nick wanted, as typed.
    :param keyed: there is a passphrase: all that is sent is sealed, and nothing else is taken.
    :param recover: messages wait for what is missing before them, and that is asked for again.
        Without it only entries are.
    :param other_nicks: if the nick is taken, take it with ``-2`` to ``-9`` behind.
    :raises ValueError: if no room can have this name.
    """

    room: str = field(converter=fields.room)
    nick: str
    keyed: bool = False
    recover: bool = True
    other_nicks: bool = False
