"""The bot in the documentation of the client works as described."""

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
async def test_it_greets_new_members_and_reports_the_time(tmp_path: Path) -> None:
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
                answered: Deferred[Received] = Deferred()
                waiting[0] = answered
                await ada.send(b"!time")
                assert (await answered).payload.startswith(b"It is ")
                private: Deferred[Received] = Deferred()
                waiting[0] = private
                (number,) = set(ada.members) - {ada.number}
                await ada.send_private(number, b"!time")
                assert (await private).private
                await ada.leave()
                line = await deferToThread(bot.stdout.readline)
                assert line == b"in lobby as bot\n"
            finally:
                bot.kill()
