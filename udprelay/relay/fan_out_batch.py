"""The fan-outs of one batch of datagrams."""

from __future__ import annotations

from collections.abc import Callable

from udprelay.protocol.text import printable_payload
from udprelay.relay import events
from udprelay.relay.drops import DropReason
from udprelay.relay.fan_out import FanOut
from udprelay.relay.room import Listener, Member, Room
from udprelay.relay.state import RelayState


class FanOutBatch:
    """
    Opens one fan-out for each room that a batch has payloads for; seals them at its end.

    No member may leave a room while its fan-out is open.

    :param new_fan_out: makes the fan-out that a room needs.
    """

    def __init__(self, state: RelayState, new_fan_out: Callable[[Room], FanOut]) -> None:
        self._roster = state.roster
        self._output = state.output
        self._log_payloads = state.rules.log_payloads
        self._new_fan_out = new_fan_out
        self._opened: dict[Room, FanOut] = {}
        self._fan_outs: list[FanOut] = []

    def begin(self) -> None:
        """Begin a batch, and drop what a batch that has failed has left."""
        self._opened, self._fan_outs = {}, []

    def open(self, room: Room) -> FanOut:
        """Return the fan-out of this batch for a room."""
        opened = self._opened.get(room)
        if opened is None:
            opened = self._opened[room] = self._new_fan_out(room)
            self._fan_outs.append(opened)
        return opened

    def seal_room(self, room: Room, listener: Listener, now: float) -> None:
        """Seal the fan-out of a room, if there is one: a member is about to join."""
        fan_out = self._opened.pop(room, None)
        if fan_out is not None:
            self.seal(fan_out, listener, now)

    def finish(self, listener: Listener, now: float) -> list[FanOut]:
        """Seal and return the fan-outs of this batch."""
        opened, fan_outs = self._opened, self._fan_outs
        self.begin()
        for fan_out in opened.values():
            self.seal(fan_out, listener, now)
        return fan_outs

    def of_payload(self, payload: bytes, member: Member, now: float) -> FanOut:
        """Return the fan-out of a local member's payload, which is in no batch."""
        fan_out = self._new_fan_out(member.room)
        fan_out.add((payload,), member)
        return self.seal(fan_out, None, now)

    def of_entries(self, now: float) -> list[FanOut]:
        """Return the fan-outs of all log entries that are not delivered yet."""
        rooms = list(self._roster.with_entries)
        self._roster.with_entries.clear()
        return [
            self.seal(self._new_fan_out(room), None, now)
            for room in rooms
            if room.log is not None and room.log.has_entries
        ]

    def seal(self, fan_out: FanOut, listener: Listener | None, now: float) -> FanOut:
        """Seal a fan-out, count its drops, and return it."""
        too_long = fan_out.seal(listener, now)
        if too_long:
            name = listener.name if listener is not None else ""
            self._output.drop(name, fan_out.room.name, DropReason.TOO_LONG, now, too_long)
        if self._log_payloads:
            self._emit_payloads(fan_out)
        return fan_out

    def _emit_payloads(self, fan_out: FanOut) -> None:
        for payload, sender in zip(fan_out.payloads, fan_out.senders, strict=True):
            self._output.emit(
                events.DatagramRelayed(
                    room=fan_out.room.name,
                    member=sender.name,
                    address=sender.address,
                    bytes=len(payload),
                    payload=printable_payload(payload),
                )
            )
