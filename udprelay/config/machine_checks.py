"""What this machine cannot do: its addresses, routes, rights, files and memory."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from udprelay import machine, netlink
from udprelay.config.checks import has_family, named_rooms
from udprelay.config.options import LogRules
from udprelay.config.report import ALL_ROOMS, Report
from udprelay.config.values import numeric
from udprelay.interfaces import is_public
from udprelay.protocol.endpoint import IPAddress, canonical
from udprelay.relay.rules import (
    LOCAL,
    ListenerRules,
    PlainPolicy,
    Protocol,
    RelayRules,
    RoomRules,
)

Names = Mapping[str, Sequence[str] | None]
"""Host names with their addresses; None without an answer."""

_LOCALHOST = ("127.0.0.1", "::1")
_BUFFERS = {"receive_buffer": "net.core.rmem_max", "send_buffer": "net.core.wmem_max"}


def check_machine(
    rules: RelayRules, log: LogRules, names: Names, try_fifo: bool, report: Report
) -> None:
    """
    Report what can never work on this machine, and warn of what does not work now.

    :param names: of the targets, as far as they were looked up.
    :param try_fifo: see :func:`log_file_problem`.
    """
    for name, listener in rules.listeners.items():
        _check_listener(f"listener:{name}", listener, report)
        _check_networks(f"listener:{name}", listener, report)
    for room in named_rooms(rules):
        _Targets(rules, room, names, report).check()
    _check_log(log, try_fifo, report)
    _check_memory(rules, report)


def target_names(rules: RelayRules) -> set[str]:
    """Return the targets of all rooms that are names."""
    targets = (target for room in named_rooms(rules) for target in rules.room(room).targets)
    return {host for host, _ in targets if numeric(host) is None}


def _check_listener(section: str, rules: ListenerRules, report: Report) -> None:
    ip = ip_address(rules.interface)
    if machine.is_broadcast(ip):
        report.error("is a broadcast address, not one of this machine", (section, "interface"))
    elif not ip.is_unspecified and not machine.is_local(ip):
        report.warn("is not an address of this machine now", (section, "interface"))
    first = machine.sysctl("net.ipv4.ip_unprivileged_port_start", 1024)
    if 0 < rules.port < first and not machine.has_capability(machine.CAP_NET_BIND_SERVICE):
        why = f"ports below {first} need root or CAP_NET_BIND_SERVICE"
        report.warn(why, (section, "port"))
    for option, limit in _BUFFERS.items():
        size = getattr(rules, option)
        granted = machine.sysctl(limit, size)
        chosen = size != getattr(ListenerRules(), option)
        if chosen and size > granted and not machine.has_capability(machine.CAP_NET_ADMIN):
            why = f"the kernel grants {limit} = {granted} bytes without CAP_NET_ADMIN"
            report.warn(why, (section, option))


def _check_networks(section: str, rules: ListenerRules, report: Report) -> None:
    """Warn of networks whose addresses whoever reaches a public address can forge."""
    asks = rules.plain in (PlainPolicy.CHALLENGE, PlainPolicy.NETWORKS)
    if rules.protocol is Protocol.SESSION or not asks:
        return
    bound = ip_address(rules.interface)
    for network in rules.plain_networks:
        # From elsewhere, the kernel drops what has a loopback address.
        if network == LOCAL or network.is_loopback:
            continue
        if bound.is_unspecified and has_family(rules.interface, network.version):
            public = netlink.public_addresses(network.version)
        else:
            public = [bound] if bound.version == network.version and is_public(bound) else []
        if public:
            why = (
                f"whoever reaches {public[0]} can forge source addresses in {network}, and join; "
                "local trusts them only at an interface with their subnet"
            )
            report.warn(why, (section, "plain_networks"), item=network)


class _Targets:
    """The targets of one room."""

    def __init__(self, rules: RelayRules, room: str, names: Names, report: Report) -> None:
        self._at = (f"room:{room}", "targets")
        self._targets = rules.room(room).targets
        # Those of the room send to its targets before others do.
        self._listeners = sorted(rules.listeners.items(), key=lambda named: named[1].room != room)
        self._names = names
        self._report = report

    def check(self) -> None:
        """Report targets that are there twice, or that no datagram can reach."""
        seen = set()
        for host, port in self._targets:
            ip = numeric(host)
            key = (str(ip or host.lower().rstrip(".")), port)
            if key in seen:
                self._error("is in the list twice", (host, port))
            seen.add(key)
            if ip is None:
                self._check_name(host, port)
            else:
                self._check_address(ip, host, port)

    def _check_address(self, ip: IPAddress, host: str, port: int) -> None:
        if own := self._own_listener(ip, port):
            self._error(f"is the relay itself (listener {own})", (host, port))
        elif why := self._impossible(ip):
            self._error(why, (host, port))
        elif why := self._unreachable(ip):
            self._warn(why, (host, port))

    def _check_name(self, host: str, port: int) -> None:
        names = {host: _LOCALHOST} if host.lower().rstrip(".") == "localhost" else self._names
        if host not in names:
            return
        addresses = [canonical(ip_address(found)) for found in names[host] or ()]
        own = [name for ip in addresses if (name := self._own_listener(ip, port))]
        others = [ip for ip in addresses if not self._own_listener(ip, port)]
        never = [self._impossible(ip) for ip in others]
        now = [why or self._unreachable(ip) for ip, why in zip(others, never, strict=True)]
        if own and all(never):
            self._error(f"is the relay itself (listener {own[0]})", (host, port))
        elif not addresses:
            why = "is unknown now" if names[host] is not None else "cannot be looked up now"
            self._warn(f"the name {why}", (host, port))
        elif all(now):
            self._warn(f"{others[0]}, its address now, {now[0]}", (host, port))

    def _own_listener(self, ip: IPAddress, port: int) -> str:
        """Return the name of the listener at an address, or an empty text."""
        for name, rules in self._listeners:
            bound, section = ip_address(rules.interface), f"listener:{name}"
            every = bound.is_unspecified and has_family(rules.interface, ip.version)
            if (
                rules.port == port
                and self._report.valid((section, "port"), (section, "interface"))
                and (bound == ip or (every and machine.is_local(ip)))
            ):
                return name
        return ""

    def _impossible(self, ip: IPAddress) -> str:
        """Return why no datagram ever reaches an address, or an empty text."""
        if machine.is_broadcast(ip):
            return "is a broadcast address; write the address of one machine"
        if ip.is_unspecified:
            return "is no address to send to"
        for name, rules in self._listeners:
            if not self._report.valid((f"listener:{name}", "interface")):
                return ""
            if has_family(rules.interface, ip.version):
                # A multicast group has members on the loopback interface, too.
                here = ip.is_multicast or machine.is_local(ip)
                if here or not ip_address(rules.interface).is_loopback:
                    return ""
                return f"cannot be reached from listener {name}, as {rules.interface} is loopback"
        return f"is an IPv{ip.version} address, and no listener has a matching interface"

    def _unreachable(self, ip: IPAddress) -> str:
        """Return why an address cannot be reached now."""
        if isinstance(ip, IPv6Address) and ip.is_link_local and ip.scope_id is None:
            return f"needs the name of a network interface, as in [{ip}%eth0]"
        try:
            machine.source_for(ip)
        except OSError as error:
            return f"cannot be reached now: {error.strerror}"
        return ""

    def _error(self, why: str, target: tuple[str, int]) -> None:
        self._report.error(why, self._at, item=target)

    def _warn(self, why: str, target: tuple[str, int]) -> None:
        self._report.warn(why, self._at, item=target)


def _check_log(log: LogRules, try_fifo: bool, report: Report) -> None:
    if not log.file:
        return
    at, file = ("log", "file"), Path(log.file).absolute()
    directory = file.parent
    if why := log_file_problem(log.file, report.file, try_fifo):
        report.error(why, at)
    elif log.rotate_size and not _may_write(directory) and (file.is_file() or not file.exists()):
        report.warn(f"is not rotated: this user may not write to {directory}", at)


def log_file_problem(path: str, config_file: str = "", try_fifo: bool = False) -> str:
    """
    Return why a log file cannot be opened, or an empty text.

    :param try_fifo: whether to open a FIFO, which fails unless a program reads it. A reader that
        has waited for a writer then reads an end of file, when this one closes it.
    """
    file = Path(path).absolute()
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        if not file.parent.is_dir():
            return f"cannot be opened: there is no directory {file.parent}"
        may_create = _may_write(file.parent)
        return "" if may_create else f"cannot be opened: this user may not write to {file.parent}"
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    if stat.S_ISDIR(mode):
        return f"is a directory; write a file in it, as {file / 'udprelay.log'}"
    if config_file and file.samefile(config_file):
        return "is the configuration file itself"
    if not os.access(file, os.W_OK):
        return "cannot be opened: this user may not write to it"
    if stat.S_ISSOCK(mode):
        return "is a socket; write a file, or run twistd --syslog"
    if stat.S_ISFIFO(mode) and try_fifo:
        return _fifo_problem(file)
    return ""


def _fifo_problem(file: Path) -> str:
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        # fifo(7).
        unread = error.errno == errno.ENXIO
        why = "no program reads this FIFO; start one first" if unread else error.strerror
        return f"cannot be opened: {why}"
    return ""


def _may_write(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK)


def _check_memory(rules: RelayRules, report: Report) -> None:
    """Warn of histories that someone has made larger than the memory."""
    default, rooms = RoomRules().history_size, [rules.room(name) for name in named_rooms(rules)]
    unnamed = max(0, rules.max_rooms - len(rooms)) if rules.open_rooms else 0
    total = sum(room.history_size for room in rooms) + unnamed * rules.room_defaults.history_size
    chosen = [
        (f"room:{name}", "history_size")
        for name in (ALL_ROOMS.removeprefix("room:"), *named_rooms(rules))
        if rules.room(name).history_size != default
    ]
    if rules.max_rooms != RelayRules().max_rooms:
        chosen.append(("udprelay", "max_rooms"))
    if chosen and total > machine.memory():
        report.warn(
            f"full histories of all rooms take {total // 1024**2} MiB, and this machine has "
            f"{machine.memory() // 1024**2} MiB",
            *chosen,
        )
