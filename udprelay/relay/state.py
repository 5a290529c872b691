"""What all parts of a hub share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from udprelay.protocol.endpoint import Endpoint
from udprelay.relay.admission import Admission
from udprelay.relay.census import Census
from udprelay.relay.expiry import Expiry
from udprelay.relay.floods import Floods
from udprelay.relay.gate import Gate
from udprelay.relay.loops import Loops
from udprelay.relay.memory import Memory
from udprelay.relay.output import Output
from udprelay.relay.quotas import Quotas
from udprelay.relay.roster import Roster
from udprelay.relay.rules import RelayRules


class RelayState:
    """
    The tables and the rules of one relay.

    :param secret: 32 random bytes of this run.
    :param is_own: tells whether an endpoint is one of the relay's own listeners.
    :param now: when the run began.
    :ivar named_rooms: the rooms that the configuration names; their number is constant.
    """

    def __init__(
        self, rules: RelayRules, secret: bytes, is_own: Callable[[Endpoint], bool], now: float
    ) -> None:
        self.rules = rules
        self.secret = secret
        self.started = now
        self.named_rooms = frozenset(rules.rooms) | {one.room for one in rules.listeners.values()}
        self.census = Census()
        self.output = Output(rules.limits.drop_window, self.named_rooms, self.census)
        self.gate = Gate(self.output, rules.limits, self.census)
        self.loops = Loops(self.output, self.gate, self.census, secret[0] / 255)
        self.floods = Floods(self.output, self.gate.excess, self.census)
        self.memory = Memory(
            rules.limits.memory, rules.limits.drop_window, self.output, self.census
        )
        self.roster = Roster(rules, self.memory, self.output.emit, self.census)
        for name in self.named_rooms:
            self.census.add(f"rooms.{name}", partial(self.roster.counts, name))
        self.admission = Admission(rules.limits, secret, is_own, self.census)
        self.quotas = Quotas(rules.limits, secret, self.census)
        self.expiry = Expiry()
        self.census.add("tables.expiry", self.expiry.__len__)
        self.roster.on_leave = [
            self.loops.forget,
            lambda member, _: self.gate.forget(member),
            lambda member, _: self.expiry.forget(member),
            lambda member, _: self.quotas.leave(member),
        ]
        self.roster.on_close = [self.quotas.close]
