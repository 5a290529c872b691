"""
What a bridge has to say of itself.

Like the notices of :mod:`udprelay.client.notices`; ``docs/bridge.rst`` has the fields of all.
"""

from __future__ import annotations

from udprelay.client.notices import Fields, Notice, Volume
from udprelay.client.talk import named

# Why a datagram did not pass, for people, and how much one must want to hear it.
_DROPPED = {
    "empty": ("it has no content", Volume.DETAIL),
    "too-large": ("larger than a datagram can be", Volume.NORMAL),
    "stranger": ("from another program than the one that talks", Volume.NORMAL),
    "no-program": ("no program has sent anything yet", Volume.DETAIL),
    "no-contact": ("no contact with the relay", Volume.DETAIL),
    "absent": ("for a member that is not there, or gets nothing alone", Volume.NORMAL),
    "unsent": ("the kernel did not take it", Volume.NORMAL),
    "lost": ("lost on the way here", Volume.DETAIL),
}
REASONS = tuple(_DROPPED)
"""Why a datagram may not pass."""


def opened(local: str, program: str | None) -> Notice:
    """:param program: where what the room says goes; ``None``: to who sends first."""
    whom = "" if program is None else f", the program is at {program}"
    fields: Fields = {"local": local, "program": program}
    return Notice("bridge.opened", f"the bridge is open at {local}{whom}", fields)


def exposed(local: str) -> Notice:
    text = f"other machines may be able to send to the bridge at {local}"
    return Notice("bridge.exposed", text, {"local": local})


def unusable(address: str, reason: str, cause: str) -> Notice:
    """:param reason: the name of an error."""
    text = f"{address} can't be used for the bridge: {cause}"
    return Notice("bridge.unusable", text, {"local": address, "reason": reason}, Volume.ERROR)


def member(number: int, nick: str | None, local: str) -> Notice:
    text = f"{named(nick, number)} is at {local}"
    fields: Fields = {"member": number, "nick": nick, "local": local}
    return Notice("bridge.member", text, fields)


def closed(nick: str | None, local: str) -> Notice:
    text = f"{nick or 'a member'} is no longer at {local}"
    fields: Fields = {"nick": nick, "local": local}
    return Notice("bridge.closed", text, fields)


def full(number: int, nick: str | None, local: str) -> Notice:
    text = f"no more sockets for members: {named(nick, number)} is at {local}, with the room"
    fields: Fields = {"member": number, "nick": nick, "local": local}
    return Notice("bridge.full", text, fields)


def dropped(reason: str, count: int) -> Notice:
    """
    :param reason: one of :data:`REASONS`.
    :param count: since it was told last.
    """
    cause, volume = _DROPPED[reason]
    datagrams = "a datagram" if count == 1 else f"{count} datagrams"
    fields: Fields = {"reason": reason, "count": count}
    return Notice("bridge.dropped", f"{datagrams} dropped: {cause}", fields, volume)


def traffic(to_room: int, to_program: int, lost: int) -> Notice:
    """:param lost: all that was dropped."""
    text = f"datagrams to the room: {to_room}, to the program: {to_program}, dropped: {lost}"
    fields: Fields = {"to_room": to_room, "to_program": to_program, "dropped": lost}
    return Notice("bridge.traffic", text, fields, Volume.DETAIL)
