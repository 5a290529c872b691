"""A relay, clients and programs on one virtual network."""

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
from udprelay.relay.session.room_log import log_of
from udprelay.session_client.settings import Settings

ADDRESSES = {"a": ("203.0.113.1", 6000), "b": ("203.0.113.1", 6001)}
TRUSTED = ip_network("10.1.0.0/16")
SALT = bytes(range(16))
KEYS = RoomKeys(access=b"a" * 32, content=b"c" * 32)
OPEN, KEYED = "attic", "vault"
CALM = Conditions(delay=(0.001, 0.02))

SETTLING = 15.0
"""Seconds after a restart of the relay until all clients have reported who is not back."""

MAX_SETTLING = 300.0


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
    The whole virtual world.

    :param console: the room of the relay's console, if there is one.
    :ivar calm: nothing is lost for good, and no client leaves.
    """

    def __init__(
        self,
        seed: object = 0,
        conditions: Conditions = CALM,
        rules: RelayRules | None = None,
        console: str | None = None,
    ) -> None:
        # Each part has its own generator, so that a change of one part does not affect others.
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

    # Hosts.

    def add_client(
        self, nick: str, room: str = OPEN, listener: str = "a", clock: float = 0.0, **settings: Any
    ) -> Client:
        """Add a host with a client that is not started, behind a NAT."""
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

    def add_program(self, listener: str = "a") -> Program:
        """Add a host with a plain program."""
        number = len(self.programs)
        address = (f"10.1.0.{number}", 4000)
        program = Program(self.network, f"p{number}", address, ADDRESSES[listener])
        program.labelled = self.rules.room(OPEN).label is Label.NICK
        self.programs.append(program)
        return program

    def host_of(self, client: Client) -> str:
        """Return the host of a client's address outside."""
        return self.network.seen_as(client.address)[0]

    def rebind(self, client: Client, port: int) -> None:
        """Let the NAT of a client use another port."""
        self.network.translate(client.address, (self.host_of(client), port))

    # Messages of plain members.

    def send_from_program(self, program: Program) -> bytes:
        """Send a message from a plain program."""
        payload = self._add_plain()
        program.send(payload)
        return payload

    def send_from_console(self) -> bytes:
        """Send a message from the relay's console."""
        payload = self._add_plain()
        self.relay.send_from_console(payload)
        return payload

    def _add_plain(self) -> bytes:
        payload = self.ledger.new_payload(None, Stream.PLAIN, 30)
        self.ledger.add(None, OPEN, Stream.PLAIN, payload, self.time.now)
        return payload

    # Time.

    def run(self, seconds: float) -> None:
        """Let some time pass."""
        self.time.run(self.time.now + seconds)

    def settle(self) -> None:
        """Unblock all hosts, and wait until all clients are settled for some time."""
        self.network.conditions = CALM
        self.network.unblock()
        settled_since, until = self.time.now, self.time.now + MAX_SETTLING
        while self.time.now < min(until, settled_since + SETTLING):
            self.run(5.0)
            if not self.settled:
                settled_since = self.time.now

    @property
    def settled(self) -> bool:
        """Whether each client that can be a member is one, and has settled its whole room."""
        if not self.relay.awake:
            return False
        newest = {session.identity: log_of(session).newest for session in self.relay.sessions()}
        for client in self.clients:
            if not client.running or (not client.joined and self._waits_for_place(client)):
                continue
            if not client.joined or client.session_client.outstanding:
                return False
            if client.settled != newest.get(client.visit.identity):
                return False
        return True

    def _waits_for_place(self, client: Client) -> bool:
        """Return whether the client waits as its room is full."""
        visit = client.visit
        if client.asleep or visit.joined is None:
            return False
        return len(self.relay.roster(visit.room)) >= self.rules.room(visit.room).max_members
