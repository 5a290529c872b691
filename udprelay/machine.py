"""
What this machine has: addresses, routes and rights.

The kernel is asked without sending anything: connecting a UDP socket makes it choose a route and
a source address (``udp(7)``).
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any

from udprelay.protocol.endpoint import IPAddress

CAP_NET_BIND_SERVICE = 10
CAP_NET_ADMIN = 12

_DISCARD = 9
_LOOK_UPS = 16
"""Names that are looked up at the same time."""

_LOOPBACK = {4: ip_address("127.0.0.1"), 6: ip_address("::1")}


def source_for(ip: IPAddress, broadcast: bool = False) -> IPAddress:
    """
    Return the address, without scope, from which the kernel sends to ``ip``.

    :param broadcast: whether ``ip`` may be a broadcast address.
    :raises OSError: if it does not send there.
    """
    with _probe(ip) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, broadcast)
        probe.connect(_address(ip, _DISCARD))
        return _without_scope(probe.getsockname()[0])


def _probe(ip: IPAddress) -> socket.socket:
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    return socket.socket(family, socket.SOCK_DGRAM)


def _address(ip: IPAddress, port: int) -> tuple[Any, ...]:
    host, _, scope = str(ip).partition("%")
    return (host, port) if ip.version == 4 else (host, port, 0, _scope_id(scope))


def _scope_id(scope: str) -> int:
    return int(scope or 0) if scope.isdecimal() or not scope else socket.if_nametoindex(scope)


def _without_scope(host: str) -> IPAddress:
    return ip_address(host.partition("%")[0])


def is_local(ip: IPAddress) -> bool:
    """Return whether ``ip`` is an address of this machine to send from."""
    if ip.is_loopback or ip.is_multicast or ip.is_unspecified:
        return ip.is_loopback
    try:
        with _probe(ip) as probe:
            # An unbound socket would send to a secondary address from the primary one.
            probe.bind(_address(ip, 0))
            # The kernel binds to broadcast addresses, and with ip_nonlocal_bind to any.
            probe.connect(_address(ip, _DISCARD))
    except OSError:
        return False
    return True


def has_socket(ip: IPAddress, port: int) -> bool:
    """Return whether a UDP socket of this machine has an address and port, which it tries."""
    try:
        with _probe(ip) as probe:
            probe.bind(_address(ip, port))
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def reached_by(ip: IPAddress) -> IPAddress:
    """Return where Linux sends what is for an address: loopback, if it is unspecified."""
    return _LOOPBACK[ip.version] if ip.is_unspecified else ip


def reaches(ip: IPAddress, bound: IPAddress) -> bool:
    """Return whether what is sent to an address gets to a socket of this machine."""
    reached = reached_by(ip)
    return reached == bound or (bound.is_unspecified and is_local(reached))


def is_broadcast(ip: IPAddress) -> bool:
    """Return whether ``ip`` is the broadcast address of a network of this machine, or of all."""
    try:
        source_for(ip)
    except PermissionError:
        # Routes that prohibit a destination have the same error, with SO_BROADCAST too.
        with suppress(OSError):
            source_for(ip, broadcast=True)
            return True
    except OSError:
        pass
    return False


def look_up_names(names: Iterable[str], timeout: float) -> dict[str, list[str] | None]:
    """
    Look up host names at once; wait, but not longer than a time.

    :return: the addresses of each name, none if it is unknown; None if there is no answer yet.
    """
    found: dict[str, list[str] | None] = dict.fromkeys(names)
    waiting: SimpleQueue[str] = SimpleQueue()
    for name in found:
        waiting.put(name)

    def work() -> None:
        with suppress(Empty):
            while True:
                name = waiting.get_nowait()
                try:
                    answers = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
                    found[name] = [str(answer[4][0]) for answer in answers]
                except (OSError, UnicodeError):
                    found[name] = []

    # Daemon threads: the C library's look-up cannot be cancelled and may take 30 seconds.
    threads = [Thread(target=work, daemon=True) for _ in range(min(_LOOK_UPS, len(found)))]
    for thread in threads:
        thread.start()
    until = monotonic() + timeout
    for thread in threads:
        thread.join(max(0.0, until - monotonic()))
    return dict(found)


def has_capability(number: int) -> bool:
    """Return whether this process has a capability (``capabilities(7)``), if that is known."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> number & 1)
    return True


def sysctl(name: str, default: int) -> int:
    """Return a setting of the kernel, such as ``net.core.rmem_max``; ``default`` if unknown."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/sys", name.replace(".", "/")).read_text())
    return default


def memory() -> int:
    """Return the bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
