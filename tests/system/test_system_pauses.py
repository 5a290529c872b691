"""A relay that is stopped for longer than its timeouts, and goes on."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from system_processes import Start

pytest_plugins = ("system_fixtures",)

CONFIG = """
[listener:main]
batch = {batch}
[room:*]
idle_timeout = 3s
"""


@pytest.mark.parametrize("batch", ["yes", "no"])
def test_what_waits_in_the_socket_is_read_before_anybody_is_silent(
    start: Start, batch: str
) -> None:
    relay = start.relay(config=CONFIG.format(batch=batch))
    one, other, silent = [start.member(relay) for _ in range(3)]
    relay.signal(signal.SIGSTOP)
    # The pause itself.
    time.sleep(5)
    one.send(b"said meanwhile")
    other.send(b"")
    relay.signal(signal.SIGCONT)
    assert other.receive() == b"said meanwhile"
    assert silent.receive() == b"said meanwhile"
    relay.stop()
    assert [event for event in relay.events if event["event"] == "member.left"] == []
