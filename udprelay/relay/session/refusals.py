"""The reasons for which a JOIN is refused."""

from __future__ import annotations

import hmac

from attrs import frozen

from udprelay.protocol import keys, nick
from udprelay.protocol.wire.joining import Join
from udprelay.relay.budget import SourceBudgets, full_address, prefix
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
_QUOTAS = {
    DropReason.SOURCE_FULL: ("Too many members at your address.", _RETRY_AFTER_LIMIT),
    DropReason.SOURCE_ROOMS: ("Too many rooms of your address.", _RETRY_AFTER_LIMIT),
    DropReason.JOIN_LIMIT: ("Too many joins from your address.", 2.0),
}
"""No longer than the shortest JOIN allows."""
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
        rate, burst = limits.proof_rate, limits.proof_burst
        self._proofs = SourceBudgets(state.secret, rate, burst)
        # So that nobody alone uses up what those behind one address have.
        self._own_proofs = SourceBudgets(state.secret, rate / 2, max(1, burst / 2))
        self._proof_retry = _RETRY_AFTER_LIMIT if rate else 0.0
        budgets = (self._proofs, self._own_proofs)
        state.census.add("tables.budgets.proofs", lambda: sum(map(len, budgets)))

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
        return (
            self._nick_refusal(origin, join)
            or self._full_refusal(origin, join, now)
            or self._quota_refusal(origin, join, now)
        )

    def opens(self, room: str) -> bool:
        """Return whether a member would open a room that the configuration does not name."""
        return room not in self._roster.rooms and room not in self._state.named_rooms

    def _room_refusal(self, join: Join) -> Refusal | None:
        rules, rooms = self._state.rules, self._roster.rooms
        if not self.opens(join.room):
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
        own, shared = full_address(origin.address), prefix(origin.address.ip)
        has_tokens = self._own_proofs.has_token(own, now) and self._proofs.has_token(shared, now)
        if not has_tokens and not self._is_known(join, identity):
            # Without a look at the proof: it would help to guess.
            sentence = "Too many wrong passphrases from your address: try again later."
            return Refusal(DropReason.PROOF_LIMIT, sentence, self._proof_retry)
        right = keys.proof(access_key.key, join.cookie, join.room, join.nick, join.nonce, identity)
        if hmac.compare_digest(right, join.proof):
            return None
        self._own_proofs.try_consume(own, now)
        self._proofs.try_consume(shared, now)
        return Refusal(DropReason.WRONG_KEY, "Wrong passphrase.")

    def _is_known(self, join: Join, identity: bytes) -> bool:
        """Return whether an identity is, or was lately, a member: it has known the passphrase."""
        room = self._roster.rooms.get(join.room)
        log = None if room is None else room.log
        return isinstance(log, RoomLog) and (
            identity in log.by_identity or identity in log.departed
        )

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

    def _quota_refusal(self, origin: Origin, join: Join, now: float) -> Refusal | None:
        reason = self._state.quotas.refusal(origin.address, self.opens(join.room), now)
        return Refusal(reason, *_QUOTAS[reason]) if reason else None


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
