"""A trial: whether a member sends a payload because it is sent it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from udprelay.relay.room import Member, Room
from udprelay.segments import Run, Segments

MAX_COPIES = 1024
"""Copies after which a trial ends: this is a flood, which nobody may hold back for long."""
MAX_HELD = 4096
"""Datagrams that a trial holds back, with what comes behind the copies."""
MAX_HELD_SIZE = 1024 * 1024
"""Bytes that a trial holds back, and one batch more."""

_MAX_TAIL = 2048
# Seconds; the times of a trial are four times the spacing of copies within these bounds.
_MIN_DRAIN, _MAX_DRAIN = 0.02, 0.15
_MIN_ANSWER, _MAX_ANSWER = 0.02, 0.4
_MIN_SILENCE = 0.06
_MAX_LATENESS = 0.01
_MAX_POSTPONED = 3


def tail_of(payload: bytes) -> bytes:
    """
    Return the end of a payload, which its copies have in common.

    A room with labels puts a name before the payload, or before each of its lines.
    """
    start = max(0, len(payload) - _MAX_TAIL)
    if b": " in payload:
        start = max(start, payload.rfind(b"\n", 0, -1) + 1)
    return payload[start:]


def is_copy(payload: bytes, tail: bytes) -> bool:
    """Return whether a payload is one with this tail, or that with labels."""
    if not payload.endswith(tail):
        return False
    before = payload[: -len(tail)]
    return not before or len(tail) == _MAX_TAIL or before.endswith((b": ", b"\n"))


def has_copy(member: Member, segments: Segments, tail: bytes) -> bool:
    """Return whether there is a copy in what a member has sent."""
    return tail in segments.data and any(
        is_copy(datagram[member.overhead :], tail) for datagram in segments
    )


class Trial:
    """
    Holds a payload back in its room, and delivers one copy some time later, twice.

    Who sends it of their own accord go on meanwhile: the trial ends, and all that they have sent
    is delivered, in order. A loop falls silent, and returns the payload when it is delivered.
    Twice silent, for different times, and twice an answer in time is no coincidence: not of a
    sender that ends or pauses, nor of one that sends at intervals.

    :param tail: of the payload.
    :param suspects: members that have sent it several times.
    :param spacing: the longest time from one copy of a suspect to the next, in seconds.
    :param patience: a factor for the silence, from 1 to 1.5: two relays that hold back each
        other's datagrams at the same time must not go on so.
    :ivar honest: members that have sent it in spite of that.
    :ivar deadline: when :meth:`expire` is due.
    :ivar over: whether it has ended.
    :ivar full: whether it has ended because nothing more can be held back.
    """

    deadline: float
    _holding: bool
    _postponed: int

    def __init__(
        self,
        room: Room,
        tail: bytes,
        suspects: Iterable[Member],
        spacing: float,
        patience: float,
        now: float,
    ) -> None:
        self.room = room
        self.honest: set[Member] = set()
        self._spoken: set[Member] = set()
        self.over = self.full = False
        self._tail = tail
        self._suspects = set(suspects)
        self._held: list[Run] = []
        self._held_of: set[Member] = set()
        self._count = self._size = self._copies = 0
        self._drain = min(max(4 * spacing, _MIN_DRAIN), _MAX_DRAIN)
        self._answer = min(max(4 * spacing, _MIN_ANSWER), _MAX_ANSWER)
        self._silence = (self._drain + _MIN_SILENCE) * patience
        self._answered = False
        self._found: set[Member] = set()
        self._hold(now)

    def __len__(self) -> int:
        return self._count

    def receive(self, runs: Sequence[Run], now: float) -> tuple[list[Run], list[Run]]:
        """
        Receive what members of the room have sent.

        :return: the runs to deliver now, in order, and those of members that are in a loop.
        """
        deliver: list[Run] = []
        returned: list[Run] = []
        for run in runs:
            member, segments, _ = run
            # The console and operators, who have no address, are in no loop.
            copy = member.listener is not None and has_copy(member, segments, self._tail)
            if copy and not self._holding and member in self._suspects:
                if self._answered:
                    self._found.add(member)
                    returned.append(run)
                    continue
                self._answered = True
                # Longer than the first silence with its answer.
                self._silence += self._silence + self._answer
                self._hold(now)
            if (copy and self._holding) or member in self._held_of:
                self._keep(member, segments, run)
                self._copies += segments.count if copy else 0
                if copy and self._holding and now >= self._drained:
                    # A single one may be what another relay, which is on trial too, releases.
                    if member in self._spoken:
                        self.honest.add(member)
                    self._spoken.add(member)
            else:
                deliver.append(run)
        self.full = (
            self._copies >= MAX_COPIES or self._count >= MAX_HELD or self._size >= MAX_HELD_SIZE
        )
        if self.full or (self._holding and self._suspects <= self.honest):
            self.honest |= self._held_of & self._suspects
            self.over = True
            deliver = self.release() + deliver
        return deliver, returned

    def expire(self, now: float) -> tuple[list[Run], list[Run]]:
        """Do what is due at the deadline; return the same as :meth:`receive`."""
        if now > self.deadline + _MAX_LATENESS and self._postponed < _MAX_POSTPONED:
            # Who has not been read has not been silent: read first.
            self._postponed += 1
            self.deadline = now + _MAX_LATENESS
            return [], []
        if not self._holding:
            self.over = True
            held = self.release()
            returned = [run for run in held if self._found and self._is_of_loop(run)]
            return [run for run in held if run not in returned], returned
        self._suspects -= self.honest
        self._holding = False
        self._postponed = 0
        self.deadline = now + self._answer
        return self._release_first(), []

    def release(self) -> list[Run]:
        """Return what is held back."""
        held, self._held = self._held, []
        self._count = self._size = self._copies = 0
        self._held_of.clear()
        return held

    def forget(self, member: Member) -> list[Run]:
        """Forget a member that has left; return what is held back of it."""
        members = self.honest, self._spoken, self._suspects, self._held_of, self._found
        for some in members:
            some.discard(member)
        held = self.release()
        for run in held:
            if run[0] is not member:
                self._keep(run[0], run[1], run)
        return [run for run in held if run[0] is member]

    def _release_first(self) -> list[Run]:
        """Return what is held back, up to the first copy: one is enough for an answer."""
        held = self.release()
        first = next((n for n, run in enumerate(held) if self._is_suspected(run)), len(held))
        for member, segments, flags in held[first + 1 :]:
            self._keep(member, segments, (member, segments, flags))
        return held[: first + 1]

    def _is_of_loop(self, run: Run) -> bool:
        return run[0] in self._found or self._is_suspected(run)

    def _is_suspected(self, run: Run) -> bool:
        member, segments, _ = run
        return member in self._suspects and has_copy(member, segments, self._tail)

    def _hold(self, now: float) -> None:
        self._holding = True
        self._copies = 0
        self._spoken.clear()
        self._postponed = 0
        self._drained = now + self._drain
        self.deadline = self._drained + self._silence

    def _keep(self, member: Member, segments: Segments, run: Run) -> None:
        self._held.append(run)
        self._held_of.add(member)
        self._count += segments.count
        self._size += len(segments.data)
