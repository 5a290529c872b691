"""The example in the documentation of the client does what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest_twisted
from docs_sources import DOCS, relay, wait_for
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from udprelay.client import Member, Received, join

BOT = DOCS / "examples" / "bot.py"


def test_it_is_short() -> None:
    assert len(BOT.read_text().splitlines()) <= 45


@pytest_twisted.ensureDeferred
async def test_it_greets_and_tells_the_time(tmp_path: Path) -> None:
    with relay(cwd=tmp_path) as (port, events):
        command = (sys.executable, str(BOT), "127.0.0.1", str(port))
        with subprocess.Popen(command, stdout=subprocess.PIPE) as bot:
            assert bot.stdout is not None
            try:
                wait_for("member.joined", events)
                greeted: Deferred[Received] = Deferred()
                waiting = [greeted]

                def received(_: Member, message: Received) -> None:
                    waiting[0].callback(message)

                ada = await join(reactor, "127.0.0.1", port, nick="ada", received=received)
                assert (await greeted).payload == b"Welcome, ada!"
                told: Deferred[Received] = Deferred()
                waiting[0] = told
                await ada.send(b"!time")
                assert (await told).payload.startswith(b"It is ")
                alone: Deferred[Received] = Deferred()
                waiting[0] = alone
                (number,) = set(ada.members) - {ada.number}
                await ada.send_private(number, b"!time")
                assert (await alone).private
                await ada.leave()
                said = await deferToThread(bot.stdout.readline)
                assert said == b"in lobby as bot\n"
            finally:
                bot.kill()
