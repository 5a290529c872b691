"""
The watch for loops: who sends one payload again and again, as it comes back.

One payload at a time is watched. A batch costs at most one look-up and one comparison here, for
whatever number of datagrams. While no payload comes again, not all batches are looked at.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from attrs import define

from udprelay.relay.loop_trial import has_copy, tail_of
from udprelay.relay.room import NOBODY, Member, Room
from udprelay.segments import Run, Segments

COPIES = 5
"""Copies from one member that begin a trial, if another one has just said the payload."""
FEWER_COPIES = 3
"""As many are enough if they follow others', of which two follow them: such loops may multiply."""
LONE_COPIES = 1000
"""
As many are necessary otherwise: a program may send the next copy as soon as it knows, by another
way, that a receiver has the last one.
"""
MAX_SPACING = 0.1
"""Seconds from one to the next."""

_NO_ROOM = NOBODY.room
# Who has sent a payload more often has not said it, but repeats it.
_MAX_SAID = 2
# More members than that which send one payload are no loop.
_MAX_SENDERS = 16
# Looks at other payloads until another payload is watched: before and after the first copy.
_PATIENCE, _MORE_PATIENCE = 2, 16
# Payloads whose senders are remembered: what comes back has been sent by somebody else before.
_MAX_RECENT, _MAX_AGE = 4, 1.0
# Looks at payloads that are new: as many at once, and 100 in a second; with cold caches one costs
# 20 us. Beyond that, some in a row and then none for some batches.
_MAX_LOOKS, _LOOK = 64, 0.01
_IN_A_ROW, _SKIPPED = 4, 60
# What one look reads of a batch: runs, and bytes of each.
_MAX_RUNS, _MAX_SEARCHED = 16, 4096


def _has_tail(runs: list[Run], tail: bytes) -> bool:
    """Return whether there may be a copy in runs, by their ends."""
    for _, segments, _ in runs:
        data = segments.data
        if data.endswith(tail) or (segments.count > 1 and tail in data[-_MAX_SEARCHED:]):
            return True
    return False


class _Sent(NamedTuple):
    """How often the last sender of a payload has sent it, and the one before."""

    number: int
    copies: int
    before: int
    time: float


class FanOut(Protocol):
    """
    What a room was sent in a batch.

    :ivar runs: at least one.
    """

    room: Room
    runs: list[Run]


class Suspicion(NamedTuple):
    """
    Members that have sent a payload several times.

    :ivar tail: of the payload.
    :ivar spacing: the longest time from one copy to the next, in seconds.
    """

    room: Room
    tail: bytes
    members: list[Member]
    spacing: float


@define(eq=False)
class _Copies:
    """
    Copies from one member: their number, the time of the last, the longest spacing.

    :ivar answers: those that followed one of another member.
    """

    count: int
    last: float
    spacing: float = 0.0
    answers: int = 0


