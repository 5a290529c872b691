"""The fan-outs that a batch leads to."""

from __future__ import annotations

from udprelay.protocol.text import shown
from udprelay.relay import events
from udprelay.relay.drops import DropReason
from udprelay.relay.fan_out import FanOut, SessionFanOut, fan_out_for
from udprelay.relay.listener import Listener
from udprelay.relay.room import Member, Room
from udprelay.relay.session.member import Session
from udprelay.relay.session.sessions import Sessions
from udprelay.relay.state import Shared


class FanOuts:
    """
    Opens one fan-out for each room that a batch has something for; seals them all at its end.

    A fan-out that is open relies on nobody leaving its room.
    """

    def __init__(self, shared: Shared, sessions: Sessions) -> None:
        self._roster = shared.roster
        self._output = shared.output
        self._sessions = sessions
        self._keep_payloads = shared.rules.log_payloads
        self._opened: dict[Room, FanOut] = {}
        self._fan_outs: list[FanOut] = []

    def begin(self) -> None:
        """Begin a batch: what one that has failed has left is not delivered with this one."""
        self._opened, self._fan_outs = {}, []

    def open(self, room: Room) -> FanOut:
        """Return the fan-out of this batch for a room."""
        opened = self._opened.get(room)
        if opened is None:
            opened = self._opened[room] = fan_out_for(room, self._keep_payloads)
            self._fan_outs.append(opened)
        return opened

    def open_for(self, session: Session) -> SessionFanOut:
        """Return the fan-out of this batch for a session member's room."""
        room = session.room
        opened = self._opened.get(room)
        if not isinstance(opened, SessionFanOut):
            opened = self._opened[room] = SessionFanOut(room, session.side, self._keep_payloads)
            self._fan_outs.append(opened)
        return opened

    def seal_room(self, room: Room, listener: Listener, now: float) -> None:
        """Let nothing more into the fan-out of a room, if there is one: somebody joins it."""
        fan_out = self._opened.pop(room, None)
        if fan_out is not None:
            self._seal(fan_out, listener, now)

    def finish(self, listener: Listener, now: float) -> list[FanOut]:
        """Return the fan-outs of this batch; they take no more."""
        opened, fan_outs = self._opened, self._fan_outs
        self.begin()
        for fan_out in opened.values():
            self._seal(fan_out, listener, now)
        sessions = self._sessions
        if sessions.acks or now >= sessions.acks_from or self._roster.with_entries:
            sessions.acknowledge(now)
            fan_outs += self.entries(now)
        return fan_outs

    # Without a batch.

    def single(self, listener: Listener, payload: bytes, member: Member, now: float) -> FanOut:
        """Return what delivers one payload in a room without a session side."""
        fan_out = FanOut(member.room)
        fan_out.payloads.append(payload)
        fan_out.senders.append(member)
        self._seal(fan_out, listener, now)
        return fan_out

    def single_data(self, datagram: bytes, session: Session, now: float) -> SessionFanOut:
        """Return what delivers one datagram of a session member."""
        fan_out = SessionFanOut(session.room, session.side, self._keep_payloads)
        fan_out.add_data(datagram, session)
        self._seal(fan_out, session.listener, now)
        if self._sessions.acks:
            self._sessions.acknowledge(now)
        return fan_out

    def said(self, member: Member, payload: bytes, now: float) -> FanOut:
        """Return what delivers something that a local member says."""
        fan_out = fan_out_for(member.room, self._keep_payloads)
        fan_out.add((payload,), member)
        self._seal(fan_out, None, now)
        return fan_out

    def again(self, session: Session, datagrams: list[bytes], now: float) -> FanOut:
        """Return what delivers data that was taken in before and had to wait."""
        fan_out = SessionFanOut(session.room, session.side, self._keep_payloads)
        for datagram in datagrams:
            fan_out.add_data(datagram, session)
        self._seal(fan_out, session.listener, now)
        return fan_out

    def entries(self, now: float) -> list[FanOut]:
        """Return what tells session members what has happened in their rooms."""
        rooms = list(self._roster.with_entries)
        self._roster.with_entries.clear()
        fan_outs = []
        for room in rooms:
            if room.sessions is not None and room.sessions.has_entries:
                fan_out = fan_out_for(room)
                self._seal(fan_out, None, now)
                fan_outs.append(fan_out)
        return fan_outs

    def _seal(self, fan_out: FanOut, listener: Listener | None, now: float) -> None:
        too_long = fan_out.seal(listener, now)
        if too_long:
            name = listener.name if listener is not None else ""
            self._output.drop(name, fan_out.room.name, DropReason.TOO_LONG, now, too_long)
        if isinstance(fan_out, SessionFanOut):
            self._sessions.said(fan_out, now)
        if self._keep_payloads:
            self._log_payloads(fan_out)

    def _log_payloads(self, fan_out: FanOut) -> None:
        for payload, sender in zip(fan_out.payloads, fan_out.senders, strict=True):
            self._output.say(
                events.DatagramRelayed(
                    room=fan_out.room.name,
                    member=sender.name,
                    address=sender.address,
                    bytes=len(payload),
                    payload=shown(payload),
                )
            )
