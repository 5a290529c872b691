"""Why a JOIN is not admitted."""

from __future__ import annotations

import hmac

from attrs import frozen

from udprelay.protocol import keys, nick
from udprelay.protocol.wire.joining import Join
from udprelay.relay.budget import PrefixBudgets
from udprelay.relay.drops import DropReason
from udprelay.relay.room import Member, Room
from udprelay.relay.session.member import Session
from udprelay.relay.session.unverified import Origin
from udprelay.relay.state import Shared

_SOON = 10.0
_REFUSED = 48
"""Bytes of REFUSED without a sentence, at most."""


@frozen
class Refusal:
    """
    Why a JOIN is not admitted.

    :param retry_after: seconds after which to try again; 0 is never.
    """

    reason: DropReason
    sentence: str
    retry_after: float = 0.0


class Refusals:
    """Decides on JOINs, in the order that the protocol has."""

    def __init__(self, shared: Shared) -> None:
        limits = shared.rules.limits
        self._shared = shared
        self._roster = shared.roster
        self._proofs = PrefixBudgets(shared.secret, limits.proof_rate, limits.proof_burst)

    def refusal(
        self, origin: Origin, join: Join, identity: bytes, member: Session | None, now: float
    ) -> Refusal | None:
        """
        Return why a JOIN with a right cookie is not admitted; None if it is.

        :param member: who has this identity in that room already.
        """
        kicked = self._shared.admission.kicked
        left = max(kicked.seconds_left(join.room, who, now) for who in (origin.address, identity))
        if left:
            return Refusal(DropReason.KICKED, "You have been put out of this room.", left)
        refusal = self._room_refusal(join) or self._key_refusal(origin, join, identity, now)
        if refusal is not None or member is not None:
            return refusal
        return self._nick_refusal(origin, join) or self._full_refusal(origin, join)

    def _room_refusal(self, join: Join) -> Refusal | None:
        rules, rooms = self._shared.rules, self._roster.rooms
        if join.room in rooms or join.room in self._shared.named_rooms:
            return None
        if not rules.open_rooms:
            return Refusal(DropReason.NO_ROOM, "The relay has no such room.")
        if len(rooms) >= rules.max_rooms:
            return Refusal(DropReason.RELAY_FULL, "The relay has all its rooms.", _SOON)
        return None

    def _key_refusal(
        self, origin: Origin, join: Join, identity: bytes, now: float
    ) -> Refusal | None:
        access_key = self._shared.rules.room(join.room).access_key
        if access_key is None:
            if join.proof is None:
                return None
            return Refusal(DropReason.NO_KEY_HERE, "The room has no passphrase.")
        if join.proof is None:
            return Refusal(DropReason.KEY_REQUIRED, "The room has a passphrase.")
        if not self._proofs.has(origin.address.ip, now):
            return Refusal(DropReason.PROOF_LIMIT, "")
        right = keys.proof(access_key.key, join.cookie, join.room, join.nick, join.nonce, identity)
        if hmac.compare_digest(right, join.proof):
            return None
        self._proofs.take(origin.address.ip, now)
        return Refusal(DropReason.WRONG_KEY, "The passphrase is not right.")

    def _nick_refusal(self, origin: Origin, join: Join) -> Refusal | None:
        room = self._roster.rooms.get(join.room)
        try:
            free = nick_is_free(room, nick.normalise(join.nick), None)
        except nick.NickError as error:
            # A JOIN with a short nick may be too short to be told what is wrong with it.
            why = str(error)
            fits = len(why) <= origin.size - _REFUSED
            return Refusal(DropReason.NICK_INVALID, why if fits else "That is no nick.")
        if free:
            return None
        # If it is a dead session that has it, then for so long.
        patience = self._shared.rules.room(join.room).session_timeout
        return Refusal(DropReason.NICK_TAKEN, "Somebody else has this nick.", patience)

    def _full_refusal(self, origin: Origin, join: Join) -> Refusal | None:
        room = self._roster.rooms.get(join.room)
        plain = origin.listener.members.get(origin.source)
        members = self._roster.member_count - (plain is not None)
        if room is not None:
            others = len(room) - (plain is not None and plain.room is room)
            if others >= room.rules.max_members:
                return Refusal(DropReason.ROOM_FULL, "The room is full.", _SOON)
        if members >= self._shared.rules.max_members:
            return Refusal(DropReason.RELAY_FULL, "The relay is full.", _SOON)
        return None


def nick_is_free(room: Room | None, wanted: str, member: Member | None) -> bool:
    """
    Return whether somebody may have a nick.

    :param wanted: as :func:`~udprelay.protocol.nick.normalise` returned it.
    :param member: who wants it; None for somebody who is none yet.
    """
    if nick.is_reserved(wanted):
        return False
    if room is None or room.sessions is None:
        return True
    holder = room.sessions.nicks.holder(wanted)
    return holder is None or (member is not None and holder == member.number)
