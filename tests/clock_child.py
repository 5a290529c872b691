"""
A reactor whose time of day is set back, then forward, while calls are pending.

``python clock_child.py REACTOR`` prints the jumps after which a call has come.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from twisted.application.reactors import installReactor

reactor: Any = installReactor(sys.argv[1])

from udprelay.clock import clock_of  # noqa: E402

offset = 0.0
done: list[str] = []
reactor.seconds = lambda: time.time() + offset
clock = clock_of(reactor)


def jump(seconds: float, name: str) -> None:
    global offset
    offset = seconds
    clock.callLater(0.01, done.append, name)


clock.callLater(0.01, jump, -3600.0, "back")
clock.callLater(0.03, jump, 3600.0, "forward")
# Twisted's own calls keep the reactor from waiting for ever, or make it wait too long.
reactor.callLater(3600.0, lambda: None)
clock.callLater(0.05, reactor.stop)
reactor.run()
print(*done)
