"""
Loops: datagrams that come back, and are delivered again, without end.

Two relays that are each other's targets, a ring of relays, two echo programs in one room, bridges
between two rooms: each returns what it is sent, and the relay delivers that again. To find a loop,
one payload at a time is watched. A member that has sent it several times in short succession is
put to a :class:`~udprelay.relay.loop_trial.Trial`, which loses nothing of an honest sender. A
member that is in a loop is muted for a while, and for longer each time.

A batch costs at most one look-up and one comparison here, for whatever number of datagrams. While
no payload comes again, not all batches are looked at.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from math import inf
from typing import NamedTuple, Protocol

from attrs import define

from udprelay.relay import events
from udprelay.relay.census import Census
from udprelay.relay.drops import DropReason
from udprelay.relay.gate import Gate
from udprelay.relay.loop_trial import Trial, has_copy, tail_of
from udprelay.relay.output import Output
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
MAX_MUTE = 256.0
"""Seconds for which a member is muted at most; the first time it is one second."""
MIN_PROBATION = 10.0
"""Seconds without a loop, at least, until it is said to be over."""

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
_MAX_RECORDS = 256
# Seconds; the short one is for those who send too much to be held back.
_SHORT_EXEMPTION, _FIRST_EXEMPTION, _MAX_EXEMPTION = 1.0, 5.0, 600.0
_BACKOFF = 4


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


@define(eq=False)
class _Record:
    """
    What is known of a member.

    :ivar exemption: seconds; longer with each trial in which it was honest.
    :ivar until: when its mute or probation ends; None if it is not in a loop.
    """

    exemption: float = 0.0
    exempt_until: float = 0.0
    muted: bool = False
    mute: float = 0.0
    until: float | None = None
    dropped: int = 0


class Loops:
    """
    Finds loops, and mutes the members that close them; a rule of the gate while it does.

    :param jitter: from 0 to 1, another one for each relay.
    :ivar trial: the present trial, or None.
    :ivar skipped: batches to come that need no look.
    """

    reason = DropReason.LOOP

    def __init__(self, output: Output, gate: Gate, census: Census, jitter: float) -> None:
        self.trial: Trial | None = None
        self.skipped = 0
        self._output = output
        self._gate = gate
        self._patience = 1 + jitter / 2
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
        self._records: dict[Member, _Record] = {}
        self._due = inf
        self._found = 0
        census.add("loops", lambda: self._found)
        census.add("tables.loops", self._records.__len__)
        census.add("queues.loop", lambda: 0 if self.trial is None else len(self.trial))

    @property
    def deadline(self) -> float:
        """When :meth:`expire` is due, or infinity."""
        return self._due if self.trial is None else min(self._due, self.trial.deadline)

    # The watch.

    def look(self, fan_outs: Mapping[Room, FanOut], now: float) -> None:
        """
        Compare what was received with the payload watched.

        A trial holds it back before it is delivered.
        """
        if self.trial is None:
            self._look(fan_outs, now)
        if self.trial is not None:
            self._hold_back(self.trial, fan_outs, now)

    def _look(self, fan_outs: Mapping[Room, FanOut], now: float) -> None:
        self._left -= 1
        fan_out = fan_outs.get(self._room)
        if fan_out is not None and _has_tail(fan_out.runs[-_MAX_RUNS:], self._tail):
            for member, segments, _ in fan_out.runs:
                if self._room is fan_out.room:
                    self._compare(member, segments, now)
            return
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
        self._left = _PATIENCE
        self._room = _NO_ROOM
        if self._is_exempt(member, now):
            return
        self._room = room
        self._tail = tail
        self._first = member, now
        if self._copies:
            self._copies = {}

    def _compare(self, member: Member, segments: Segments, now: float) -> None:
        """Count a copy, if it is one."""
        if not has_copy(member, segments, self._tail):
            return
        self._remember(self._payload, member.number, now)
        if self._is_exempt(member, now):
            return
        if not self._copies:
            first, since = self._first
            self._copies = {first: _Copies(1, since)}
            self._latest = first
        copies = self._copies.setdefault(member, _Copies(0, now))
        spacing = now - copies.last
        if not spacing and copies.count:
            # What comes back takes time: these have been sent at once.
            return
        if spacing > MAX_SPACING or len(self._copies) > _MAX_SENDERS:
            self._room, self._left = _NO_ROOM, 0
            return
        self._left = _MORE_PATIENCE
        copies.count += 1
        copies.answers += member is not self._latest
        copies.last = now
        copies.spacing = max(copies.spacing, spacing)
        self._latest = member
        suspects = [one for one, c in self._copies.items() if c.answers > 1]
        if len(suspects) > 1 and copies.answers >= FEWER_COPIES:
            self._begin_trial(suspects, copies.spacing, now)
        elif copies.count >= self._enough(member):
            self._begin_trial([member], copies.spacing, now)

    def _enough(self, member: Member) -> int:
        """Return how many copies from one member begin a trial."""
        before = self._sent_by_others if member is self._first[0] else self._sent_by_first
        others = [copies.count for other, copies in self._copies.items() if other is not member]
        before = max(before, *others, 0)
        # While a loop is known, others that it is part of are likely.
        said = 0 < before <= _MAX_SAID or self._due < inf
        return COPIES if said else LONE_COPIES

    def _begin_trial(self, suspects: list[Member], spacing: float, now: float) -> None:
        self.trial = Trial(self._room, self._tail, suspects, spacing, self._patience, now)
        self._room, self._left = _NO_ROOM, 0
        self._output.deadline_nearer = True

    def _is_exempt(self, member: Member, now: float) -> bool:
        record = self._records.get(member)
        return record is not None and now < record.exempt_until

    # The trial.

    def _hold_back(self, trial: Trial, fan_outs: Mapping[Room, FanOut], now: float) -> None:
        fan_out = fan_outs.get(trial.room)
        if fan_out is None:
            return
        runs, returned = trial.receive(fan_out.runs, now)
        fan_out.runs = self._present(runs, now)
        for member, segments, _ in returned:
            self._mute(member, segments.count, now)
        if trial.over:
            self._end_trial(trial, now)

    def _end_trial(self, trial: Trial, now: float) -> None:
        self.trial = None
        for member in trial.honest:
            record = self._record(member)
            first = _SHORT_EXEMPTION if trial.full else _FIRST_EXEMPTION
            record.exemption = min(_BACKOFF * record.exemption or first, _MAX_EXEMPTION)
            record.exempt_until = now + record.exemption

    # The mute.

    def _mute(self, member: Member, count: int, now: float) -> None:
        record = self._record(member)
        if not record.muted:
            if record.until is None:
                self._found += 1
            record.mute = min(_BACKOFF * record.mute or 1.0, MAX_MUTE)
            record.until = now + record.mute
            self._output.emit(events.LoopFound(seconds=record.mute, **member.event_fields()))
            record.muted = True
            self._update()
        record.dropped += count
        self._output.drop_from(member, DropReason.LOOP, now, count)

    def accept(self, member: Member, count: int, size: int, now: float, control: bool) -> int:
        """Accept nothing but control datagrams of a muted member."""
        record = self._records.get(member)
        if control or record is None or not record.muted:
            return count
        record.dropped += count
        return 0

    def expire(self, now: float) -> list[Run]:
        """Do what is due; return what was held back and is to be delivered."""
        if self._due <= now:
            for member, record in self._records.items():
                if record.until is not None and record.until <= now:
                    self._let_in(member, record, now)
            self._update()
        trial = self.trial
        if trial is None or now < trial.deadline:
            return []
        released, returned = trial.expire(now)
        self._drop(returned, now)
        if trial.over:
            self._end_trial(trial, now)
        return self._present(released, now)

    def _present(self, runs: list[Run], now: float) -> list[Run]:
        """Return the runs of members that have not left; drop the others."""
        self._drop([run for run in runs if run[0].slot < 0], now)
        return [run for run in runs if run[0].slot >= 0]

    def _let_in(self, member: Member, record: _Record, now: float) -> None:
        """Let a member in again, on probation; after that, the loop is over."""
        if record.muted and member.slot >= 0:
            record.muted = False
            record.until = now + max(record.mute, MIN_PROBATION)
            return
        self._output.emit(events.LoopOver(dropped=record.dropped, **member.event_fields()))
        record.muted, record.mute, record.until, record.dropped = False, 0.0, None, 0

    def close(self, now: float) -> None:
        """Drop what is held back: the relay stops."""
        if self.trial is not None:
            self._drop(self.trial.release(), now)
            self.trial = None
        self._room, self._copies = _NO_ROOM, {}
        self._first, self._latest = (NOBODY, 0.0), NOBODY
        self._records.clear()
        self._update()

    def _drop(self, runs: list[Run], now: float) -> None:
        for member, segments, _ in runs:
            self._output.drop_from(member, DropReason.LOOP, now, segments.count)

    def forget(self, member: Member) -> None:
        """Forget a member that has left; if it was muted, the loop is over."""
        record = self._records.pop(member, None)
        if record is not None and record.until is not None:
            self._let_in(member, record, record.until)
            self._update()
        if member.room is self._first[0].room or member.room is self._room:
            self._room, self._left = _NO_ROOM, 0
            self._copies, self._first, self._latest = {}, (NOBODY, 0.0), NOBODY

    def _record(self, member: Member) -> _Record:
        records = self._records
        if member not in records and len(records) >= _MAX_RECORDS:
            self._forget()
        return records.setdefault(member, _Record())

    def _forget(self) -> None:
        """Forget members: those that have left, or the first."""
        records = self._records
        useless = [m for m, record in records.items() if m.slot < 0 and record.until is None]
        for member in useless or [next(iter(records))]:
            del records[member]
        self._update()

    def _update(self) -> None:
        """Set the deadline; be a rule while somebody is muted."""
        ends = [record.until for record in self._records.values() if record.until is not None]
        self._due = min(ends, default=inf)
        self._output.deadline_nearer = True
        rules = [rule for rule in self._gate.rules if rule is not self]
        muted = any(record.muted for record in self._records.values())
        self._gate.rules = [*rules, self] if muted else rules
