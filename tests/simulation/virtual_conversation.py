"""A conversation of session members and plain ones, and its troubles, from one seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from virtual_client import Client
from virtual_ledger import Stream
from virtual_network import Conditions
from virtual_stage import ADDRESSES, KEYED, OPEN, Stage, rules_for
from virtual_unverified import UnverifiedSources

from udprelay.relay.rules import Label, PlainPolicy, RelayRules, RoomRules


class Conversation(Stage):
    """A stage with random settings, actions and troubles."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(f"{seed} plan")
        calm = random.random() < 0.4
        self.duration = random.choice([2.0, 4.0, 4.0, 8.0, 8.0, 30.0])
        self.rooms = random.choice([[OPEN], [OPEN], [KEYED], [OPEN, KEYED]])
        # Only with an open room: the console would open a keyed one too.
        console = OPEN if OPEN in self.rooms and random.random() < 0.2 else None
        super().__init__(seed, self._conditions(calm), self._rules(calm), console)
        self.calm = calm
        for number in range(random.choice([2, 2, 2, 2, 3, 3, 3, 4, 5, 8])):
            self.add_client(
                random.choice([f"Nick {number}", f"Nick {number}", f"Nick {number}", "Ann"]),
                random.choice(self.rooms),
                random.choice(list(ADDRESSES)),
                random.choice([0.0, 1000.0 * number]),
                recover=random.random() < 0.9,
                other_nicks=random.random() < 0.5,
            )
        if OPEN in self.rooms and random.random() < 0.4:
            for _ in range(random.randint(1, 2)):
                self.add_program(random.choice(list(ADDRESSES)))
        self._unverified = UnverifiedSources(
            self.network,
            Random(f"{seed} strangers"),
            list(ADDRESSES.values()),
            [client.address for client in self.clients],
            self.rooms,
        )

    def _conditions(self, calm: bool) -> Conditions:
        random = self.random
        return Conditions(
            loss=random.choice([0.0, 0.05, 0.1] if calm else [0.0, 0.05, 0.1, 0.2, 0.3, 0.5]),
            duplication=random.choice([0.0, 0.0, 0.1, 0.3]),
            delay=random.choice([(0.001, 0.01), (0.001, 0.1), (0.05, 0.3)]),
            reordering=random.random() < 0.5,
            late=random.choice([0.0, 0.0, 0.02, 0.1]),
            late_duplicates=random.choice([0.0, 0.0, 0.02]),
            max_lateness=0.5 if calm else random.choice([0.5, 3.0, 20.0]),
        )

    def _rules(self, calm: bool) -> RelayRules:
        random = self.random
        room = RoomRules(
            label=random.choice(list(Label)),
            idle_timeout=30.0,
            max_members=1000 if calm else random.choice([1000, 1000, 1000, 4]),
            history=1024 if calm else random.choice([1024, 1024, 64, 8]),
            history_age=120.0 if calm else random.choice([120.0, 120.0, 5.0]),
            history_on_join=random.choice([0, 0, 5]),
            session_timeout=random.choice([45.0, 45.0, 45.0, 16.0]),
            member_rate=random.choice([0.0, 0.0, 0.0, 20.0]),
        )
        plain = [PlainPolicy.CHALLENGE, PlainPolicy.NETWORKS]
        return rules_for(room, (random.choice(plain), random.choice(plain)))

    def run_all(self) -> None:
        """Run all that is planned, and settle."""
        self._plan()
        self.run(self.duration)
        self.settle()

    def _plan(self) -> None:
        random = self.random
        for client in self.clients:
            self.time.at(random.uniform(0, self.duration / 3), client.start)
            self._repeat(random.choice([0.2, 0.5, 1.0]), partial(self._act, client))
        for program in self.programs:
            self._repeat(0.5, partial(self.send_from_program, program))
        if self.relay.console is not None:
            self._repeat(0.2, self.send_from_console)
        if random.random() < 0.5:
            self._repeat(2.0, self._unverified.act)
        if not self.calm:
            self._repeat(random.choice([0.1, 0.2, 0.5]), self._disturb)
        if random.random() < 0.2:
            # More messages at once than the send window has space for.
            sender = random.choice(self.clients)
            for _ in range(80):
                self.time.at(self.duration / 2, sender.send, 40)

    def _repeat(self, rate: float, call: Callable[[], object]) -> None:
        when = 0.0
        while (when := when + self.random.expovariate(rate)) < self.duration:
            self.time.at(when, call)

    def _act(self, client: Client) -> None:
        random = self.random
        dice = random.random()
        if dice < 0.6:
            client.send(random.choice([1, 40, 40, 40, 1200, 5000]))
        elif dice < 0.7:
            client.send(random.choice([1, 40, 1200]), Stream.ROOM_UNRELIABLE)
        elif dice < 0.85 and self.ledger.visits:
            to = random.choice(self.ledger.visits)
            stream = random.choice([Stream.PRIVATE, Stream.PRIVATE, Stream.PRIVATE_UNRELIABLE])
            client.send_private(to, random.choice([20, 20, 3000]), stream)
        elif dice < 0.9:
            client.change_nick(
                random.choice(["Zoe", f"{client.name} again", client.settings.nick])
            )
        elif dice < 0.95:
            client.ping()
        elif not self.calm:
            random.choice([client.leave, client.kill])()
            self.time.after(random.uniform(0, 10), client.start)

    # Troubles.

    def _disturb(self) -> None:
        random = self.random
        client = random.choice(self.clients)
        troubles: list[Callable[[Client], None]] = [
            self._rebind,
            self._rebind,
            self._block,
            self._block_outgoing,
            self._block_incoming,
            self._suspend,
            self._change_conditions,
            self._restart_relay,
            self._suspend_relay,
            self._kick,
        ]
        random.choice(troubles)(client)

    def _rebind(self, client: Client) -> None:
        self.rebind(client, self.random.randrange(20_000, 60_000))

    def _block(self, client: Client) -> None:
        self.network.block(self.host_of(client))
        self._unblock_later()

    def _block_outgoing(self, client: Client) -> None:
        self.network.block_outgoing(self.host_of(client))
        self._unblock_later()

    def _block_incoming(self, client: Client) -> None:
        self.network.block_incoming(self.host_of(client))
        self._unblock_later()

    def _unblock_later(self) -> None:
        self.time.after(self.random.choice([1.0, 5.0, 20.0, 60.0]), self.network.unblock)

    def _suspend(self, client: Client) -> None:
        seconds = self.random.choice([2.0, 20.0, 60.0])
        client.sleep(seconds, clock_stops=self.random.random() < 0.5)

    def _change_conditions(self, client: Client) -> None:
        self.network.conditions = self._conditions(calm=False)

    def _restart_relay(self, client: Client) -> None:
        random = self.random
        pause = random.choice([0.0, 1.0, 10.0, 60.0])
        farewell, silently = random.random() < 0.5, random.random() < 0.5
        self.relay.restart(pause, farewell=farewell, silently=silently)

    def _suspend_relay(self, client: Client) -> None:
        self.relay.sleep(self.random.choice([0.5, 5.0, 30.0, 60.0]))

    def _kick(self, client: Client) -> None:
        self.relay.kick(self.random.randrange(8))
