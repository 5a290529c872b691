"""
Loops: datagrams that come back, and are delivered again, without end.

Two relays that are each other's targets, a ring of relays, two echo programs in one room, bridges
between two rooms: each returns what it is sent, and the relay delivers that again. A member that
sends one payload several times in short succession (:class:`~udprelay.relay.loop_watch.Watch`) is
put to a :class:`~udprelay.relay.loop_trial.Trial`, which loses nothing of an honest sender. A
member that is in a loop is muted for a while, and for longer each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from attrs import define

from udprelay.relay import events
from udprelay.relay.census import Census
from udprelay.relay.drops import DropReason
from udprelay.relay.gate import Gate
from udprelay.relay.loop_trial import Trial
from udprelay.relay.loop_watch import FanOut, Watch
from udprelay.relay.output import Output
from udprelay.relay.room import Member, Room
from udprelay.segments import Run

MAX_MUTE = 256.0
"""Seconds for which a member is muted at most; the first time it is one second."""
MIN_PROBATION = 10.0
"""Seconds without a loop, at least, until it is said to be over."""

_MAX_RECORDS = 256
# Seconds; the short one is for those who send too much to be held back.
_SHORT_EXEMPTION, _FIRST_EXEMPTION, _MAX_EXEMPTION = 1.0, 5.0, 600.0
_BACKOFF = 4


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
    """

    reason = DropReason.LOOP

    def __init__(self, output: Output, gate: Gate, census: Census, jitter: float) -> None:
        self.trial: Trial | None = None
        self.watch = Watch(self._is_exempt)
        self._output = output
        self._gate = gate
        self._patience = 1 + jitter / 2
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

    def look(self, fan_outs: Mapping[Room, FanOut], now: float) -> None:
        """
        Compare what was received with the payload watched.

        A trial holds it back before it is delivered.
        """
        if self.trial is None:
            found = self.watch.look(fan_outs, now)
            if found is not None:
                self.trial = Trial(*found, self._patience, now)
                self._output.deadline_nearer = True
        if self.trial is not None:
            self._hold_back(self.trial, fan_outs, now)

    def _is_exempt(self, member: Member, now: float) -> bool:
        record = self._records.get(member)
        return record is not None and now < record.exempt_until

    # The trial.

    def _hold_back(self, trial: Trial, fan_outs: Mapping[Room, FanOut], now: float) -> None:
        fan_out = fan_outs.get(trial.room)
        if fan_out is None:
            return
        runs, returned = trial.receive(fan_out.runs, now)
        fan_out.runs = runs
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
        return released

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
        self.watch.stop()
        self._records.clear()
        self._update()

    def _drop(self, runs: list[Run], now: float) -> None:
        for member, segments, _ in runs:
            self._output.drop_from(member, DropReason.LOOP, now, segments.count)

    def forget(self, member: Member, now: float) -> None:
        """Forget a member that has left; if it was muted, the loop is over."""
        trial = self.trial
        if trial is not None and trial.room is member.room:
            if len(trial.room):
                self._drop(trial.forget(member), now)
            else:
                self._drop(trial.release(), now)
                self.trial = None
        record = self._records.pop(member, None)
        if record is not None and record.until is not None:
            self._let_in(member, record, record.until)
            self._update()
        self.watch.forget(member.room)

    def _record(self, member: Member) -> _Record:
        records = self._records
        if member not in records and len(records) >= _MAX_RECORDS:
            self._forget()
        return records.setdefault(member, _Record())

    def _forget(self) -> None:
        """Forget the first member."""
        del self._records[next(iter(self._records))]
        self._update()

    def _update(self) -> None:
        """Set the deadline; be a rule while somebody is muted."""
        ends = [record.until for record in self._records.values() if record.until is not None]
        self._due = min(ends, default=inf)
        self.watch.alert = self._due < inf
        self._output.deadline_nearer = True
        rules = [rule for rule in self._gate.rules if rule is not self]
        muted = any(record.muted for record in self._records.values())
        self._gate.rules = [*rules, self] if muted else rules
