"""A bot that greets who comes and tells the time: python bot.py HOST PORT."""

import sys
from datetime import datetime

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from udprelay import client


def roster_changed(bot, event):
    if isinstance(event, client.MemberJoined):
        bot.send(f"Welcome, {event.nick}!".encode())


def received(bot, message):
    if message.payload.strip() == b"!time":
        time = f"It is {datetime.now():%H:%M}.".encode()
        if message.private:
            bot.send_private(message.number, time)
        else:
            bot.send(time)


async def main(reactor, host, port):
    bot = await client.join(
        reactor, host, int(port), nick="bot", received=received, roster_changed=roster_changed
    )
    print(f"in {bot.room} as {bot.nick}", flush=True)
    reason = await bot.over
    print(f"over: {reason.code}", flush=True)


if __name__ == "__main__":
    react(lambda reactor, *where: Deferred.fromCoroutine(main(reactor, *where)), sys.argv[1:])