class Watch:
    """
    Watches one payload at a time.

    :param is_exempt: whether a member was found honest lately.
    :ivar skipped: batches to come that need no look.
    :ivar alert: whether a loop is known: others that it is part of are likely.
    """

    def __init__(self, is_exempt: Callable[[Member, float], bool]) -> None:
        self.skipped = 0
        self.alert = False
        self._is_exempt = is_exempt
        self._room = _NO_ROOM
        self._tail = b""
        self._left = 0
        self._looked = 0.0
        self._first = NOBODY, 0.0
        self._latest = NOBODY
        # How often the member of the first copy had sent it, and the one before that.
        self._sent_by_first = self._sent_by_others = self._payload = 0
        self._recent: OrderedDict[int, _Sent] = OrderedDict()
        self._copies: dict[Member, _Copies] = {}

    def look(self, fan_outs: Mapping[Room, FanOut], now: float) -> Suspicion | None:
        """
        Compare what was received with the payload watched.

        :return: the suspicion, if there is one now: then the watch has ended.
        """
        self._left -= 1
        fan_out = fan_outs.get(self._room)
        if fan_out is not None and _has_tail(fan_out.runs[-_MAX_RUNS:], self._tail):
            for member, segments, _ in fan_out.runs:
                if self._room is fan_out.room:
                    found = self._compare(member, segments, now)
                    if found is not None:
                        self._room, self._left = _NO_ROOM, 0
                        return found
            return None
        *_, last = fan_outs.values()
        member, segments, _ = last.runs[-1]
        tail = tail_of(segments[-1][member.overhead :])
        payload = hash((last.room.name, tail))
        sent, by_others = self._remember(payload, member.number, now)
        if sent == 1 and not by_others and not self._copies:
            self._looked = max(self._looked, now - _MAX_LOOKS * _LOOK) + _LOOK
            if self._looked > now:
                self._looked -= _IN_A_ROW * _LOOK
                self.skipped = _SKIPPED
        if self._left < 0:
            self._payload = payload
            self._watch(last.room, member, tail, now)
            self._sent_by_first, self._sent_by_others = sent, by_others
        return None

    def _remember(self, payload: int, number: int, now: float) -> tuple[int, int]:
        """Return how often a member has sent a payload lately, and the member before it."""
        recent = self._recent
        last = recent.pop(payload, None)
        if last is None or last.time < now - _MAX_AGE:
            last = _Sent(number, 0, 0, now)
        elif last.number != number:
            last = _Sent(number, 0, last.copies, now)
        recent[payload] = _Sent(number, last.copies + 1, last.before, now)
        if len(recent) > _MAX_RECENT:
            recent.popitem(last=False)
        return last.copies + 1, last.before

    def _watch(self, room: Room, member: Member, tail: bytes, now: float) -> None:
        """Watch another payload: the last one received."""
        self.stop()
        self._left = _PATIENCE
        if self._is_exempt(member, now):
            return
        self._room = room
        self._tail = tail
        self._first = member, now

    def _compare(self, member: Member, segments: Segments, now: float) -> Suspicion | None:
        """Count a copy, if it is one."""
        if not has_copy(member, segments, self._tail):
            return None
        self._remember(self._payload, member.number, now)
        if self._is_exempt(member, now):
            return None
        if not self._copies:
            first, since = self._first
            self._copies = {first: _Copies(1, since)}
            self._latest = first
        copies = self._copies.setdefault(member, _Copies(0, now))
        spacing = now - copies.last
        if not spacing and copies.count:
            # What comes back takes time: these have been sent at once.
            return None
        if spacing > MAX_SPACING or len(self._copies) > _MAX_SENDERS:
            self._room, self._left = _NO_ROOM, 0
            return None
        self._left = _MORE_PATIENCE
        copies.count += 1
        copies.answers += member is not self._latest
        copies.last = now
        copies.spacing = max(copies.spacing, spacing)
        self._latest = member
        suspects = [one for one, c in self._copies.items() if c.answers > 1]
        if len(suspects) > 1 and copies.answers >= FEWER_COPIES:
            return Suspicion(self._room, self._tail, suspects, copies.spacing)
        if copies.count >= self._enough(member):
            return Suspicion(self._room, self._tail, [member], copies.spacing)
        return None

    def _enough(self, member: Member) -> int:
        """Return how many copies from one member begin a trial."""
        before = self._sent_by_others if member is self._first[0] else self._sent_by_first
        others = [copies.count for other, copies in self._copies.items() if other is not member]
        before = max(before, *others, 0)
        said = 0 < before <= _MAX_SAID or self.alert
        return COPIES if said else LONE_COPIES

    def forget(self, room: Room) -> None:
        """Watch nothing of a room: a member has left it."""
        if room is self._first[0].room or room is self._room:
            self.stop()

    def stop(self) -> None:
        """Watch nothing."""
        self._room, self._left = _NO_ROOM, 0
        self._copies, self._first, self._latest = {}, (NOBODY, 0.0), NOBODY
