"""A client whose time of day jumps: nothing happens."""

from __future__ import annotations

import pytest
import pytest_twisted
from client_fakes import NamedReactor
from client_relay import Members, until
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from free_port import free_port
from time_of_day import SetTimeOfDay
from udprelay.client import UnreachableError, join
from udprelay.session_client import events


@pytest_twisted.ensureDeferred
async def test_it_joins_a_relay_that_starts_later(
    members: Members, set_time_of_day: SetTimeOfDay, jump: float
) -> None:
    await members.relay.stop()
    joined = Deferred.fromCoroutine(members.join("ada", patience=None))
    set_time_of_day(jump)
    members.relay.start()
    assert (await joined).joined


@pytest_twisted.ensureDeferred
async def test_joining_times_out(set_time_of_day: SetTimeOfDay, jump: float) -> None:
    joined = join(reactor, "127.0.0.1", free_port(), nick="ada", patience=0.2)
    set_time_of_day(jump)
    with pytest.raises(UnreachableError):
        await joined


@pytest_twisted.ensureDeferred
async def test_a_lost_message_is_sent_again(
    members: Members, set_time_of_day: SetTimeOfDay, jump: float
) -> None:
    sending = NamedReactor()
    ada, _ = await members.join("ada", reactor=sending), await members.join("bob")
    muted = sending.mute()
    delivered = ada.send(b"hello")
    set_time_of_day(jump)
    muted.unmute()
    await delivered
    await until(lambda: members.received("bob") == [b"hello"])
    assert members.events_of("ada", events.ContactLost) == []
