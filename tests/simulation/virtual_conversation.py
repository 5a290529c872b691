"""A conversation of session members and plain ones, and what goes wrong in it: all of one seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from virtual_client import Client
from virtual_ledger import Stream
from virtual_network import Conditions
from virtual_stage import ADDRESSES, KEYED, OPEN, Stage, rules_for
from virtual_strangers import Strangers

from udprelay.relay.rules import Label, PlainPolicy, RelayRules, RoomRules


class Conversation(Stage):
    """What a seed makes of a stage."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(f"{seed} plan")
        calm = random.random() < 0.4
        self.duration = random.choice([2.0, 4.0, 4.0, 8.0, 8.0, 30.0])
        self.rooms = random.choice([[OPEN], [OPEN], [KEYED], [OPEN, KEYED]])
        # In an open room only: the console would open a keyed one, too.
        console = OPEN if OPEN in self.rooms and random.random() < 0.2 else None
        super().__init__(seed, self._conditions(calm), self._rules(calm), console)
        self.calm = calm
        for number in range(random.choice([2, 2, 2, 2, 3, 3, 3, 4, 5, 8])):
            self.client(
                random.choice([f"Nick {number}", f"Nick {number}", f"Nick {number}", "Ann"]),
                random.choice(self.rooms),
                random.choice(list(ADDRESSES)),
                random.choice([0.0, 1000.0 * number]),
                recover=random.random() < 0.9,
                other_nicks=random.random() < 0.5,
            )
        if OPEN in self.rooms and random.random() < 0.4:
            for _ in range(random.randint(1, 2)):
                self.program(random.choice(list(ADDRESSES)))
        self._strangers = Strangers(
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
            echoes=random.choice([0.0, 0.0, 0.02]),
            latest=0.5 if calm else random.choice([0.5, 3.0, 20.0]),
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

    # What happens.

    def happen(self) -> None:
        """Let all of it happen, and settle."""
        self._plan()
        self.run(self.duration)
        self.settle()

    def _plan(self) -> None:
        random = self.random
        for client in self.clients:
            self.time.at(random.uniform(0, self.duration / 3), client.come)
            self._often(random.choice([0.2, 0.5, 1.0]), partial(self._does, client))
        for program in self.programs:
            self._often(0.5, partial(self.say_plainly, program))
        if self.relay.console is not None:
            self._often(0.2, self.say_at_console)
        if random.random() < 0.5:
            self._often(2.0, self._strangers.act)
        if not self.calm:
            self._often(random.choice([0.1, 0.2, 0.5]), self._goes_wrong)
        if random.random() < 0.2:
            # More at once than a window has.
            talker = random.choice(self.clients)
            for _ in range(80):
                self.time.at(self.duration / 2, talker.say, 40)

    def _often(self, rate: float, call: Callable[[], object]) -> None:
        when = 0.0
        while (when := when + self.random.expovariate(rate)) < self.duration:
            self.time.at(when, call)

    def _does(self, client: Client) -> None:
        random = self.random
        dice = random.random()
        if dice < 0.6:
            client.say(random.choice([1, 40, 40, 40, 1200, 5000]))
        elif dice < 0.7:
            client.say(random.choice([1, 40, 1200]), Stream.ROOM_UNRELIABLE)
        elif dice < 0.85 and self.ledger.visits:
            to = random.choice(self.ledger.visits)
            stream = random.choice([Stream.PRIVATE, Stream.PRIVATE, Stream.PRIVATE_UNRELIABLE])
            client.whisper(to, random.choice([20, 20, 3000]), stream)
        elif dice < 0.9:
            client.rename(random.choice(["Zoe", f"{client.name} again", client.settings.nick]))
        elif dice < 0.95:
            client.ping()
        elif not self.calm:
            random.choice([client.go, client.die])()
            self.time.after(random.uniform(0, 10), client.come)

    # What goes wrong.

    def _goes_wrong(self) -> None:
        random = self.random
        client = random.choice(self.clients)
        mishaps: list[Callable[[Client], None]] = [
            self._rebinds,
            self._rebinds,
            self._is_cut_off,
            self._is_muted,
            self._is_deafened,
            self._sleeps,
            self._worsens,
            self._restarts,
            self._hangs,
            self._kicks,
        ]
        random.choice(mishaps)(client)

    def _rebinds(self, client: Client) -> None:
        self.rebind(client, self.random.randrange(20_000, 60_000))

    def _is_cut_off(self, client: Client) -> None:
        self.network.cut_off(self.host(client))
        self._heals()

    def _is_muted(self, client: Client) -> None:
        self.network.mute(self.host(client))
        self._heals()

    def _is_deafened(self, client: Client) -> None:
        self.network.deafen(self.host(client))
        self._heals()

    def _heals(self) -> None:
        self.time.after(self.random.choice([1.0, 5.0, 20.0, 60.0]), self.network.heal)

    def _sleeps(self, client: Client) -> None:
        seconds = self.random.choice([2.0, 20.0, 60.0])
        client.sleep(seconds, stands_still=self.random.random() < 0.5)

    def _worsens(self, client: Client) -> None:
        self.network.conditions = self._conditions(calm=False)

    def _restarts(self, client: Client) -> None:
        random = self.random
        pause = random.choice([0.0, 1.0, 10.0, 60.0])
        farewell, silently = random.random() < 0.5, random.random() < 0.5
        self.relay.restart(pause, farewell=farewell, silently=silently)

    def _hangs(self, client: Client) -> None:
        self.relay.sleep(self.random.choice([0.5, 5.0, 30.0, 60.0]))

    def _kicks(self, client: Client) -> None:
        self.relay.kick(self.random.randrange(8))
