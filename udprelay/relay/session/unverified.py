"""Answers to addresses that are those of no member, or not yet: few, and small."""

from __future__ import annotations

from attrs import frozen

from udprelay.protocol.endpoint import Endpoint
from udprelay.protocol.wire.header import Type
from udprelay.relay.budget import PrefixBudgets
from udprelay.relay.listener import Listener, Source
from udprelay.relay.state import Shared

_TYPE = 4


@frozen
class Origin:
    """
    Where a datagram came from.

    :param size: bytes that it had.
    """

    listener: Listener
    source: Source
    address: Endpoint
    size: int


class Strangers:
    """
    Answers within budgets for each source prefix, and never with more than came.

    CHALLENGE and REFUSED have one of their own: what can be asked for in the name of somebody
    else uses up nothing that needs a cookie.
    """

    def __init__(self, shared: Shared) -> None:
        rate, burst = shared.rules.limits.session_rate, shared.rules.limits.session_burst
        self._admission = shared.admission
        self._output = shared.output
        self._others = PrefixBudgets(shared.secret, rate, burst)
        self._budgets: dict[int, PrefixBudgets] = {
            kind: PrefixBudgets(shared.secret, rate, burst)
            for kind in (Type.CHALLENGE, Type.REFUSED)
        }

    def origin(self, listener: Listener, source: Source, size: int, now: float) -> Origin | None:
        """Return where a datagram comes from; None, and counted, if nobody can be there."""
        address = listener.endpoint(source)
        reason = self._admission.impossible(address)
        if reason is None:
            return Origin(listener, source, address, size)
        self._output.reject(listener, listener.rules.room, address, reason, now)
        return None

    def answer(self, origin: Origin, answer: bytes, now: float) -> bool:
        """Answer a datagram, if that may be; return whether it is answered."""
        budgets = self._budgets.get(answer[_TYPE], self._others)
        if len(answer) > origin.size or not budgets.take(origin.address.ip, now):
            return False
        self._output.reply(origin.listener, origin.source, answer)
        return True
