"""
Destinations in trouble: who is held back, who is tried again, and when it is over.

Pure: the time is an argument. A destination is *unreachable* after an ICMP error, and *congested*
if datagrams for it stay in the send buffer, which all destinations share.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Hashable
from enum import Enum

PROBE_INTERVAL = 1.0
"""Seconds between two datagrams for an unreachable destination."""

MAX_PROBES = 32
"""Such datagrams per second: each may wait 3 s in the send buffer for a neighbour (arp(7))."""

IMMUNITY = 1.0
"""Seconds for which ICMP errors, which anybody can forge, do not count after a datagram."""

PROBATION = 5.0
"""Seconds without a sign of trouble after which it is over."""

CLEAN_TRIALS = 2
"""Trials in a row that acquit a destination."""

TRIAL_INTERVAL = 1.0
"""Seconds between two trials of a congested destination."""

MAX_TROUBLES = 4096

_NO_ANSWER = 4.0
"""Seconds: the error for a neighbour that is not there comes 3 s after the datagram."""

_UNUSED = 30.0 + MAX_TROUBLES / MAX_PROBES
"""Seconds without a probe after which a destination is forgotten; its turn may come as late."""


class Kind(Enum):
    """What is wrong with a destination."""

    UNREACHABLE = "unreachable"
    SUSPECTED = "suspected"
    """The send buffer grew with a datagram for it, which may have left since."""
    CONGESTED = "congested"
    REFUSED = "refused"
    """The kernel refuses datagrams for it: a filter, or a full queue of its interface."""


class Trouble:
    """
    One destination in trouble.

    :ivar code: the errno for what is not sent to it.
    :ivar since: when it began.
    :ivar last: the last sign of it.
    :ivar held: whether it is held back.
    :ivar due: when the next probe may be sent, or the next trial may begin.
    :ivar probed: the first probe since the last sign; negative for none.
    :ivar clean: its trials in a row that showed nothing.
    :ivar immune_until: when ICMP errors count again.
    """

    __slots__ = ("clean", "code", "due", "held", "immune_until", "kind", "last", "probed", "since")

    def __init__(self, kind: Kind, code: int, now: float) -> None:
        self.since = now
        self.immune_until = now
        self.hold(kind, code, now)

    def hold(self, kind: Kind, code: int, now: float) -> None:
        """Hold the destination back from now on."""
        self.kind, self.code, self.last, self.held = kind, code, now, True
        self.due, self.probed, self.clean = now + PROBE_INTERVAL, -1.0, 0


class Troubles:
    """
    The destinations of one socket that are in trouble.

    :param began: is called with a destination and the errno, once for each trouble.
    :param ended: is called with a destination and the seconds that its trouble has lasted.
    :ivar version: changes when the set of destinations that are held back does.
    """

    def __init__(
        self, began: Callable[[Hashable, int], None], ended: Callable[[Hashable, float], None]
    ) -> None:
        self._began, self._ended = began, ended
        self._all: dict[Hashable, Trouble] = {}
        # The unreachable ones that are held back, in the order in which they are due.
        self._queue: dict[Hashable, None] = {}
        # The suspected and congested ones.
        self._waiting: set[Hashable] = set()
        self._suspects = 0
        self._next_probe = 0.0
        self.version = 0

    def __len__(self) -> int:
        return len(self._all)

    def held(self, peer: Hashable) -> Trouble | None:
        """Return the trouble of a destination that is held back, or None."""
        trouble = self._all.get(peer)
        return trouble if trouble is not None and trouble.held else None

    @property
    def waiting(self) -> bool:
        """Whether datagrams for any destination stay, or may stay, in the send buffer."""
        return bool(self._waiting)

    def is_waiting(self, peer: Hashable) -> bool:
        """Return whether a destination is suspected or congested."""
        return peer in self._waiting

    def note(self, peer: Hashable, code: int, now: float) -> None:
        """Note a datagram that the kernel refused: others may pass, nothing is held back."""
        trouble = self._all.get(peer)
        if trouble is not None:
            trouble.last = now
        elif len(self._all) < MAX_TROUBLES:
            trouble = self._all[peer] = Trouble(Kind.REFUSED, code, now)
            trouble.held = False
            self._began(peer, code)

    # Unreachable destinations.

    def refuse(self, peer: Hashable, code: int, now: float) -> None:
        """Note an ICMP error for a destination: it gets a probe per second, and nothing else."""
        trouble = self._all.get(peer)
        if trouble is None:
            if len(self._all) == MAX_TROUBLES:
                return
            self._all[peer] = Trouble(Kind.UNREACHABLE, code, now)
            self._began(peer, code)
        elif peer in self._queue:
            trouble.code, trouble.last, trouble.probed = code, now, -1.0
            return
        elif now < trouble.immune_until:
            trouble.last = now
            return
        else:
            if trouble.kind is Kind.SUSPECTED:
                self._suspects -= 1
                self._began(peer, code)
            trouble.hold(Kind.UNREACHABLE, code, now)
            self._waiting.discard(peer)
        self._queue[peer] = None
        self.version += 1

    def hear(self, peer: Hashable, now: float) -> None:
        """Note a datagram from a destination: it is reachable, whatever was reported."""
        if peer in self._queue:
            self._all[peer].immune_until = now + IMMUNITY
            self._release(peer, now)

    def due(self, now: float) -> list[Hashable]:
        """Return the destinations that may be sent a probe; release those that are reachable."""
        ready = []
        for peer in self._queue:
            if now < self._all[peer].due:
                break
            ready.append(peer)
        for peer in ready:
            trouble = self._all[peer]
            wait = _NO_ANSWER if trouble.code == errno.EHOSTUNREACH else PROBE_INTERVAL
            if 0 <= trouble.probed <= now - wait:
                self._release(peer, now)
            elif now - trouble.due >= _UNUSED:
                self._end(peer, now)
        return [peer for peer in ready if peer in self._queue]

    def try_probe(self, peer: Hashable, now: float) -> bool:
        """Return whether a probe may be sent now, and count it."""
        if now < self._next_probe:
            return False
        # What was not used in the last second may be used at once.
        self._next_probe = max(self._next_probe, now - 1.0) + 1.0 / MAX_PROBES
        trouble = self._all[peer]
        trouble.due = now + PROBE_INTERVAL
        del self._queue[peer]
        self._queue[peer] = None
        return True

    def probe_sent(self, peer: Hashable, now: float) -> None:
        """Note that a probe has left: an error may come back for it."""
        trouble = self._all[peer]
        if trouble.probed < 0:
            trouble.probed = now

    # Congested destinations.

    def acquit_suspects(self) -> None:
        """Forget all suspects: nothing stays in the send buffer."""
        if self._suspects:
            for peer in list(self._waiting):
                if self._all[peer].kind is Kind.SUSPECTED:
                    self._forget(peer)

    def suspect(self, peer: Hashable, now: float) -> None:
        """Note that the send buffer grew with a datagram for a destination."""
        trouble = self._all.get(peer)
        if trouble is None:
            if len(self._all) == MAX_TROUBLES:
                return
            self._all[peer] = Trouble(Kind.SUSPECTED, errno.EAGAIN, now)
            self._suspects += 1
        elif trouble.held:
            trouble.last = now
            return
        else:
            # It was unreachable, or refused: that its datagrams wait now is the same trouble.
            trouble.hold(Kind.CONGESTED, errno.EAGAIN, now)
        self._waiting.add(peer)
        self.version += 1

    def try_trial(self, peer: Hashable, now: float) -> bool:
        """
        Return whether a destination may be tried with a datagram that may stay, and count it.

        Suspects are tried first: they may be innocent.
        """
        trouble = self._all[peer]
        if trouble.kind is Kind.CONGESTED and (self._suspects or now < trouble.due):
            return False
        trouble.due = now + TRIAL_INTERVAL
        return True

    def judge(self, peer: Hashable, guilty: bool, now: float) -> bool:
        """
        End a trial.

        :param guilty: whether the datagram has stayed in the send buffer.
        :return: whether the destination is acquitted: one that has not stayed is no proof, as
            another one may have left.
        """
        if peer not in self._waiting:
            return False
        trouble = self._all[peer]
        if guilty:
            trouble.clean = 0
            trouble.last = now
            if trouble.kind is Kind.SUSPECTED:
                trouble.kind = Kind.CONGESTED
                self._suspects -= 1
                self._began(peer, trouble.code)
            return False
        trouble.clean += 1
        trouble.due = now
        if trouble.clean < CLEAN_TRIALS:
            return False
        if trouble.kind is Kind.SUSPECTED:
            self._forget(peer)
        else:
            trouble.held = False
            self._waiting.discard(peer)
            self.version += 1
        return True

    # The end.

    def expire(self, now: float) -> None:
        """End the troubles of which there was no sign for a while."""
        for peer, trouble in list(self._all.items()):
            if peer not in self._queue and now - trouble.last >= PROBATION:
                self._end(peer, now)

    def close(self, now: float) -> None:
        """End all troubles: nothing is sent any more."""
        for peer in list(self._all):
            self._end(peer, now)

    def _release(self, peer: Hashable, now: float) -> None:
        trouble = self._all[peer]
        trouble.held, trouble.last = False, now
        del self._queue[peer]
        self.version += 1

    def _end(self, peer: Hashable, now: float) -> None:
        trouble = self._all[peer]
        self._forget(peer)
        if trouble.kind is not Kind.SUSPECTED:
            self._ended(peer, now - trouble.since)

    def _forget(self, peer: Hashable) -> None:
        self._suspects -= self._all.pop(peer).kind is Kind.SUSPECTED
        self._queue.pop(peer, None)
        self._waiting.discard(peer)
        self.version += 1
