"""The steps of the target ``relay``: datagrams of clients, calls of the owner, time."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from fuzz.relay_checks import check
from fuzz.relay_world import KEY, NICKS, ROOMS, SOURCES, Person, World, rules
from fuzz.steps import LAST, SECONDS, SIZES, Script, corrupted, near
from udprelay.protocol import keys
from udprelay.protocol.wire.from_client import (
    DataUp,
    Leave,
    Missed,
    Nack,
    NickRequest,
    PathResponse,
    Ping,
    PrivateUp,
    RosterRequest,
)
from udprelay.protocol.wire.header import MAX_U32, MAX_U64, PREFIX
from udprelay.protocol.wire.joining import Hello, Join
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay import challenge
from udprelay.relay.drops import DropReason
from udprelay.relay.room import Listener
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.room_log import log_of


@frozen
class Step:
    """
    One step.

    :param me: the sender of its datagram.
    :param session: the session of the sender, if it has one.
    :param other: the receiver, or another client that the step uses.
    :param source: the source of its datagram.
    """

    world: World
    script: Script
    me: Person
    session: SessionMember | None
    other: Person
    listener: Listener
    source: str
    a: int
    b: int
    c: int
    d: int

    @property
    def id(self) -> bytes:
        """The session id in the datagram; rarely that of the other client."""
        return self.other.id if self.d & 128 else self.me.id

    def newest(self, stream: int) -> int:
        """Return the newest number of the room sequence, or of the private one."""
        if self.session is None:
            return 0
        return self.session.private.newest if stream else log_of(self.session).newest

    def own(self, private: bool) -> int:
        """Return an own sequence near the next one; ``a`` chooses."""
        following = 1
        if self.session is not None:
            session = self.session
            following = (session.private_window if private else session.window).next
        return near(following, self.a, MAX_U32)

    def ranges(self, base: int, highest: int) -> tuple[tuple[int, int], ...]:
        """Return ranges: ``a`` chooses the begin, ``b`` the lengths, ``c`` the number."""
        start, count = near(base, self.a, highest), near(0, self.b, 65_535)
        return tuple((start + k * (count + 1), count) for k in range(1 + self.c % 64))


def _hello(step: Step) -> bytes:
    step.me.room = ROOMS[step.a % 4]
    step.me.attempt()
    versions = ((1,), (2,), (1, 2))[step.b % 3]
    return Hello(step.me.nonce, step.me.room, versions).encode()


def _join(step: Step) -> bytes:
    me, choices = step.me, step.a
    nick = NICKS[step.b % len(NICKS)] if step.b else me.nick
    room = ROOMS[step.b % 4] if choices & 1 else me.room
    secret = step.other.secret if choices & 2 else me.secret
    cookie = step.other.cookie if choices & 4 else me.cookie
    proof = badge = tag = settled = None
    if (step.world.hub.rules.room_defaults.access_key is not None) ^ bool(choices & 8):
        badge, identity = bytes(16), keys.identity(secret)
        proof = keys.proof(KEY.key, cookie, room, nick, me.nonce, identity)
        if choices & 16:
            proof = bytes(32)
    if choices & 32:
        tag, settled = me.tag, near(step.newest(0), step.d, MAX_U64)
    own = near(1, step.c, MAX_U32)
    return Join(
        me.nonce,
        cookie,
        room,
        nick,
        secret,
        (own, own),
        proof,
        badge,
        tag,
        settled,
        bool(choices & 64),
    ).encode()


def _data(step: Step) -> bytes:
    # Most datagrams are reliable.
    return DataUp(step.id, step.b ^ 1, step.own(False), bytes(SIZES[step.c % len(SIZES)])).encode()


def _private(step: Step) -> bytes:
    payload = bytes(SIZES[step.c % len(SIZES)])
    receiver = step.other.identity
    return PrivateUp(step.id, step.b ^ 1, step.own(True), receiver, payload).encode()


def _nack(step: Step) -> bytes:
    stream = step.d & 1
    return Nack(step.id, stream, step.ranges(step.newest(stream), MAX_U64)).encode()


def _ping(step: Step) -> bytes:
    settled, private = near(step.newest(0), step.b, MAX_U64), near(step.newest(1), step.c, MAX_U64)
    return Ping(step.id, bytes((step.a,)) * 8, settled, None if step.d & 1 else private).encode()


def _leave(step: Step) -> bytes:
    return Leave(step.id).encode()


def _roster(step: Step) -> bytes:
    return RosterRequest(step.id, near(0, step.a, MAX_U32)).encode()


def _nick(step: Step) -> bytes:
    badge = bytes((step.c,)) * 16 if step.c else None
    return NickRequest(step.id, step.a, NICKS[step.b % len(NICKS)], badge).encode()


def _path_response(step: Step) -> bytes:
    return PathResponse(step.id, bytes(8) if step.a else step.me.token).encode()


def _missed(step: Step) -> bytes:
    number = step.session.number if step.session is not None else 1
    token = bytes((step.d,)) * 8 if step.d & 1 else None
    ranges = step.ranges(1, MAX_U32)[:32]
    return Missed(step.id, near(number, step.d & 127, MAX_U32), ranges, token).encode()


def _of_session(step: Step) -> bytes:
    """Return any type with the right id, followed by any bytes."""
    return PREFIX + bytes((step.a, step.b)) + step.id + step.script.octets(step.c)


def _of_attempt(step: Step) -> bytes:
    return PREFIX + bytes((step.a, step.b)) + step.me.nonce + step.script.octets(step.c)


def _anything(step: Step) -> bytes:
    return (PREFIX[: step.b % 5]) + step.script.octets(step.a)


def _plain(step: Step) -> bytes:
    if step.a & 1:
        name, address = step.listener.name, step.listener.transport.endpoint(step.source)
        return challenge.code(bytes(range(32)), name, address, step.world.now).encode()
    return bytes((step.b,)) * (step.c * 257 % 70_000)


DATAGRAMS: dict[str, Callable[[Step], bytes]] = {
    "hello": _hello,
    "join": _join,
    "data": _data,
    "private": _private,
    "nack": _nack,
    "ping": _ping,
    "leave": _leave,
    "roster": _roster,
    "nick": _nick,
    "path response": _path_response,
    "missed": _missed,
    "of session": _of_session,
    "of attempt": _of_attempt,
    "anything": _anything,
    "plain": _plain,
}


def _wait(step: Step) -> None:
    step.world.wait(SECONDS[step.a % 16])


def _pass_over(step: Step) -> None:
    """Let time pass; call the hub late, or not at all."""
    step.world.now += SECONDS[step.a % 16]
    if step.b & 1:
        step.world.expire()


def _kick(step: Step) -> None:
    rooms = step.world.hub.roster.rooms.values()
    members = [
        m
        for room in rooms
        for m in room.members()
        if m.kind in (MemberKind.PLAIN, MemberKind.SESSION)
    ]
    if members:
        step.world.hub.kick(members[step.a % len(members)], step.world.now)
        step.world.settle()


def _console(step: Step) -> None:
    world, payload = step.world, bytes(SIZES[step.a % len(SIZES)])
    if world.console is None:
        world.add_console(ROOMS[step.b % 4])
    elif step.b & 1:
        world.send(world.console, payload)
    elif step.session is not None:
        sender = world.console if step.b & 2 else None
        world.hub.send_to(step.session, payload, world.now, sender)
        world.settle()


def _target(step: Step) -> None:
    world = step.world
    if step.a & 1 and world.targets:
        world.hub.remove_target(world.targets.pop(step.b % len(world.targets)), world.now)
    elif len(world.targets) < 3:
        world.prove(step.listener, step.source)
        room = ROOMS[step.b % 4]
        new = world.hub.add_target(room, "target", step.listener, step.source, world.now)
        world.targets.append(new)
    world.settle()


def _unreachable(step: Step) -> None:
    reason = DropReason.UNREACHABLE
    step.world.hub.unreachable(step.listener, step.source, reason, "refused", step.world.now)
    step.world.settle()


OTHERS: dict[str, Callable[[Step], None]] = {
    "wait": _wait,
    "pass over": _pass_over,
    "kick": _kick,
    "console": _console,
    "target": _target,
    "unreachable": _unreachable,
}
OPERATIONS = {name: number for number, name in enumerate((*DATAGRAMS, *OTHERS))}
_NAMES = tuple(OPERATIONS)
HOLD = 128
"""In the first byte of a datagram's step: the next one is in the same batch."""


