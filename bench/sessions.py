"""Session members for the load program: they join here; it inherits their sockets."""

from __future__ import annotations

import os
import resource
import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from bench.works import Work
from udprelay.protocol.wire import WireError, decode_from_relay
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Refused, Welcome

Answer = TypeVar("Answer", Challenge, Welcome)

_RETRY_INTERVAL = 0.3
_MAX_TRIES = 30
# Above all descriptors that a child process has open.
_FIRST = 100


class CannotJoinError(Exception):
    """The relay does not admit a member."""


@contextmanager
def joined(work: Work, ports: Sequence[int], place: Path) -> Iterator[tuple[list[str], list[int]]]:
    """
    Join every member of every room.

    :return: options of the load program, and the descriptors that it inherits.
    :raises CannotJoinError: if a member is refused or not answered.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with ExitStack() as stack:
        ids: list[bytes] = []
        descriptors: list[int] = []
        for room, port in enumerate(ports):
            for _ in range(work.members):
                name = f"room{room}" if len(ports) > 1 else "lobby"
                with _open(work, port) as member:
                    ids.append(_join(member, name))
                    descriptors.append(_FIRST + len(descriptors))
                    os.dup2(member.fileno(), descriptors[-1], inheritable=True)
                stack.callback(os.close, descriptors[-1])
        file = place / "session-ids"
        file.write_text(b"".join(ids).hex())
        yield ["--sockets", str(_FIRST), "--session-ids", str(file)], descriptors


def _open(work: Work, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in work.host else socket.AF_INET
    member = socket.socket(family, socket.SOCK_DGRAM)
    for option, size in ((socket.SO_RCVBUF, 4 << 20), (socket.SO_SNDBUF, 4 << 20)):
        member.setsockopt(socket.SOL_SOCKET, option, size)
    with suppress(OSError):
        member.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE
    member.connect((work.host, port))
    member.setblocking(False)
    return member


def _join(member: socket.socket, room: str) -> bytes:
    nonce, secret = os.urandom(8), os.urandom(16)
    hello = Hello(nonce=nonce, room=room)
    challenge = _answer(member, hello.encode(), Challenge, nonce)
    nick = secret[:6].hex()
    join = Join(nonce=nonce, cookie=challenge.cookie, room=room, nick=nick, secret=secret)
    welcome = _answer(member, join.encode(), Welcome, nonce)
    return welcome.session_id


def _answer(member: socket.socket, question: bytes, kind: type[Answer], nonce: bytes) -> Answer:
    for _ in range(_MAX_TRIES):
        member.send(question)
        while select.select([member], [], [], _RETRY_INTERVAL)[0]:
            with suppress(WireError):
                answer = decode_from_relay(member.recv(65_536))
                if isinstance(answer, Refused):
                    raise CannotJoinError(f"refused: {answer.sentence}")
                if isinstance(answer, kind) and answer.nonce == nonce:
                    return answer
    raise CannotJoinError("the relay does not answer")
