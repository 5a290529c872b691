"""
The attacker of :mod:`bench.floods`: ``PORT NAME RATE SECONDS SOURCES``; a rate of 0 is full speed.

It sends with one ``sendmmsg`` loop, and prints the number of datagrams that it has sent.
"""

from __future__ import annotations

import random
import socket
import struct
import sys
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.mmsg import ffi
from udprelay.protocol.wire import decode_from_relay
from udprelay.protocol.wire.from_client import (
    DataUp,
    Nack,
    NickRequest,
    Ping,
    PrivateUp,
    RosterRequest,
)
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Welcome

BATCH = 64
RELAY = "127.0.0.1"
OUTSIDE = "192.0.2.1"
"""The relay's address for forged datagrams: answers from loopback could not leave the machine."""
_SEED = 1


def joined(opened: socket.socket, number: int) -> bytes:
    """Do the handshake of a session; return its id."""
    nonce = number.to_bytes(8, "big")
    opened.send(Hello(nonce, "lobby").encode())
    challenge = decode_from_relay(opened.recv(2000))
    assert isinstance(challenge, Challenge)
    secret = number.to_bytes(16, "big")
    opened.send(Join(nonce, challenge.cookie, "lobby", f"flood-{number}", secret).encode())
    while not isinstance(welcome := decode_from_relay(opened.recv(2000)), Welcome):
        pass
    return welcome.session_id


def _datagrams(make: Callable[[bytes, int], bytes]) -> Callable[[socket.socket, int], list[bytes]]:
    """Return what a session member sends: datagrams made from its id and a number."""

    def session(opened: socket.socket, number: int) -> list[bytes]:
        session_id = joined(opened, number)
        return [make(session_id, n) for n in range(1, BATCH + 1)]

    return session


def _same(payload: bytes) -> Callable[[socket.socket, int], list[bytes]]:
    return lambda opened, number: [payload] * BATCH


def _malformed(opened: socket.socket, number: int) -> list[bytes]:
    chosen = random.Random(_SEED + number)
    return [b"\xfdUR\x01" + chosen.randbytes(chosen.randrange(60)) for _ in range(BATCH)]


ATTACKS: dict[str, Callable[[socket.socket, int], list[bytes]]] = {
    "plain": _same(bytes(100)),
    "large": _same(bytes(65_507)),
    "empty": _same(b""),
    "hello": _same(Hello(bytes(8), "lobby").encode()),
    "join": _same(Join(bytes(8), bytes(32), "lobby", "flood", bytes(16)).encode()),
    "malformed": _malformed,
    "session": _datagrams(lambda one, n: DataUp(one, 0, n, bytes(100)).encode()),
    "early": _datagrams(lambda one, n: DataUp(one, 1, 2 + 2 * n, bytes(1000)).encode()),
    "nack": _datagrams(lambda one, n: Nack(one, 0, ((1, 1024),)).encode()),
    "roster": _datagrams(lambda one, n: RosterRequest(one, 0).encode()),
    "nick": _datagrams(lambda one, n: NickRequest(one, n, f"flood-{n}").encode()),
    "ping": _datagrams(lambda one, n: Ping(one, bytes(8), 0).encode()),
    "private": _datagrams(lambda one, n: PrivateUp(one, 0, n, bytes(16), b"x").encode()),
}
"""What one source sends, again and again."""

FORGED = {"forged-public": "203.0.0.0", "forged-private": "10.0.0.0"}
"""From random addresses of a network with 65,536 of them."""


def _forged(port: int, network: str, count: int) -> list[bytes]:
    """Return whole IPv4 datagrams (RFC 791) with random sources."""
    chosen, payload = random.Random(_SEED), bytes(100)
    base = socket.inet_aton(network)[:2]
    udp_length = 8 + len(payload)
    datagrams = []
    for _ in range(count):
        source = base + chosen.randbytes(2)
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + udp_length, 0, 0, 64, 17, 0,
                         source, socket.inet_aton(OUTSIDE))  # fmt: skip
        udp = struct.pack("!HHHH", chosen.randrange(1024, 65536), port, udp_length, 0)
        datagrams.append(ip + udp + payload)
    return datagrams


class _Batch:
    """Datagrams of one socket that one call sends."""

    def __init__(self, opened: socket.socket, datagrams: list[bytes]) -> None:
        self._opened, self.count = opened, len(datagrams)
        self._buffers = [ffi.from_buffer(one) if one else ffi.NULL for one in datagrams]
        self._iov = ffi.new("struct iovec[]", self.count)
        self._headers: Any = ffi.new("struct mmsghdr[]", self.count)
        name = struct.pack("=H2s4s8x", socket.AF_INET, bytes(2), socket.inet_aton(OUTSIDE))
        self._name = ffi.from_buffer(name)
        for index, datagram in enumerate(datagrams):
            self._iov[index].iov_base = self._buffers[index]
            self._iov[index].iov_len = len(datagram)
            header = self._headers[index].msg_hdr
            header.msg_iov, header.msg_iovlen = self._iov + index, 1
            if opened.type == socket.SOCK_RAW:
                header.msg_name, header.msg_namelen = self._name, 16

    def close(self) -> None:
        self._opened.close()

    def send(self) -> int:
        return max(0, mmsg.load().sendmmsg(self._opened.fileno(), self._headers, self.count, 0))


def batches(name: str, port: int, sources: int) -> list[_Batch]:
    """Open the sockets of an attack; return what they send."""
    if name in FORGED:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        whole = _forged(port, FORGED[name], 256 * BATCH)
        return [_Batch(raw, whole[at : at + BATCH]) for at in range(0, len(whole), BATCH)]
    made = []
    for number in range(1, sources + 1):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((RELAY, 0))
        opened.connect((RELAY, port))
        opened.settimeout(5)
        datagrams = ATTACKS[name](opened, number)
        opened.setblocking(True)
        size = BATCH if sources == 1 else max(1, BATCH // sources)
        made.append(_Batch(opened, datagrams[:size]))
    return made


def main(port: str, name: str, rate: str, seconds: str, sources: str) -> None:
    """Attack."""
    ready = batches(name, int(port), int(sources))
    print("ready", flush=True)
    sys.stdin.readline()
    start, sent, turn = monotonic(), 0, 0
    while (passed := monotonic() - start) < float(seconds):
        if float(rate) and sent > passed * float(rate):
            sleep(0.001)
            continue
        batch = ready[turn % len(ready)]
        # A refusal by ICMP fails one call; it is tried again.
        sent += batch.send()
        turn += 1
    print(sent)


if __name__ == "__main__":
    main(*sys.argv[1:])
