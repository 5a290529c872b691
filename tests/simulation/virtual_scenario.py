"""A relay with plain members on a virtual network, made from one seed."""

from __future__ import annotations

from ipaddress import ip_network
from random import Random

from virtual_hosts import Program, VirtualRelay
from virtual_network import Address, Conditions, Network, VirtualTime

from udprelay.relay.rules import (
    Label,
    Limits,
    ListenerRules,
    PlainPolicy,
    RelayRules,
    RoomRules,
)

RELAY_HOST = "203.0.113.1"
TRUSTED = ip_network("10.0.0.0/8")
ADMITTING = [PlainPolicy.CHALLENGE, PlainPolicy.NETWORKS, PlainPolicy.ANY]
JOINED = 10.0
"""Seconds after which all programs have joined, on a network without loss."""


class World:
    """
    A relay with two rooms, programs in them, a target and a console.

    :ivar rebound: programs whose address has changed.
    """

    def __init__(
        self,
        seed: int,
        conditions: Conditions,
        idle_timeout: float = 300.0,
        failures: float = 0.0,
        max_members: int = 1000,
    ) -> None:
        self.random = random = Random(seed)
        self.time = VirtualTime()
        self.network = Network(self.time, random, conditions)
        policies = [random.choice(ADMITTING) for _ in range(3)]
        rooms = ["attic", "cellar", "attic"]
        addresses = {name: (RELAY_HOST, port) for name, port in (("a", 6), ("b", 7), ("c", 8))}
        labels = {room: random.choice(list(Label)) for room in ("attic", "cellar")}
        rules = RelayRules(
            max_members=2 * max_members,
            listeners={
                name: ListenerRules(
                    room=room, port=addresses[name][1], plain=policy, plain_networks=(TRUSTED,)
                )
                for name, room, policy in zip(addresses, rooms, policies, strict=True)
            },
            rooms={
                room: RoomRules(label=label, idle_timeout=idle_timeout, max_members=max_members)
                for room, label in labels.items()
            },
            limits=Limits(kick_time=5.0, drop_window=3.0),
        )
        self.target_received: list[bytes] = []
        target = ("198.51.100.9", 2055)
        self.network.attach(target, lambda _, payload: self.target_received.append(payload))
        self.relay = VirtualRelay(
            self.network,
            random,
            rules,
            addresses,
            targets={target: ("attic", "a")},
            console="cellar",
            failures=failures,
        )
        self.rebound: list[Program] = []
        self.programs: dict[str, list[Program]] = {"attic": [], "cellar": []}
        for number in range(random.randint(3, 8)):
            name, room, policy = random.choice(list(zip(addresses, rooms, policies, strict=True)))
            trusted = policy is PlainPolicy.NETWORKS or random.random() < 0.5
            host = f"10.0.0.{number}" if trusted else f"198.51.100.{100 + number}"
            program = Program(self.network, f"p{number}", (host, 4000), addresses[name])
            program.labelled = labels[room] is Label.NICK
            self.programs[room].append(program)

    def all_programs(self) -> list[Program]:
        """Return all programs."""
        return [program for room in self.programs.values() for program in room]

    def join(self) -> None:
        """Let all programs join in the first seconds, and wait for them."""
        for program in self.all_programs():
            self.time.at(self.random.uniform(0, 5), lambda p=program: p.send(b"hello?"))
        self.time.run(JOINED)
        for program in self.all_programs():
            program.received.clear()
        self.target_received.clear()
        self.relay.console_received.clear()

    def send_payloads(self, start: float, end: float) -> None:
        """Let programs and console send payloads at random times."""
        random = self.random
        for program in self.all_programs():
            when = start
            while (when := when + random.expovariate(1.0)) < end:
                padding = random.randint(0, 60)
                self.time.at(when, lambda p=program, n=padding: p.send_next(n))
        when = start
        while (when := when + random.expovariate(0.2)) < end:
            self.time.at(when, lambda n=when: self.relay.send_from_console(b"console %r" % n))

    def forge(self, start: float, end: float, rate: float) -> None:
        """Send forged datagrams at random times from random addresses."""
        when = start
        while (when := when + self.random.expovariate(rate)) < end:
            self.time.at(when, self._forge)

    def _forge(self) -> None:
        random = self.random
        forged: list[Address] = [
            (f"198.51.100.{random.randrange(256)}", random.randrange(65536)),
            (f"10.0.1.{random.randrange(256)}", random.randrange(1, 65536)),
            (f"2001:db8:{random.randrange(65536):x}::1", random.randrange(1, 65536)),
            (f"224.0.0.{random.randrange(256)}", 5353),
            ("255.255.255.255", 9),
            ("0.0.0.0", 9),
            ("198.51.100.9", 2055),
            *self.relay.addresses.values(),
        ]
        payload = random.choice(
            [
                b"",
                random.randbytes(random.randint(1, 60)),
                b"udprelay: to join, send this code: 0abcdefg\n",
                b"send 0abcdefg\n",
                b"0ABCDEFG",
                b"0abcdefg\n",
                b"?" * random.randint(1, 60),
            ]
        )
        if random.random() < 0.1:
            program = random.choice(self.all_programs())
            self.network.send(program.address, program.relay, payload)
        else:
            to = random.choice(list(self.relay.addresses.values()))
            self.network.send(random.choice(forged), to, payload)

    def disturb(self, start: float, end: float) -> None:
        """Rebind NATs, cut hosts off, restart the relay, kick members."""
        random = self.random
        when = start
        while (when := when + random.expovariate(0.3)) < end:
            self.time.at(when, random.choice([self._rebind, self._cut, self._restart, self._kick]))

    def _rebind(self) -> None:
        program = self.random.choice(self.all_programs())
        self.rebound.append(program)
        host = self.network.seen_as(program.address)[0]
        self.network.translate(program.address, (host, self.random.randrange(20_000, 60_000)))

    def _cut(self) -> None:
        program = self.random.choice(self.all_programs())
        self.network.block(self.network.seen_as(program.address)[0])
        self.time.after(self.random.uniform(0, 20), self.network.unblock)

    def _restart(self) -> None:
        self.relay.restart()

    def _kick(self) -> None:
        self.relay.kick(self.random.randrange(100))
