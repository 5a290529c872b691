"""A relay, clients and programs on one virtual network, with all that they are held to."""

from __future__ import annotations

from ipaddress import ip_network
from random import Random
from typing import Any

from virtual_client import Client
from virtual_hosts import Program
from virtual_ledger import Ledger, Stream
from virtual_network import Conditions, Network, VirtualTime
from virtual_relay import RelayHost

from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.keys import RoomKeys
from udprelay.relay.rules import (
    Label,
    Limits,
    ListenerRules,
    PlainPolicy,
    RelayRules,
    RoomRules,
)
from udprelay.session_client.settings import Settings

ADDRESSES = {"a": ("203.0.113.1", 6000), "b": ("203.0.113.1", 6001)}
TRUSTED = ip_network("10.1.0.0/16")
SALT = bytes(range(16))
KEYS = RoomKeys(access=b"a" * 32, content=b"c" * 32)
OPEN, KEYED = "attic", "vault"
CALM = Conditions(delay=(0.001, 0.02))

SETTLING = 15.0
"""Seconds after which everybody has been told who is not back after a restart of the relay."""

LONGEST = 300.0


def rules_for(
    room: RoomRules | None = None,
    policies: tuple[PlainPolicy, PlainPolicy] = (PlainPolicy.CHALLENGE, PlainPolicy.NETWORKS),
) -> RelayRules:
    """Return rules with an open room, a keyed one, and two listeners that lead to the first."""
    listeners = {
        name: ListenerRules(room=OPEN, port=port, plain=policy, plain_networks=(TRUSTED,))
        for (name, (_, port)), policy in zip(ADDRESSES.items(), policies, strict=True)
    }
    rooms = {
        OPEN: room or RoomRules(),
        KEYED: RoomRules(access_key=AccessKey(SALT, KEYS.access)),
    }
    return RelayRules(listeners=listeners, rooms=rooms, limits=Limits(kick_time=20.0))


class Stage:
    """
    Everything that there is.

    :param console: the room that the relay's own console is in, if there is one.
    :ivar calm: nothing is lost for good, and nobody goes away.
    """

    def __init__(
        self,
        seed: object = 0,
        conditions: Conditions = CALM,
        rules: RelayRules | None = None,
        console: str | None = None,
    ) -> None:
        # Each its own, so that what one of them does differently changes nothing for the others.
        self._seed = seed
        self.calm = True
        self.time = VirtualTime()
        self.network = Network(self.time, Random(f"{seed} network"), conditions)
        self.ledger = Ledger()
        self.rules = rules or rules_for()
        relay = Random(f"{seed} relay")
        self.relay = RelayHost(self.network, relay, self.rules, ADDRESSES, console)
        self.clients: list[Client] = []
        self.programs: list[Program] = []

    # Who is there.

    def client(
        self, nick: str, room: str = OPEN, listener: str = "a", clock: float = 0.0, **settings: Any
    ) -> Client:
        """Add a host with a client, behind a NAT; it does not come by itself."""
        number = len(self.clients)
        inside = (f"10.0.{number}.1", 5000)
        self.network.translate(inside, (f"198.51.100.{number + 1}", 5000))
        client = Client(
            self.network,
            Random(f"{self._seed} c{number}"),
            self.ledger,
            f"c{number}",
            inside,
            ADDRESSES[listener],
            Settings(room=room, nick=nick, keyed=room == KEYED, **settings),
            KEYS if room == KEYED else None,
            clock,
        )
        self.clients.append(client)
        return client

    def program(self, listener: str = "a") -> Program:
        """Add a host with a plain program."""
        number = len(self.programs)
        address = (f"10.1.0.{number}", 4000)
        program = Program(self.network, f"p{number}", address, ADDRESSES[listener])
        program.labelled = self.rules.room(OPEN).label is Label.NICK
        self.programs.append(program)
        return program

    def host(self, client: Client) -> str:
        """Return the host that others see a client at."""
        return self.network.seen_as(client.address)[0]

    def rebind(self, client: Client, port: int) -> None:
        """Let a client's NAT use another port from now on."""
        self.network.translate(client.address, (self.host(client), port))

    # What they say besides clients.

    def say_plainly(self, program: Program) -> bytes:
        """Let a plain program say something."""
        payload = self._plainly()
        program.send(payload)
        return payload

    def say_at_console(self) -> bytes:
        """Let the relay's operator say something."""
        payload = self._plainly()
        self.relay.say(payload)
        return payload

    def _plainly(self) -> bytes:
        payload = self.ledger.write(None, Stream.PLAIN, 30)
        self.ledger.note(None, OPEN, Stream.PLAIN, payload, self.time.now)
        return payload

    # Time.

    def run(self, seconds: float) -> None:
        """Let some time pass."""
        self.time.run(self.time.now + seconds)

    def settle(self) -> None:
        """Heal everything, and wait until all that is to be told is told."""
        self.network.conditions = CALM
        self.network.heal()
        settled_since, until = self.time.now, self.time.now + LONGEST
        while self.time.now < min(until, settled_since + SETTLING):
            self.run(5.0)
            if not self.settled:
                settled_since = self.time.now

    @property
    def settled(self) -> bool:
        """Whether everybody who can be a member is one, and has all that there is to have."""
        if not self.relay.awake:
            return False
        newest = {
            session.identity: session.room.sessions.newest
            for session in self.relay.sessions()
            if session.room.sessions is not None
        }
        for client in self.clients:
            if not client.running or (not client.joined and self._is_shut_out(client)):
                continue
            if not client.joined or client.membership.outstanding:
                return False
            if client.settled != newest.get(client.visit.identity):
                return False
        return True

    def _is_shut_out(self, client: Client) -> bool:
        """Return whether a client has to wait until there is a place."""
        visit = client.visit
        if client.asleep or visit.joined is None:
            return False
        return len(self.relay.roster(visit.room)) >= self.rules.room(visit.room).max_members
