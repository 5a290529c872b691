"""A relay that is stopped for longer than its timeouts, and goes on."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from system_processes import Start

pytest_plugins = ("system_fixtures",)

CONFIG = """
[room:*]
idle_timeout = 6s
"""


def test_what_waits_in_the_socket_is_read_before_anybody_is_silent(start: Start) -> None:
    relay = start.relay(config=CONFIG)
    one, other, silent = [start.member(relay) for _ in range(3)]
    relay.signal(signal.SIGSTOP)
    # The pause itself.
    time.sleep(8)
    one.send(b"said meanwhile")
    other.send(b"")
    relay.signal(signal.SIGCONT)
    assert other.receive() == b"said meanwhile"
    assert silent.receive() == b"said meanwhile"
    relay.stop()
    assert [event for event in relay.events if event["event"] == "member.left"] == []
