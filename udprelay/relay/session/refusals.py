"""The reasons for which a JOIN is refused."""

from __future__ import annotations

import hmac

from attrs import frozen

from udprelay.protocol import keys, nick
from udprelay.protocol.wire.joining import Join
from udprelay.relay.budget import PrefixBudgets
from udprelay.relay.drops import DropReason
from udprelay.relay.room import Member, Room
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.room_log import RoomLog
from udprelay.relay.session.unverified import Origin
from udprelay.relay.state import RelayState

_RETRY_AFTER_LIMIT = 10.0
_FULL = {
    DropReason.ROOM_FULL: "The room is full.",
    DropReason.RELAY_FULL: "The relay is full.",
}
_MAX_REFUSED = 48
"""Bytes of REFUSED without a sentence."""


@frozen
class Refusal:
    """The reason for which a JOIN is refused; ``retry_after`` is in seconds, 0 is never."""

    reason: DropReason
    sentence: str
    retry_after: float = 0.0


class Refusals:
    """Checks JOINs, in the order of the protocol."""

    def __init__(self, state: RelayState) -> None:
        limits = state.rules.limits
        self._state = state
        self._roster = state.roster
        self._proofs = PrefixBudgets(state.secret, limits.proof_rate, limits.proof_burst)
        state.census.add("tables.budgets.proofs", self._proofs.__len__)

    def refusal(
        self,
        origin: Origin,
        join: Join,
        identity: bytes,
        member: SessionMember | None,
        now: float,
    ) -> Refusal | None:
        """
        Return why a JOIN with a valid cookie is refused; None if it is not.

        :param member: the member of the room with this identity, if there is one.
        """
        kicked = self._state.admission.kicked
        left = max(kicked.seconds_left(join.room, key, now) for key in (origin.address, identity))
        if left:
            return Refusal(DropReason.KICKED, "You have been kicked from this room.", left)
        refusal = self._room_refusal(join) or self._key_refusal(origin, join, identity, now)
        if refusal is not None or member is not None:
            return refusal
        return self._nick_refusal(origin, join) or self._full_refusal(origin, join, now)

    def _room_refusal(self, join: Join) -> Refusal | None:
        rules, rooms = self._state.rules, self._roster.rooms
        if join.room in rooms or join.room in self._state.named_rooms:
            return None
        if not rules.open_rooms:
            return Refusal(DropReason.NO_ROOM, "The relay has no room of this name.")
        if len(rooms) >= rules.max_rooms:
            sentence = "The relay has reached its limit of rooms."
            return Refusal(DropReason.RELAY_FULL, sentence, _RETRY_AFTER_LIMIT)
        return None

    def _key_refusal(
        self, origin: Origin, join: Join, identity: bytes, now: float
    ) -> Refusal | None:
        access_key = self._state.rules.room(join.room).access_key
        if access_key is None:
            if join.proof is None:
                return None
            return Refusal(DropReason.NO_KEY_HERE, "This room has no passphrase.")
        if join.proof is None:
            return Refusal(DropReason.KEY_REQUIRED, "This room needs a passphrase.")
        if not self._proofs.has_token(origin.address.ip, now):
            return Refusal(DropReason.PROOF_LIMIT, "")
        right = keys.proof(access_key.key, join.cookie, join.room, join.nick, join.nonce, identity)
        if hmac.compare_digest(right, join.proof):
            return None
        self._proofs.try_consume(origin.address.ip, now)
        return Refusal(DropReason.WRONG_KEY, "Wrong passphrase.")

    def _nick_refusal(self, origin: Origin, join: Join) -> Refusal | None:
        room = self._roster.rooms.get(join.room)
        try:
            free = nick_is_free(room, nick.normalise(join.nick), None)
        except nick.NickError as error:
            # No answer is larger than its JOIN: a short one leaves no space for the details.
            details = str(error)
            fits = len(details) <= origin.size - _MAX_REFUSED
            return Refusal(DropReason.NICK_INVALID, details if fits else "Invalid nick.")
        if free:
            return None
        # A dead session may have the nick until it times out.
        timeout = self._state.rules.room(join.room).session_timeout
        return Refusal(DropReason.NICK_TAKEN, "This nick is in use.", timeout)

    def _full_refusal(self, origin: Origin, join: Join, now: float) -> Refusal | None:
        plain = origin.listener.plain_at(origin.source)
        reason = self._roster.full(join.room, now, plain)
        return Refusal(reason, _FULL[reason], _RETRY_AFTER_LIMIT) if reason else None


def nick_is_free(room: Room | None, wanted: str, member: Member | None) -> bool:
    """
    Return whether a nick can be given.

    :param wanted: as :func:`~udprelay.protocol.nick.normalise` returned it.
    :param member: who asks for it; None for one that joins.
    """
    if nick.is_reserved(wanted):
        return False
    if room is None or not isinstance(room.log, RoomLog):
        return True
    holder = room.log.nicks.holder(wanted)
    return holder is None or (member is not None and holder == member.number)