def run_input(data: bytes) -> World:
    """
    Run an input; its first step chooses the rules and who has joined.

    :raises Exception: if a check fails.
    """
    script = Script(data)
    steps = iter(script)
    first = next(steps, bytes(8))
    world = World(rules(first[1:]))
    for index in range(first[0] & 3):
        for name in ("hello", "join"):
            _do(world, script, bytes((OPERATIONS[name], index, 0, 0, 0, 0, 0, 0)), [])
    batch: list[tuple[str, bytes]] = []
    for step in steps:
        _do(world, script, step, batch)
        check(world)
    if first[0] & 4:
        world.wait(LAST)
        check(world)
    if first[0] & 8:
        world.hub.farewell()
    world.close()
    return world


def _do(world: World, script: Script, raw: bytes, batch: list[tuple[str, bytes]]) -> None:
    operation, who, a, b, c, d, at, change = raw
    me = world.people[who & 3]
    source = SOURCES[((who & 3) + (who >> 2 & 7)) % len(SOURCES)]
    other, listener = world.people[who >> 6], world.listeners[who >> 5 & 1]
    step = Step(world, script, me, world.session(me), other, listener, source, a, b, c, d)
    name = _NAMES[(operation & ~HOLD) % len(_NAMES)]
    if name in OTHERS:
        OTHERS[name](step)
        return
    try:
        datagram = corrupted(DATAGRAMS[name](step), at, change)
    except ValueError:
        # The codec cannot encode it.
        return
    batch.append((source, datagram))
    if not operation & HOLD or len(batch) > 64:
        world.receive(listener, batch.copy())
        batch.clear()
