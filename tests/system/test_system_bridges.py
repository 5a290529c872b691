"""Three games that know nothing but UDP peers, each behind a bridge of its own."""

from __future__ import annotations

import json
import re
import signal
from typing import Any

import pytest
from system_processes import Process, Start

from free_port import free_port

pytest_plugins = ("system_fixtures",)

NAMES = ("red", "green", "blue")


class Bridge:
    """A bridge, and where its sockets are."""

    def __init__(self, start: Start, relay: int, name: str, *options: str) -> None:
        arguments = ("--nick", name, "--json", *options, f"127.0.0.1:{relay}")
        self.process = start.session("--bridge", "127.0.0.1:0", *arguments)
        self.port = _port(self.event("bridge.opened")["local"])
        self.event("session.joined")

    def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """Return the first notice with these fields, as soon as there is one."""

        def search(text: str, _: bool) -> dict[str, Any] | None:
            for line in re.findall(r".+\n", text):
                told = json.loads(line)
                if told["event"] == name and fields.items() <= told.items():
                    return dict(told)
            return None

        found: dict[str, Any] = self.process.stdout.wait_until(search)
        return found

    def port_of(self, nick: str) -> int:
        return _port(self.event("bridge.member", nick=nick)["local"])


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


class Game:
    """A game that says its name, and then whatever it is told to say."""

    def __init__(self, start: Start, name: str, *peers: int, port: int = 0) -> None:
        self.name = name
        self._process: Process = start.program("game_peer", port, *peers)
        self.port = int(self._process.stdout.next_line())

    def say(self, what: str) -> None:
        self._process.type(f"{self.name}-{what}\n")

    def hears(self, who: Game, what: str, port: int) -> None:
        """Wait until it has heard somebody from a port."""

        def search(text: str, _: bool) -> bool:
            return f"{port} {who.name}-{what}\n" in text

        self._process.stdout.wait_until(search)

    @property
    def heard(self) -> list[tuple[int, str]]:
        """From which ports it has heard whom, so far."""

        def found(text: str, _: bool) -> list[Any]:
            return [re.findall(r"^(\d+) (\w+)-", text, re.MULTILINE)]

        return sorted(
            {(int(port), name) for port, name in self._process.stdout.wait_until(found)[0]}
        )

    def end(self) -> None:
        self._process.end()


def assert_all_hear_all(games: list[Game], bridges: list[Bridge], what: str) -> None:
    for game, bridge in zip(games, bridges, strict=True):
        for other in games:
            if other is not game:
                game.hears(other, what, bridge.port)


def test_three_games_that_know_one_peer_talk_through_three_bridges(start: Start) -> None:
    relay = start.relay()
    bridges = [Bridge(start, relay.port, name) for name in NAMES]
    # The last one starts late, when the others have long been talking.
    games = [
        Game(start, name, bridge.port) for name, bridge in zip(NAMES[:2], bridges[:2], strict=True)
    ]
    for game in games:
        game.say("here")
    assert_all_hear_all(games, bridges[:2], "here")
    games.append(Game(start, NAMES[2], bridges[2].port))
    games[2].say("here")
    assert_all_hear_all(games, bridges, "here")
    for game, bridge in zip(games, bridges, strict=True):
        others = [(bridge.port, name) for name in sorted(NAMES) if name != game.name]
        assert game.heard == others


def test_a_game_that_is_started_again_is_the_same_player(start: Start) -> None:
    relay = start.relay()
    bridges = [Bridge(start, relay.port, name) for name in NAMES[:2]]
    games = [Game(start, name, bridge.port) for name, bridge in zip(NAMES, bridges, strict=False)]
    for game in games:
        game.say("here")
    assert_all_hear_all(games, bridges, "here")
    games[0].end()
    games[0] = Game(start, NAMES[0], bridges[0].port)
    games[0].say("again")
    games[1].say("again")
    assert_all_hear_all(games, bridges, "again")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_games_go_on_after_a_restart_of_the_relay(start: Start, number: signal.Signals) -> None:
    relay = start.relay("--port", str(free_port()))
    bridges = [Bridge(start, relay.port, name, "--bridge-per-member") for name in NAMES]
    games = [
        Game(start, name, *(bridge.port_of(other) for other in NAMES if other != name))
        for name, bridge in zip(NAMES, bridges, strict=True)
    ]
    for game in games:
        game.say("before")
    assert_all_hear_each(games, bridges, "before")
    relay.signal(number)
    relay.status()
    again = start.relay("--port", str(relay.port))
    for name in NAMES:
        again.event("member.joined", member=name)
    for game in games:
        game.say("after")
    assert_all_hear_each(games, bridges, "after")


def assert_all_hear_each(games: list[Game], bridges: list[Bridge], what: str) -> None:
    """Assert that each hears each other one from that one's port, and nothing else."""
    for game, bridge in zip(games, bridges, strict=True):
        others = [other for other in games if other is not game]
        for other in others:
            game.hears(other, what, bridge.port_of(other.name))
        assert game.heard == sorted((bridge.port_of(one.name), one.name) for one in others)


def test_two_players_and_a_server_that_tells_them_apart(start: Start) -> None:
    relay = start.relay()
    server = Game(start, "server")
    # Its address is known: it only answers.
    to = ("--bridge-to", f"127.0.0.1:{server.port}")
    serving = Bridge(start, relay.port, "server", "--bridge-per-member", *to)
    playing = [Bridge(start, relay.port, name, "--bridge-per-member") for name in NAMES[:2]]
    # Whoever was there first has the first port after the bridge's own.
    players = [
        Game(start, name, bridge.port_of("server"))
        for name, bridge in zip(NAMES, playing, strict=False)
    ]
    for player in players:
        player.say("hello")
    for player in players:
        server.hears(player, "hello", serving.port_of(player.name))
    server.say("state")
    for player, bridge in zip(players, playing, strict=True):
        player.hears(server, "state", bridge.port_of("server"))
        assert player.heard == [(bridge.port_of("server"), "server")]
