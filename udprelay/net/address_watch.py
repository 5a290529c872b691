"""Opens listeners whose address is not there yet, and closes those whose address is gone."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from udprelay.machine import is_local
from udprelay.relay.rules import ListenerRules

CHECK_INTERVAL = 1.0
"""Seconds between two looks at the addresses; one look takes a few microseconds for each."""

_NOT_THERE = frozenset((errno.EADDRNOTAVAIL, errno.ENODEV))


def is_not_there(error: OSError) -> bool:
    """Return whether an address could not be bound as the machine does not have it, or not yet."""
    # getaddrinfo does not know the name of a network interface that is not there.
    return error.errno in _NOT_THERE or isinstance(error, socket.gaierror)


def interface_index(interface: str) -> int | None:
    """
    Return the index of the network interface of a link-local address; 0 for other addresses.

    :return: None if the machine does not have the address now.
    """
    ip = ip_address(interface)
    if ip.is_unspecified:
        return 0
    if not is_local(ip):
        return None
    scope = ip.scope_id if isinstance(ip, IPv6Address) else None
    try:
        return socket.if_nametoindex(scope) if scope and not scope.isdecimal() else int(scope or 0)
    except OSError:
        return None


class Opener(Protocol):
    """What opens and closes listeners."""

    def open_listener(self, name: str) -> bool:
        """Open a listener whose address is there; return whether it is open now."""

    def suspend_listener(self, name: str) -> None:
        """Close a listener whose address is gone."""


class AddressWatch:
    """
    Keeps each listener on one address open while the machine has the address.

    It looks every second, and so needs no right to use netlink. A socket outlives the address that
    it is bound to, but not a change of the interface of a link-local one.

    :param listeners: all, by name; those on every address need no watch.
    :param find: returns the index of the interface of an address, None if it is gone
        (:func:`interface_index`).
    """

    _log = Logger()

    def __init__(
        self,
        opener: Opener,
        clock: IReactorTime,
        listeners: Mapping[str, ListenerRules],
        find: Callable[[str], int | None],
    ) -> None:
        self._opener = opener
        self._find = find
        self._interfaces = {
            name: rules.interface
            for name, rules in listeners.items()
            if not ip_address(rules.interface).is_unspecified
        }
        self._indexes: dict[str, int | None] = {}
        self._waiting: set[str] = set()
        self._looks = LoopingCall(self._look)
        self._looks.clock = clock

    def start(self, waiting: set[str]) -> None:
        """
        Watch the addresses of the listeners.

        :param waiting: names of those that are not open yet.
        """
        self._waiting = set(waiting)
        self._indexes = {name: self._find(one) for name, one in self._interfaces.items()}
        if self._interfaces:
            self._looks.start(CHECK_INTERVAL, now=False)

    def stop(self) -> None:
        """Watch no more."""
        if self._looks.running:
            self._looks.stop()

    def _look(self) -> None:
        for name, interface in self._interfaces.items():
            try:
                self._look_at(name, interface)
            except Exception:
                self._log.failure("listener {name} failed", name=name)

    def _look_at(self, name: str, interface: str) -> None:
        before, index = self._indexes[name], self._find(interface)
        if name in self._waiting:
            if index is not None and self._opener.open_listener(name):
                self._waiting.remove(name)
                self._indexes[name] = index
        elif before is None:
            # The kernel may bind to what is not there (net.ipv4.ip_nonlocal_bind).
            self._indexes[name] = index
        elif index != before:
            # Bound again at the next look, when the socket is closed.
            self._waiting.add(name)
            self._opener.suspend_listener(name)
