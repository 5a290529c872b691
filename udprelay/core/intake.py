"""The way of what comes in: batches to fan-outs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from udprelay.core import events
from udprelay.core.admission import Refused
from udprelay.core.drops import DropReason
from udprelay.core.fan_out import FanOut, SessionFanOut, fan_out_for
from udprelay.core.listener import Listener, Source
from udprelay.core.room import Kind, Member, Room
from udprelay.core.session.conversation import LEAST_PATH
from udprelay.core.session.joining import LARGEST_PAYLOAD
from udprelay.core.session.session import Session
from udprelay.core.session.sessions import Sessions
from udprelay.core.shared import Shared
from udprelay.core.text import shown
from udprelay.core.wire.header import HEADER, RELIABLE, SEALED, SIGNATURE, UP_DATA, VERSION, Type

# Slices that are made once, sets of the bytes there: this is done for each datagram.
_KIND = slice(3, 6)
_ID = slice(6, 14)
_HEADER = slice(HEADER)
_OWN = slice(14, 18)
_UNRELIABLE = frozenset(bytes((VERSION, Type.DATA_UP, flags)) for flags in (0, SEALED))
_DATA = _UNRELIABLE | {bytes((VERSION, Type.DATA_UP, flags)) for flags in range(RELIABLE, 32, 2)}
_NO_OWN = frozenset((b"\0\0\0\0", b"\xff\xff\xff\xff"))
_LARGEST = UP_DATA + LARGEST_PAYLOAD
_MOST_WAITING = 1024


class Intake:
    """
    Takes batches of datagrams: relays what is data, puts aside what is not.

    What is put aside may change who is a member, and a fan-out that is not yet delivered relies
    on nobody leaving.

    :ivar waiting: datagrams with the signature that are no data of a session.
    :ivar moved: sessions whose data came from a new address, with the last such address.
    """

    def __init__(self, shared: Shared, sessions: Sessions) -> None:
        self._shared = shared
        self._roster = shared.roster
        self._output = shared.output
        self._sessions = sessions
        self._keep_payloads = shared.rules.log_payloads
        self._opened: dict[Room, FanOut] = {}
        self._fan_outs: list[FanOut] = []
        self.waiting: deque[tuple[Listener, Source, bytes]] = deque()
        self.moved: dict[Session, tuple[Listener, Source]] = {}

    def receive(
        self, listener: Listener, batch: Sequence[tuple[Source, bytes]], now: float
    ) -> list[FanOut]:
        """Take in datagrams, in order; return what to deliver."""
        if len(batch) == 1 and (single := self._single(listener, *batch[0], now)):
            return single
        members, first = listener.members, listener.first_byte
        self._fan_outs = []
        room: Room | None = None
        rest = iter(batch)
        for source, payload in rest:
            if payload and payload[0] == first and payload[:3] == SIGNATURE:
                following = self._session_datagrams(listener, source, payload, rest, now)
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
                fan_out = self._open(room)
                add_payload, add_sender = fan_out.payloads.append, fan_out.senders.append
                add = fan_out.add if room.sessions is not None else None
            if add is None:
                add_payload(payload)
                add_sender(member)
            else:
                add(payload, member)
        return self._finish(listener, now)

    def _single(
        self, listener: Listener, source: Source, payload: bytes, now: float
    ) -> list[FanOut]:
        """
        Take what a plain member says alone, in a room without a session side.

        As at light load all comes, and finds the processor's caches cold.

        :return: nothing if there is more to do about it.
        """
        member = listener.members.get(source)
        if (
            member is None
            or not payload
            or payload[0] == listener.first_byte
            or member.room.sessions is not None
            or now >= self._sessions.acks_from
        ):
            return []
        member.last_heard = now
        fan_out = FanOut(member.room)
        fan_out.payloads.append(payload)
        fan_out.senders.append(member)
        self._seal(fan_out, listener, now)
        return [fan_out]

    def _finish(self, listener: Listener, now: float) -> list[FanOut]:
        """Return the fan-outs of this batch; they take no more."""
        fan_outs, opened, self._opened = self._fan_outs, self._opened, {}
        for fan_out in opened.values():
            self._seal(fan_out, listener, now)
        sessions = self._sessions
        if sessions.acks or now >= sessions.acks_from or self._roster.with_entries:
            sessions.acknowledge(now)
            fan_outs += self.entries(now)
        return fan_outs

    def _open(self, room: Room) -> FanOut:
        """Return the fan-out of this batch for a room."""
        opened = self._opened.get(room)
        if opened is None:
            opened = self._opened[room] = fan_out_for(room, self._keep_payloads)
            self._fan_outs.append(opened)
        return opened

    def say(self, member: Member, payload: bytes, now: float) -> FanOut:
        """Return what delivers something that a local member says."""
        fan_out = fan_out_for(member.room, self._keep_payloads)
        fan_out.add(payload, member)
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

    # Sessions.

    def _put_aside(self, listener: Listener, source: Source, datagram: bytes, now: float) -> None:
        if len(self.waiting) < _MOST_WAITING:
            self.waiting.append((listener, source, datagram))
        else:
            self._drop(listener, listener.rules.room, DropReason.CONTROL_LIMIT, now)

    def _session_datagrams(
        self,
        listener: Listener,
        source: Source,
        datagram: bytes,
        rest: Iterator[tuple[Source, bytes]],
        now: float,
    ) -> tuple[Source, bytes] | None:
        """
        Take datagrams that have the signature, beginning with this one.

        :return: the first other one in ``rest``; None if there is none.
        """
        sessions, room = listener.sessions, None
        while True:
            session, following = sessions.get(datagram[_ID]), next(rest, None)
            if (
                session is None
                or session.source != source
                or session.allowance is not None
                or datagram[_KIND] not in _UNRELIABLE
                or len(datagram) <= UP_DATA
                or datagram[_OWN] in _NO_OWN
            ):
                self._session_datagram(listener, session, source, datagram, now)
            else:
                # What there is much of.
                session.last_heard = now
                if session.room is not room:
                    room = session.room
                    fan_out = self._open_for(session)
                fan_out.add_data(datagram, session)
                if following is not None and following[1][_HEADER] == datagram[_HEADER]:
                    following = fan_out.add_alike(source, following, rest)
            if following is None:
                return None
            source, datagram = following
            if datagram[:3] != SIGNATURE:
                return following

    def _session_datagram(
        self,
        listener: Listener,
        session: Session | None,
        source: Source,
        datagram: bytes,
        now: float,
    ) -> None:
        """
        Take a datagram that has the signature; put it aside if it is no data of a member.

        :param session: the one with its id.
        """
        kind = datagram[_KIND]
        is_data = kind in _DATA and len(datagram) > UP_DATA and datagram[_OWN] not in _NO_OWN
        if session is None or not is_data:
            self._put_aside(listener, source, datagram, now)
            return
        session.last_heard = now
        if session.source != source and len(datagram) >= LEAST_PATH:
            self.moved[session] = listener, source
        if session.allowance is not None and not self._allowed(session, datagram, now):
            return
        ready: Sequence[bytes] = (datagram,)
        if kind not in _UNRELIABLE:
            ready = self._reliable(session, listener, datagram, now)
        if ready:
            fan_out = self._open_for(session)
            for one in ready:
                fan_out.add_data(one, session)

    def _open_for(self, session: Session) -> SessionFanOut:
        """Return the fan-out of this batch for a session member's room."""
        room = session.room
        opened = self._opened.get(room)
        if not isinstance(opened, SessionFanOut):
            opened = self._opened[room] = SessionFanOut(room, session.side, self._keep_payloads)
            self._fan_outs.append(opened)
        return opened

    def _allowed(self, session: Session, datagram: bytes, now: float) -> bool:
        size = len(datagram) - UP_DATA
        if session.allowance is None or session.allowance.take(1, size, now):
            return True
        self._drop(session.listener, session.room.name, DropReason.MEMBER_LIMIT, now)
        return False

    def _reliable(
        self, session: Session, listener: Listener, datagram: bytes, now: float
    ) -> Sequence[bytes]:
        """Return what can be relayed in its sender's order, now that this has come."""
        if len(datagram) > _LARGEST:
            self._drop(listener, session.room.name, DropReason.MALFORMED, now)
            return ()
        self._sessions.acks[session] = None
        window, own = session.window, int.from_bytes(datagram[_OWN], "big")
        held = window.held_bytes
        if own != window.next and not self._sessions.may_hold(len(datagram)):
            self._drop(listener, session.room.name, DropReason.EARLY_LIMIT, now)
            return ()
        ready = window.take(own, datagram)
        if window.held_bytes != held:
            self._sessions.holds(window.held_bytes - held)
        elif not ready:
            self._drop(listener, session.room.name, DropReason.REPEATED, now)
        return ready

    # Plain members.

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
        fan_out = self._opened.pop(room, None) if room is not None else None
        if fan_out is not None:
            self._seal(fan_out, listener, now)
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

    # Counting.

    def _drop(
        self, listener: Listener | None, room: str, reason: DropReason, now: float, count: int = 1
    ) -> None:
        name = listener.name if listener is not None else ""
        self._output.drop(name, room, reason, now, count)

    def _seal(self, fan_out: FanOut, listener: Listener | None, now: float) -> None:
        too_long = fan_out.seal(listener, now)
        if too_long:
            self._drop(listener, fan_out.room.name, DropReason.TOO_LONG, now, too_long)
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
