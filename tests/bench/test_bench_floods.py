"""The floods: what an attacker sends."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from bench.flood_attack import BATCH, RELAY, batches


@pytest.mark.parametrize("name", ["plain", "empty", "hello", "join", "malformed"])
@pytest.mark.parametrize("sources", [1, 4])
def test_one_call_sends_a_batch_of_one_source(name: str, sources: int) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as relay:
        relay.bind((RELAY, 0))
        relay.settimeout(20)
        ready = batches(name, relay.getsockname()[1], sources)
        assert len(ready) == sources
        sent = [batch.send() for batch in ready]
        assert sent == [BATCH // sources] * sources
        heard = [relay.recvfrom(2000)[1] for _ in range(sum(sent))]
        for batch in ready:
            batch.close()
        assert len(set(heard)) == sources
