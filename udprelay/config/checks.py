"""Options that are valid each, but do not work together."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from itertools import combinations

from udprelay.config.report import ALL_ROOMS, Report
from udprelay.relay.rules import (
    LOCAL,
    Limits,
    ListenerRules,
    PlainPolicy,
    Protocol,
    RelayRules,
    RoomRules,
)

MIN_CONTROL_RATE = 10
"""Clients repeat some requests several times a second, and PING four times in session_timeout."""
_DEFAULT = ListenerRules()


def check(rules: RelayRules, console_room: str, report: Report) -> None:
    """
    Report what cannot work, and what has no effect.

    :param console_room: empty if there is no console.
    """
    for name, listener in rules.listeners.items():
        _check_reference(rules, name, listener.room, report)
        _check_plain(name, listener, report)
        _check_key(rules, name, listener, report)
    _check_overlaps(rules.listeners, report)
    sections = {f"room:{name}": room for name, room in rules.rooms.items()}
    for section, room in {ALL_ROOMS: rules.room_defaults, **sections}.items():
        _check_room(section, room, rules, report)
    _check_limits(rules.limits, report)
    _check_places(rules, console_room, report)
    _check_reach(rules, console_room, report)


def _check_reference(rules: RelayRules, name: str, room: str, report: Report) -> None:
    """Report a room that has no section; a flag may name any room."""
    known, at = {*rules.rooms, _DEFAULT.room}, (f"listener:{name}", "room")
    if room not in known and not report.by_flag(at):
        near = get_close_matches(room, sorted(known), 1)
        why = f"section [room:{room}] is missing"
        report.error(why + (f"; did you mean {near[0]}?" if near else ""), at)


def _check_plain(name: str, rules: ListenerRules, report: Report) -> None:
    """Report a policy that admits nobody, and options without effect."""
    section = f"listener:{name}"
    protocol, plain, networks = (
        (section, "protocol"),
        (section, "plain"),
        (section, "plain_networks"),
    )
    chosen = rules.plain_networks != _DEFAULT.plain_networks
    if rules.protocol is Protocol.SESSION:
        for option, unused in ((plain, rules.plain is not _DEFAULT.plain), (networks, chosen)):
            if unused:
                report.warn("has no effect with protocol = session", option, protocol)
        return
    if chosen and rules.plain in (PlainPolicy.ANY, PlainPolicy.OFF):
        report.warn(f"has no effect with plain = {rules.plain.value}", networks, plain)
    reached = any(
        network == LOCAL or has_family(rules.interface, network.version)
        for network in rules.plain_networks
    )
    if rules.plain is PlainPolicy.NETWORKS and not reached:
        why = f"has no network whose addresses reach {rules.interface}"
        find = report.error if rules.protocol is Protocol.PLAIN else report.warn
        of = [networks, plain, protocol]
        find(f"{why}, so plain = networks admits nobody", networks, plain, of=of)
    elif rules.plain is PlainPolicy.OFF and rules.protocol is Protocol.PLAIN:
        report.error("admits nobody with protocol = plain", plain, protocol)


def has_family(interface: str, version: int) -> bool:
    """Return whether a listener on ``interface`` has datagrams of an IP version."""
    return interface == "::" or version == ip_address(interface).version


def _check_key(rules: RelayRules, name: str, listener: ListenerRules, report: Report) -> None:
    """Report a listener for plain members alone, into a room that admits none."""
    room, section, own = rules.room(listener.room), f"room:{listener.room}", f"listener:{name}"
    if listener.protocol is Protocol.PLAIN and room.access_key and not room.plain_with_key:
        why = "room {} has an access_key, and plain members need plain_with_key = yes"
        depends = (
            (own, "protocol"),
            (own, "room"),
            (section, "access_key"),
            (section, "plain_with_key"),
        )
        report.error(why.format(listener.room), (own, "protocol"), of=depends)


def _check_overlaps(listeners: Mapping[str, ListenerRules], report: Report) -> None:
    """Report each pair of listeners that cannot both be bound."""
    for (a, first), (b, second) in combinations(listeners.items(), 2):
        options = [(f"listener:{x}", option) for x in (b, a) for option in ("interface", "port")]
        if report.valid(*options) and _overlap(first, second):
            section = report.sections.get(f"listener:{b}")
            interfaces = " and ".join(sorted({first.interface, second.interface}))
            why = f"both bind port {first.port} of {interfaces}"
            line = 0 if section is None else section.line
            report.add(line, f"[listener:{a}] and [listener:{b}]", why)


def _overlap(first: ListenerRules, second: ListenerRules) -> bool:
    """Return whether two listeners have a common address and port; ``::`` includes IPv4."""
    interfaces = {first.interface, second.interface}
    if not first.port or first.port != second.port:
        return False
    if len(interfaces) == 1 or "::" in interfaces:
        return True
    return "0.0.0.0" in interfaces and not any(":" in interface for interface in interfaces)


def _check_room(section: str, room: RoomRules, rules: RelayRules, report: Report) -> None:
    history, joining = (section, "history"), (section, "history_on_join")
    members = (section, "max_members")
    if room.history_on_join > room.history:
        why = f"history_on_join ({room.history_on_join}) is more than history ({room.history})"
        report.error(why, joining, history)
    if 0 < room.member_rate < 1:
        # Clients are told a whole number.
        why = "must be at least 1 datagram per second; 0 is no limit"
        report.error(why, (section, "member_rate"))
    if 0 < room.control_rate < MIN_CONTROL_RATE:
        why = "must be at least {} datagrams per second, or sessions time out; 0 is no limit"
        report.error(why.format(MIN_CONTROL_RATE), (section, "control_rate"))
    _check_output(section, room, rules, report)
    if room.max_members == 1:
        report.warn("nobody receives anything in a room of one", members)
    if room.max_members > rules.max_members and room.max_members != RoomRules().max_members:
        why = f"[udprelay] max_members allows {rules.max_members} in all rooms together"
        report.warn(why, members, of=[members, ("udprelay", "max_members")])
    with_key, key = (section, "plain_with_key"), (section, "access_key")
    concerned = [room, *rules.rooms.values()] if section == ALL_ROOMS else [room]
    if (
        room.plain_with_key
        and report.is_set(with_key)
        and not any(one.access_key for one in concerned)
    ):
        report.warn("has no effect without access_key", with_key, key)


def _check_output(section: str, room: RoomRules, rules: RelayRules, report: Report) -> None:
    """Warn of limits that are never met, as another one is lower."""
    own, of_room, of_all = (
        (section, "member_output"),
        (section, "room_output"),
        ("limits", "output"),
    )
    if 0 < room.room_output < room.member_output and report.is_set(own):
        why = f"has no effect: room_output allows {room.room_output} bytes in the whole room"
        report.warn(why, own, of=[own, of_room])
    if 0 < rules.limits.output < room.room_output and report.is_set(of_room):
        why = f"has no effect: [limits] output allows {rules.limits.output} bytes in all rooms"
        report.warn(why, of_room, of=[of_room, of_all])


def _check_limits(limits: Limits, report: Report) -> None:
    """Warn of budgets that are used up for ever."""
    for kind in ("challenge", "session", "proof", "join"):
        if not getattr(limits, f"{kind}_rate"):
            burst = getattr(limits, f"{kind}_burst")
            why = f"after {kind}_burst ({burst}) a source gets no answer until the relay restarts"
            report.warn(why, ("limits", f"{kind}_rate"), ("limits", f"{kind}_burst"))


def _check_places(rules: RelayRules, console_room: str, report: Report) -> None:
    """Report rooms that targets and the console fill alone."""
    taken = {name: len(rules.room(name).targets) for name in named_rooms(rules)}
    if console_room:
        taken[console_room] += 1
    for name, count in taken.items():
        places = rules.room(name).max_members
        if count >= places:
            why = f"targets and the console take all {places} places of room {name}"
            members = (f"room:{name}", "max_members")
            report.error(why, members, (f"room:{name}", "targets"), of=[members])
    if sum(taken.values()) >= rules.max_members and any(taken.values()):
        why = f"targets and the console take all {rules.max_members} places of the relay"
        report.error(why, ("udprelay", "max_members"))


def _check_reach(rules: RelayRules, console_room: str, report: Report) -> None:
    """Report rooms that neither plain nor session members can join."""
    listeners = rules.listeners
    # An operator at the console may join every room.
    if console_room or any(one.protocol is not Protocol.PLAIN for one in listeners.values()):
        return
    joined = {one.room for one in listeners.values()}
    for name in rules.rooms:
        if name not in joined:
            why = "nobody can join: every listener has protocol = plain and another room"
            of = [
                (f"listener:{one}", option) for one in listeners for option in ("protocol", "room")
            ]
            report.error(why, (f"room:{name}", ""), of=of)


def named_rooms(rules: RelayRules) -> list[str]:
    """Return the rooms with a section or a listener, which have targets."""
    return sorted({*rules.rooms, *(one.room for one in rules.listeners.values())})
