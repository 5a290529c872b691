"""Answers to unverified sources: few, and no larger than the datagram they answer."""

from __future__ import annotations

from attrs import frozen

from udprelay.protocol.endpoint import Endpoint
from udprelay.protocol.wire.header import TYPE_OFFSET, Type
from udprelay.relay.budget import SourceBudgets, prefix
from udprelay.relay.room import Listener
from udprelay.relay.state import RelayState
from udprelay.segments import Source


@frozen
class Origin:
    """The origin of a datagram of ``size`` bytes."""

    listener: Listener
    source: Source
    address: Endpoint
    size: int


class UnverifiedSources:
    """
    Answers unverified sources, within a budget for each source prefix.

    CHALLENGE and REFUSED each have a budget of their own: forged requests for them use up
    nothing that needs a cookie. As none is larger than what it answers, nobody can use them to
    flood others; so the budgets are so large that forged datagrams hardly use them up.
    """

    def __init__(self, state: RelayState) -> None:
        rate, burst = state.rules.limits.session_rate, state.rules.limits.session_burst
        self._admission = state.admission
        self._output = state.output
        self._budgets: dict[int | None, SourceBudgets] = {
            kind: SourceBudgets(state.secret, rate, burst)
            for kind in (Type.CHALLENGE, Type.REFUSED, None)
        }
        budgets = self._budgets.values()
        state.census.add("tables.budgets.answers", lambda: sum(map(len, budgets)))

    def origin(self, listener: Listener, source: Source, size: int, now: float) -> Origin | None:
        """Return the origin of a datagram; None, and counted, if the address is impossible."""
        address = listener.transport.endpoint(source)
        reason = self._admission.impossible(address)
        if reason is None:
            return Origin(listener, source, address, size)
        self._output.reject(listener, listener.rules.room, address, reason, now)
        return None

    def answer(self, origin: Origin, answer: bytes, now: float) -> bool:
        """Answer a datagram if size and budget allow it; return whether."""
        budgets = self._budgets.get(answer[TYPE_OFFSET], self._budgets[None])
        if len(answer) > origin.size or not budgets.try_consume(prefix(origin.address.ip), now):
            return False
        self._output.reply(origin.listener.transport, origin.source, answer)
        return True
