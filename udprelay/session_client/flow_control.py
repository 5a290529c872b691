"""Flow control: reports what is settled before the relay has to wait, and whom it waits for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

from udprelay.protocol.wire.from_relay import Waiting
from udprelay.protocol.wire.joining import Welcome
from udprelay.session_client.events import Event, WaitingFor
from udprelay.session_client.known_member import KnownMember

REPORTS_PER_HISTORY = 4
"""Reports while as much is settled as a history of the relay holds."""
WAITING_TIMEOUT = 3.0
"""Seconds after the last WAITING in which a wait goes on."""


class FlowControl:
    """
    Tells when PING has to report what is settled, and reports for whom messages wait.

    :param emit: receives events.
    :ivar deadline: when to call :meth:`expire`.
    """

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self.deadline = inf
        self._emit = emit
        # How much may be settled without a report; infinity: nothing is reported.
        self._steps = (inf, inf)
        self._reported = (0, 0)
        self._asked = False
        self._waiting_for: tuple[int, ...] = ()

    def start_session(self, welcome: Welcome, reports: bool, settled: int) -> None:
        """
        Begin to report.

        :param reports: whether JOIN said so.
        :param settled: the room sequence that the relay knows to be settled.
        """
        history = welcome.history if reports else None
        self._steps = (inf, inf)
        if history is not None:
            room, private = (max(1, n // REPORTS_PER_HISTORY) if n else inf for n in history)
            self._steps = room, private
        self._reported = (settled, 0)
        self._asked = False

    def end_session(self) -> None:
        """End the wait, if there is one."""
        self._set_waiting_for((), ())
        self._asked = False

    def is_due(self, settled: int, settled_private: int) -> bool:
        """Return whether to report by PING that so much of both sequences is settled."""
        (room, private), (step, step_private) = self._reported, self._steps
        return self._asked or settled - room >= step or settled_private - private >= step_private

    def report(self, settled: int, settled_private: int) -> int | None:
        """Note that PING reports this; return the private sequence if PING is to have it."""
        self._reported = (settled, settled_private)
        self._asked = False
        return None if self._steps == (inf, inf) else settled_private

    def receive(
        self, waiting: Waiting, own: int, members: Mapping[int, KnownMember], now: float
    ) -> None:
        """
        Receive WAITING.

        :param own: the client's member number.
        """
        numbers = tuple(number for number in waiting.numbers if number != own)
        if len(numbers) < len(waiting.numbers):
            self._asked = True
            if not numbers:
                # Others wait for this client.
                return
        known = [members.get(number) for number in numbers]
        nicks = tuple(None if member is None else member.trusted_nick for member in known)
        self._set_waiting_for(numbers, nicks)
        self.deadline = now + WAITING_TIMEOUT if numbers else inf

    def expire(self, now: float) -> None:
        """End the wait if the relay has not repeated it."""
        if now >= self.deadline:
            self._set_waiting_for((), ())

    def _set_waiting_for(self, numbers: tuple[int, ...], nicks: tuple[str | None, ...]) -> None:
        self.deadline = inf
        if numbers != self._waiting_for:
            self._waiting_for = numbers
            self._emit(WaitingFor(numbers, nicks))
