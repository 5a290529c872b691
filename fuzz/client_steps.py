"""The steps of an input of the target ``client``: datagrams of its relay, actions of its user."""

from __future__ import annotations

from collections.abc import Callable

from fuzz.client_checks import check, check_end
from fuzz.client_datagrams import DATAGRAMS, NICKS, Step
from fuzz.client_world import KEYS, ROOM, World
from fuzz.steps import LAST, SECONDS, SIZES, Script, corrupted
from udprelay.session_client.settings import Settings


def _send(step: Step) -> None:
    """Send messages: ``a`` chooses the size, ``b`` the reliability, ``c`` the count."""
    for _ in range(1 + step.c % 40):
        step.world.send(bytes(SIZES[step.a % len(SIZES)]), reliable=not step.b & 1)


def _send_private(step: Step) -> None:
    for _ in range(1 + step.c % 40):
        payload = bytes(SIZES[step.a % len(SIZES)])
        step.world.send(payload, reliable=not step.b & 1, number=step.d)


def _change_nick(step: Step) -> None:
    step.world.session_client.change_nick(NICKS[step.a % len(NICKS)], step.world.now)


def _start(step: Step) -> None:
    step.world.session_client.start(step.world.now)


def _keys(step: Step) -> None:
    salt = bytes(16) if step.a else step.world.salt
    step.world.session_client.provide_keys(salt, KEYS, step.world.now)


def _ping(step: Step) -> None:
    step.world.session_client.ping(step.world.now)


def _unreachable(step: Step) -> None:
    step.world.session_client.receive_icmp_error(step.world.now)


def _leave(step: Step) -> None:
    step.world.session_client.leave(step.world.now)


def _wait(step: Step) -> None:
    step.world.wait(SECONDS[step.a % 16])


def _pass_over(step: Step) -> None:
    """Let time pass; the client is called late, or not at all."""
    step.world.now += SECONDS[step.a % 16]
    if step.b & 1:
        step.world.expire()


def _run(step: Step) -> None:
    """Send a run of datagrams of one member."""
    for _ in range(1 + step.c % 128):
        datagram = _made(DATAGRAMS["data"], step)
        if datagram is not None:
            step.world.receive(datagram)


OTHERS: dict[str, Callable[[Step], None]] = {
    "send": _send,
    "send private": _send_private,
    "change nick": _change_nick,
    "start": _start,
    "keys": _keys,
    "ping": _ping,
    "unreachable": _unreachable,
    "leave": _leave,
    "wait": _wait,
    "pass over": _pass_over,
    "run": _run,
}
OPERATIONS = {name: number for number, name in enumerate((*DATAGRAMS, *OTHERS))}
_NAMES = tuple(OPERATIONS)
_JOINING = b"".join(
    bytes((OPERATIONS[name], 0, 0, 0, 0, 0, 0, 0)) + more
    for name, more in (
        ("start", b""),
        ("challenge", b""),
        ("keys", b""),
        ("welcome", bytes((0, 8, 0, 0, 0, 0))),
    )
)


def run_input(data: bytes) -> World:
    """
    Run an input; its first step chooses the settings, and whether the client has joined.

    :raises Exception: if a check fails.
    """
    script = Script(data)
    steps = iter(script)
    options, nick = next(steps, bytes(8))[:2]
    settings = Settings(
        room=ROOM,
        nick=NICKS[nick % len(NICKS)],
        keyed=bool(options & 2),
        recover=not options & 4,
        other_nicks=bool(options & 8),
    )
    world = World(settings)
    if options & 1:
        joining = Script(_JOINING)
        for step in joining:
            _do(world, joining, step)
    for step in steps:
        _do(world, script, step)
        check(world)
    if options & 16:
        world.wait(LAST)
        check(world)
    check_end(world)
    return world


def _do(world: World, script: Script, raw: bytes) -> None:
    operation, extra, a, b, c, d, at, change = raw
    step = Step(world, script, extra, a, b, c, d)
    name = _NAMES[operation % len(_NAMES)]
    if name in OTHERS:
        OTHERS[name](step)
        world.collect()
        return
    datagram = _made(DATAGRAMS[name], step)
    if datagram is not None:
        world.receive(corrupted(datagram, at, change))


def _made(make: Callable[[Step], bytes], step: Step) -> bytes | None:
    try:
        return make(step)
    except ValueError:
        # No relay can send this datagram.
        return None
