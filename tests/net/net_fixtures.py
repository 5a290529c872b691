from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from net_peers import MakePeer, OpenRelay, Peer, RunningRelay, one_listener
from twisted.internet import reactor

from udprelay.relay.rules import RelayRules


@pytest.fixture
def make_peer() -> Iterator[MakePeer]:
    """Return a factory of peers; all are closed at the end."""
    with ExitStack() as stack:
        yield lambda *where: stack.enter_context(closing(Peer(*where)))


@pytest.fixture(params=[True, False], ids=["batched", "stock"])
def batch(request: pytest.FixtureRequest) -> bool:
    """Whether listeners move many datagrams in one system call: both must do the same."""
    return bool(request.param)


@pytest_twisted.async_yield_fixture
async def open_relay(batch: bool) -> AsyncIterator[OpenRelay]:
    """Return a factory of running relays; all are closed at the end."""
    opened: list[RunningRelay] = []

    def open_(
        rules: RelayRules | None = None, using: Any = reactor, statistics: float = 0.0
    ) -> RunningRelay:
        rules = rules or one_listener()
        listeners = {n: evolve(one, batch=batch) for n, one in rules.listeners.items()}
        running = RunningRelay(evolve(rules, listeners=listeners), using, statistics=statistics)
        opened.append(running)
        return running.open()

    yield open_
    for running in opened:
        closed = running.relay.close()
        if hasattr(running.relay.reactor, "advance"):
            running.relay.reactor.advance(0)
        await closed
