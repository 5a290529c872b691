"""
A relay under a chosen reactor, as a process of its own.

``python relay_child.py REACTOR INTERFACE`` prints one JSON line when it is open and, once its
standard input has ended, one with what it has counted.
"""

from __future__ import annotations

import json
import sys

from twisted.application.reactors import installReactor

reactor = installReactor(sys.argv[1])

from twisted.internet.protocol import Protocol  # noqa: E402
from twisted.internet.stdio import StandardIO  # noqa: E402
from twisted.logger import globalLogBeginner, textFileLogObserver  # noqa: E402

from udprelay.net.relay import Relay  # noqa: E402
from udprelay.relay.events import Event, ListenerOpened  # noqa: E402
from udprelay.relay.rules import ListenerRules, PlainPolicy, RelayRules  # noqa: E402


def say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def publish(event: Event) -> None:
    if isinstance(event, ListenerOpened):
        say(port=event.port, reactor=type(reactor).__name__)


class UntilEnd(Protocol):
    def connectionLost(self, reason: object = None) -> None:
        hub = relay.hub
        say(
            listeners=len(relay.listeners),
            members=hub.roster.member_count,
            datagrams=hub.roster.datagrams,
            deliveries=hub.roster.deliveries,
            dropped={reason.value: count for reason, count in hub.dropped.items()},
        )
        relay.stop_reading().addCallback(lambda _: reactor.stop())


globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
rules = RelayRules(
    listeners={"main": ListenerRules(interface=sys.argv[2], port=0, plain=PlainPolicy.ANY)}
)
relay = Relay(rules, reactor, bytes(32), publish)
relay.open()
StandardIO(UntilEnd())
reactor.run()
