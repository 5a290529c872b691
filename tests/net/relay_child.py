"""
A relay under a chosen reactor, as a process of its own.

``python relay_child.py REACTOR INTERFACE [forbid]`` prints one JSON line when it is open and one
with its totals after the end of its standard input. ``forbid`` forbids the batched port's calls.
"""

from __future__ import annotations

import json
import sys

from forbidden_calls import forbid
from twisted.application.reactors import installReactor

reactor = installReactor(sys.argv[1])

from twisted.internet.protocol import Protocol  # noqa: E402
from twisted.internet.stdio import StandardIO  # noqa: E402
from twisted.logger import globalLogBeginner, textFileLogObserver  # noqa: E402

from udprelay.net.relay import Relay  # noqa: E402
from udprelay.relay.events import (  # noqa: E402
    Event,
    ListenerOpened,
    ListenerUnbatched,
    RelayStopped,
)
from udprelay.relay.rules import ListenerRules, PlainPolicy, RelayRules  # noqa: E402

unbatched = ""


def report(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def publish(event: Event) -> None:
    global unbatched
    if isinstance(event, ListenerUnbatched):
        unbatched = event.error
    elif isinstance(event, ListenerOpened):
        report(port=event.port, reactor=type(reactor).__name__, unbatched=unbatched)
    elif isinstance(event, RelayStopped):
        report(members=event.members, datagrams=event.datagrams, dropped=event.dropped)


class UntilEnd(Protocol):
    def connectionLost(self, reason: object = None) -> None:
        closed = relay.close()
        relay.hub.close(relay.now())
        for event in relay.hub.drain_events():
            publish(event)
        closed.addCallback(lambda _: reactor.stop())


if "forbid" in sys.argv:
    forbid()
globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
rules = RelayRules(
    listeners={"main": ListenerRules(interface=sys.argv[2], port=0, plain=PlainPolicy.ANY)}
)
relay = Relay(rules, reactor, bytes(32), publish)
relay.open()
StandardIO(UntilEnd())
reactor.run()
