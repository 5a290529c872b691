"""
The network interfaces as the kernel tells them, and when they change (``rtnetlink(7)``).

No right is needed, but sockets of the family ``AF_NETLINK``.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from ipaddress import ip_address, ip_network
from time import monotonic

from udprelay.interfaces import Interface, Interfaces, is_private
from udprelay.protocol.endpoint import IPAddress, IPNetwork

# From linux/netlink.h, linux/rtnetlink.h and linux/if_addr.h.
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_GETADDR, _RTM_GETROUTE = 22, 26
_NLM_F_REQUEST, _NLM_F_DUMP = 1, 0x300
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH, _RTA_VIA = 4, 5, 9, 18
_RTN_UNICAST = 1
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""``RTMGRP_LINK``, and ``RTMGRP_*_IFADDR``, ``RTMGRP_*_ROUTE`` of IPv4 and IPv6."""

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_IFADDRMSG = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
_RTNEXTHOP = struct.Struct("=HBBi")

_RECEIVE = 65_536
_TIMEOUT = 1.0

MAX_MESSAGES = 16_384
"""Addresses and routes that are read: a router of the Internet has a million."""

_SHARE = 0.05
"""Of the time, for reading: routes may change all the time. After a second without, 50 ms."""


def read_interfaces() -> Interfaces:
    """
    Return the network interfaces.

    :raises OSError: if they cannot be read, or there are more than :data:`MAX_MESSAGES`.
    """
    own: defaultdict[int, set[IPAddress]] = defaultdict(set)
    subnets: defaultdict[int, list[IPNetwork]] = defaultdict(list)
    peers: defaultdict[int, set[IPAddress]] = defaultdict(set)
    gateways: set[IPAddress] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(_TIMEOUT)
        for message in _dump(kernel, _RTM_GETADDR, _IFADDRMSG.pack(0, 0, 0, 0, 0)):
            _, prefix, _, _, index = _IFADDRMSG.unpack_from(message)
            told = dict(_attributes(message[_IFADDRMSG.size :]))
            # Of a link with two ends, IFA_ADDRESS is the other one.
            address = _ip(told.get(_IFA_ADDRESS, b""))
            local = _ip(told.get(_IFA_LOCAL, b"")) or address
            if address is None or local is None:
                continue
            own[index].add(local)
            subnet = ip_network((address, prefix), strict=False)
            if is_private(subnet):
                subnets[index].append(subnet)
            if address != local:
                peers[index].add(address)
        for family in (socket.AF_INET, socket.AF_INET6):
            for message in _dump(kernel, _RTM_GETROUTE, _RTMSG.pack(family, *[0] * 8)):
                gateways |= _routers(message, peers)
    by_index = {index: Interface(own[index], tuple(subnets[index])) for index in own}
    return Interfaces(by_index, gateways)


def public_addresses(version: int) -> list[IPAddress]:
    """Return the addresses of an IP version that not only neighbours may reach, if known."""
    try:
        return read_interfaces().public(version)
    except (OSError, AttributeError):
        # Systems other than Linux have no AF_NETLINK.
        return []


def _dump(kernel: socket.socket, kind: int, request: bytes) -> Iterator[bytes]:
    """Yield what the kernel has of a kind, each without its header."""
    length = _HEADER.size + len(request)
    kernel.send(_HEADER.pack(length, kind, _NLM_F_REQUEST | _NLM_F_DUMP, 0, 0) + request)
    left = MAX_MESSAGES
    while True:
        received, at = kernel.recv(_RECEIVE), 0
        while at + _HEADER.size <= len(received):
            length, kind, _, _, _ = _HEADER.unpack_from(received, at)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR or length < _HEADER.size:
                raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
            if not left:
                raise OSError(errno.E2BIG, f"there are more than {MAX_MESSAGES} routes")
            left -= 1
            yield received[at + _HEADER.size : at + length]
            at += _aligned(length)


def _routers(message: bytes, peers: Mapping[int, AbstractSet[IPAddress]]) -> set[IPAddress]:
    """
    Return the routers that a route names.

    :param peers: the other ends of links, by the index of the interface.
    """
    _, prefix, _, _, _, _, _, kind, _ = _RTMSG.unpack_from(message)
    if kind != _RTN_UNICAST:
        return set()
    told = dict(_attributes(message[_RTMSG.size :]))
    found = _next_hop(told)
    several = told.get(_RTA_MULTIPATH, b"")
    while len(several) >= _RTNEXTHOP.size:
        length = max(_RTNEXTHOP.size, _RTNEXTHOP.unpack_from(several)[0])
        found |= _next_hop(dict(_attributes(several[_RTNEXTHOP.size : length])))
        several = several[_aligned(length) :]
    if not found and not prefix and len(told.get(_RTA_OIF, b"")) == 4:
        # Everything goes to the other end.
        found |= peers.get(int.from_bytes(told[_RTA_OIF], sys.byteorder), set())
    return found


def _next_hop(told: Mapping[int, bytes]) -> set[IPAddress]:
    # RTA_VIA, the IPv6 router of an IPv4 route, begins with its family.
    found = (_ip(told.get(_RTA_GATEWAY, b"")), _ip(told.get(_RTA_VIA, b"")[2:]))
    return {ip for ip in found if ip is not None}


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        yield kind, data[at + _ATTRIBUTE.size : at + length]
        at += _aligned(max(length, _ATTRIBUTE.size))


def _ip(data: bytes) -> IPAddress | None:
    return ip_address(data) if len(data) in (4, 16) else None


def _aligned(length: int) -> int:
    return -(-length // 4) * 4


class InterfaceWatch:
    """
    The interfaces as they are now: read again when the kernel has told of a change.

    It needs no timer: the kernel is asked for changes when somebody asks for the interfaces.

    :raises OSError: if the kernel does not tell of changes.
    """

    def __init__(self) -> None:
        # Before the first reading, so that no change is missed.
        self._changes = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        try:
            self._changes.bind((0, _GROUPS))
        except OSError:
            self._changes.close()
            raise
        self._changed = True
        self._again_at = 0.0
        self._interfaces: Interfaces | OSError = Interfaces({})

    def interfaces(self) -> Interfaces:
        """
        Return the interfaces.

        :raises OSError: if they cannot be read.
        """
        while self._has_changes():
            self._changed = True
        if self._changed and monotonic() >= self._again_at:
            begun = monotonic()
            try:
                self._interfaces = read_interfaces()
                self._changed = False
            except OSError as error:
                self._interfaces = error
            taken = monotonic() - begun
            self._again_at = max(self._again_at, begun - 1.0) + taken / _SHARE
        if isinstance(self._interfaces, OSError):
            raise self._interfaces
        return self._interfaces

    def _has_changes(self) -> bool:
        try:
            return bool(self._changes.recv(_RECEIVE))
        except BlockingIOError:
            return False
        except OSError:
            # There were more than the socket has space for (ENOBUFS, which is reported once).
            return True

    def close(self) -> None:
        """Close its socket."""
        self._changes.close()
