"""The way of what comes in: batches to fan-outs."""

from __future__ import annotations

from collections.abc import Sequence

from udprelay.core.admission import Refused
from udprelay.core.drops import DropReason
from udprelay.core.fan_out import FanOut
from udprelay.core.fan_outs import FanOuts
from udprelay.core.listener import Listener, Source
from udprelay.core.room import Kind, Member, Room
from udprelay.core.session.intake import SessionIntake
from udprelay.core.session.sessions import Sessions
from udprelay.core.shared import Shared
from udprelay.core.wire.header import SIGNATURE


class Intake:
    """
    Takes batches of datagrams: what plain members say, and who becomes one.

    :param session_intake: takes all that has the signature.
    """

    def __init__(
        self,
        shared: Shared,
        sessions: Sessions,
        fan_outs: FanOuts,
        session_intake: SessionIntake,
    ) -> None:
        self._shared = shared
        self._roster = shared.roster
        self._output = shared.output
        self._sessions = sessions
        self._fan_outs = fan_outs
        self._session_intake = session_intake

    def receive(
        self, listener: Listener, batch: Sequence[tuple[Source, bytes]], now: float
    ) -> list[FanOut]:
        """Take in datagrams, in order; return what to deliver."""
        if len(batch) == 1 and (single := self._single(listener, *batch[0], now)):
            return [single]
        self._fan_outs.begin()
        members, first = listener.members, listener.first_byte
        room: Room | None = None
        rest = iter(batch)
        for source, payload in rest:
            if payload and payload[0] == first and payload[:3] == SIGNATURE:
                following = self._session_intake.take(listener, source, payload, rest, now)
                if following is None:
                    break
                source, payload = following
            member = members.get(source)
            if member is None:
                # It may close the fan-out that is open.
                room = None
                member, payload = self._admit(listener, source, payload, now)
                if member is None:
                    continue
            member.last_heard = now
            if not payload:
                continue
            if member.room is not room:
                room = member.room
                fan_out = self._fan_outs.open(room)
                add_payload, add_sender = fan_out.payloads.append, fan_out.senders.append
                add = fan_out.add if room.sessions is not None else None
            if add is None:
                add_payload(payload)
                add_sender(member)
            else:
                add(payload, member)
        return self._fan_outs.finish(listener, now)

    def _single(
        self, listener: Listener, source: Source, payload: bytes, now: float
    ) -> FanOut | None:
        """
        Take what a member says alone, if it is in the ordinary way.

        As at light load all comes, and finds the processor's caches cold.

        :return: None if there is more to do about it.
        """
        if not payload or now >= self._sessions.acks_from:
            return None
        if payload[0] == listener.first_byte:
            return self._session_intake.take_single(listener, source, payload, now)
        member = listener.members.get(source)
        if member is None or member.room.sessions is not None:
            return None
        member.last_heard = now
        return self._fan_outs.single(listener, payload, member, now)

    def _admit(
        self, listener: Listener, source: Source, payload: bytes, now: float
    ) -> tuple[Member | None, bytes]:
        """Decide on a datagram of an unknown address; return its member and what to relay."""
        address = listener.endpoint(source)
        decision = self._shared.admission.decide(listener, address, payload, now)
        room_name = listener.rules.room
        full = self._full(room_name)
        if isinstance(decision, Refused):
            if decision.reply is None:
                full = None
            elif full is None:
                self._output.reply(listener, source, decision.reply)
            self._output.reject(listener, room_name, address, full or decision.reason, now)
            return None, b""
        if full is not None:
            self._output.reject(listener, room_name, address, full, now)
            return None, b""
        # Whoever joins now does not get what was said before, also within one batch.
        room = self._roster.rooms.get(room_name)
        if room is not None:
            self._fan_outs.seal_room(room, listener, now)
        member = self._roster.join(room_name, Kind.PLAIN, None, listener, source, listener, now)
        listener.members[source] = member
        self._shared.expiry.watch(member)
        return member, payload if decision.relay else b""

    def _full(self, room_name: str) -> DropReason | None:
        room = self._roster.rooms.get(room_name)
        if room is not None and len(room) >= room.rules.max_members:
            return DropReason.ROOM_FULL
        if self._roster.member_count >= self._shared.rules.max_members:
            return DropReason.RELAY_FULL
        return None
