"""
A member under a chosen reactor, as a process of its own.

``python member_child.py REACTOR PORT`` prints a line for each event, sends each line of its
standard input, and leaves at its end.
"""

from __future__ import annotations

import sys

from twisted.application.reactors import installReactor

reactor = installReactor(sys.argv[1])

from twisted.internet.stdio import StandardIO  # noqa: E402
from twisted.logger import globalLogBeginner, textFileLogObserver  # noqa: E402
from twisted.protocols.basic import LineOnlyReceiver  # noqa: E402

from udprelay.client import Member, Received, join  # noqa: E402
from udprelay.session_client.events import Event  # noqa: E402


def observe(member: Member, event: Event) -> None:
    line = event.payload.decode() if isinstance(event, Received) else type(event).__name__
    print(line, flush=True)


class Input(LineOnlyReceiver):
    delimiter = b"\n"

    def __init__(self, member: Member) -> None:
        self._member = member

    def lineReceived(self, line: bytes) -> None:
        self._member.send(line)

    def connectionLost(self, reason: object = None) -> None:
        self._member.leave().addCallback(lambda _: reactor.stop())


globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
print(type(reactor).__name__, flush=True)
joining = join(reactor, "127.0.0.1", int(sys.argv[2]), nick="child", observe=observe)
joining.addCallback(lambda member: StandardIO(Input(member)))
reactor.run()
