"""Keeps destinations in trouble from using up the send buffer that all share."""

from __future__ import annotations

import errno
from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from udprelay.batch_udp.send_buffer import SendBuffer
from udprelay.batch_udp.trouble import Kind, Troubles
from udprelay.segments import Source

FULL = frozenset((errno.EAGAIN, errno.EWOULDBLOCK))
"""What a send reports while the send buffer is full."""

SETTLE = 0.005
"""Seconds after which a datagram for a destination that is not congested has left."""

ACQUITTED = 4.0
"""Seconds after a trial for which a destination is not suspected again, unless more waits."""

_INTERVAL = 1.0
_SWEEP_INTERVAL = 0.5

Send: TypeAlias = Callable[[bytes, Source], int]
"""Sends a datagram to a destination; returns 0 or the errno."""


class Isolation:
    """
    Watches the send buffer of one socket once it has been full.

    In fair weather :attr:`active` is False, and a send costs nothing more. When the usual part of
    the buffer is full, the reserve is opened, and every datagram is *checked* while more than the
    usual part waits: the destination with which the buffer grows is suspected. One destination
    at a time is tried with one datagram; if that stays in the buffer, it is congested. A congested
    one gets datagrams as long as little waits.

    :param troubles: the destinations in trouble.
    :param clock: the time, and delayed calls.
    :param knows: whether something may be remembered of a destination: addresses can be forged.
    :ivar checking: whether every datagram is checked.
    :ivar clear: destinations that were checked, and did not make the buffer grow.
    :ivar probes: unreachable destinations that may be sent a datagram now.
    """

    def __init__(
        self,
        buffer: SendBuffer,
        troubles: Troubles,
        clock: IReactorTime,
        knows: Callable[[Hashable], bool] = lambda peer: True,
    ) -> None:
        self.buffer, self.troubles = buffer, troubles
        self._clock = clock
        self._knows = knows
        self._timer: IDelayedCall | None = None
        self.active = self.checking = False
        self.clear: set[Hashable] = set()
        self.probes: Sequence[Hashable] = ()
        self._trial: tuple[Hashable, int, float] | None = None
        self._acquitted: dict[Hashable, float] = {}
        self._queued = self._lowest = 0
        self._settled_at = 0.0
        self._trial_from = 0
        self._now = self._sweep_due = 0.0

    def begin(self) -> None:
        """Prepare for a fan-out; to be called before each while active."""
        now = self._now = self._clock.seconds()
        buffer, troubles = self.buffer, self.troubles
        if now >= self._sweep_due:
            self._sweep_due = now + _SWEEP_INTERVAL
            troubles.expire(now)
        if buffer.opened:
            # Always at the beginning: what others have just been sent may be on its way.
            queued = self._queued = buffer.queued()
            self._judge(queued, now)
            self.checking = queued >= buffer.usual
            self._lowest = min(self._lowest, queued)
            if not self.checking or queued > self._lowest + buffer.size // 4:
                # Also if one was acquitted wrongly.
                self.clear.clear()
                self._acquitted.clear()
                self._lowest = queued
            if queued < buffer.usual // 4:
                # What the suspects were sent has left the machine.
                troubles.acquit_suspects()
                if not troubles.waiting:
                    buffer.close_reserve()
        self.probes = troubles.due(now)
        self.active = buffer.opened or len(troubles) > 0

    def _wake(self) -> None:
        self._now = self._clock.seconds()
        self.active = True
        if self._timer is None:
            self._timer = self._clock.callLater(_INTERVAL, self._look_after)

    def _look_after(self) -> None:
        """Find out without traffic that a trouble is over."""
        self._timer = None
        try:
            self.begin()
        finally:
            if self.active:
                self._wake()

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def alarm(self) -> bool:
        """Note that the buffer is full; return whether to try again, checked."""
        if self.checking:
            return False
        self._wake()
        self.buffer.open_reserve()
        self._settled_at = self._now + SETTLE
        self.checking = True
        return True

    def refuse(self, peer: Hashable, code: int) -> None:
        """Note an ICMP error for a destination."""
        self._wake()
        self.troubles.refuse(peer, code, self._now)

    def note(self, peer: Hashable, code: int) -> None:
        """Note that the kernel has refused a datagram."""
        if self._knows(peer):
            self._wake()
            self.troubles.note(peer, code, self._now)

    def hear(self, peers: Sequence[Hashable]) -> None:
        """Note datagrams from destinations."""
        now = self._clock.seconds()
        for peer in peers:
            self.troubles.hear(peer, now)

    def check(self, peer: Hashable, before: int) -> None:
        """
        Suspect a destination if the buffer has grown with what was sent to it.

        :param before: what waited before.
        """
        if not self._knows(peer):
            return
        if self._now >= self._acquitted.get(peer, 0.0) and self.buffer.queued() > before:
            self.clear.discard(peer)
            self.troubles.suspect(peer, self._now)
        else:
            self.clear.add(peer)

    def try_probe(self, peer: Hashable, send: Callable[[], int]) -> bool:
        """Send one datagram to an unreachable destination if it may have one; return whether."""
        if not self.troubles.try_probe(peer, self._now) or send():
            return False
        self.troubles.probe_sent(peer, self._now)
        return True

    def send_waiting(
        self, peer: Hashable, payloads: Sequence[bytes], destination: Source, send: Send
    ) -> list[int]:
        """
        Send what a suspect or a congested destination may have.

        :return: 0 or an errno for each payload.
        """
        buffer, codes = self.buffer, list[int]()
        trouble = self.troubles.held(peer)
        suspected = trouble is not None and trouble.kind is Kind.SUSPECTED
        for payload in payloads:
            before = buffer.queued()
            if suspected or before >= buffer.usual // 2:
                if not self._may_try(before) or not self.troubles.try_trial(peer, self._now):
                    break
                self._trial = peer, self._queued + len(payload), self._now
                self._trial_from = self._queued
            codes.append(send(payload, destination))
            if codes[-1] and self._trial is not None and self._trial[0] == peer:
                # Nothing was sent, so nothing can be learnt from the buffer.
                self._trial = None
            if buffer.queued() > before:
                self.troubles.suspect(peer, self._now)
        return codes + [errno.EAGAIN] * (len(payloads) - len(codes))

    def _may_try(self, queued: int) -> bool:
        """Return whether a trial may begin: another one, and what it has changed, is over."""
        space = queued < self.buffer.size - self.buffer.size // 8
        return self._trial is None and self._now >= self._settled_at and space

    def _judge(self, queued: int, now: float) -> None:
        if self._trial is None:
            return
        peer, limit, since = self._trial
        if now < since + SETTLE:
            return
        self._trial = None
        if queued < self._trial_from:
            # What others had been sent has left: that hides whether this one's has stayed.
            return
        if self.troubles.judge(peer, queued > limit, now):
            self._settled_at = now + SETTLE
            # On a network card, what is sent to it always waits for a moment.
            self._acquitted[peer] = now + ACQUITTED
