"""Three games with plain UDP peers, each behind its own bridge."""

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
    """A bridge and its ports."""

    def __init__(self, start: Start, relay: int, name: str, *options: str) -> None:
        arguments = ("--nick", name, "--json", *options, f"127.0.0.1:{relay}")
        self.process = start.session("--bridge", "127.0.0.1:0", *arguments)
        self.port = _port(self.event("bridge.opened")["local"])
        self.event("session.joined")

    def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """Wait for a notice with these fields; return the first one."""

        def search(text: str, _: bool) -> dict[str, Any] | None:
            for line in re.findall(r".+\n", text):
                notice = json.loads(line)
                if notice["event"] == name and fields.items() <= notice.items():
                    return dict(notice)
            return None

        found: dict[str, Any] = self.process.stdout.wait_until(search)
        return found

    def port_of(self, nick: str) -> int:
        return _port(self.event("bridge.member", nick=nick)["local"])


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


class Game:
    """A game that sends its name and a text."""

    def __init__(self, start: Start, name: str, *peers: int, port: int = 0) -> None:
        self.name = name
        self._process: Process = start.program("game_peer", port, *peers)
        self.port = int(self._process.stdout.next_line())

    def send(self, text: str) -> None:
        self._process.type(f"{self.name}-{text}\n")

    def wait_for(self, sender: Game, text: str, port: int) -> None:
        """Wait until it has received a text of another game from a port."""

        def search(output: str, _: bool) -> bool:
            return f"{port} {sender.name}-{text}\n" in output

        self._process.stdout.wait_until(search)

    @property
    def senders(self) -> list[tuple[int, str]]:
        """The senders so far: ports and names."""

        def found(text: str, _: bool) -> list[Any]:
            return [re.findall(r"^(\d+) (\w+)-", text, re.MULTILINE)]

        return sorted(
            {(int(port), name) for port, name in self._process.stdout.wait_until(found)[0]}
        )

    def end(self) -> None:
        self._process.end()


def assert_all_receive_all(games: list[Game], bridges: list[Bridge], text: str) -> None:
    for game, bridge in zip(games, bridges, strict=True):
        for other in games:
            if other is not game:
                game.wait_for(other, text, bridge.port)


def test_three_games_with_one_peer_each_communicate_through_bridges(start: Start) -> None:
    relay = start.relay()
    bridges = [Bridge(start, relay.port, name) for name in NAMES]
    # The last one starts late.
    games = [
        Game(start, name, bridge.port) for name, bridge in zip(NAMES[:2], bridges[:2], strict=True)
    ]
    for game in games:
        game.send("here")
    assert_all_receive_all(games, bridges[:2], "here")
    games.append(Game(start, NAMES[2], bridges[2].port))
    games[2].send("here")
    assert_all_receive_all(games, bridges, "here")
    for game, bridge in zip(games, bridges, strict=True):
        others = [(bridge.port, name) for name in sorted(NAMES) if name != game.name]
        assert game.senders == others


def test_a_restarted_game_is_the_same_player(start: Start) -> None:
    relay = start.relay()
    bridges = [Bridge(start, relay.port, name) for name in NAMES[:2]]
    games = [Game(start, name, bridge.port) for name, bridge in zip(NAMES, bridges, strict=False)]
    for game in games:
        game.send("here")
    assert_all_receive_all(games, bridges, "here")
    games[0].end()
    games[0] = Game(start, NAMES[0], bridges[0].port)
    games[0].send("again")
    games[1].send("again")
    assert_all_receive_all(games, bridges, "again")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_games_continue_after_a_restart_of_the_relay(start: Start, number: signal.Signals) -> None:
    relay = start.relay("--port", str(free_port()))
    bridges = [Bridge(start, relay.port, name, "--bridge-per-member") for name in NAMES]
    games = [
        Game(start, name, *(bridge.port_of(other) for other in NAMES if other != name))
        for name, bridge in zip(NAMES, bridges, strict=True)
    ]
    for game in games:
        game.send("before")
    assert_all_receive_from_ports(games, bridges, "before")
    relay.signal(number)
    relay.status()
    restarted = start.relay("--port", str(relay.port))
    for name in NAMES:
        restarted.event("member.joined", member=name)
    for game in games:
        game.send("after")
    assert_all_receive_from_ports(games, bridges, "after")


def assert_all_receive_from_ports(games: list[Game], bridges: list[Bridge], text: str) -> None:
    """Assert that each game receives from each other one's port, and from no other."""
    for game, bridge in zip(games, bridges, strict=True):
        others = [other for other in games if other is not game]
        for other in others:
            game.wait_for(other, text, bridge.port_of(other.name))
        assert game.senders == sorted((bridge.port_of(one.name), one.name) for one in others)


def test_a_server_distinguishes_two_players(start: Start) -> None:
    relay = start.relay()
    server = Game(start, "server")
    # It only answers, so the bridge needs its address.
    to = ("--bridge-to", f"127.0.0.1:{server.port}")
    serving = Bridge(start, relay.port, "server", "--bridge-per-member", *to)
    playing = [Bridge(start, relay.port, name, "--bridge-per-member") for name in NAMES[:2]]
    players = [
        Game(start, name, bridge.port_of("server"))
        for name, bridge in zip(NAMES, playing, strict=False)
    ]
    for player in players:
        player.send("hello")
    for player in players:
        server.wait_for(player, "hello", serving.port_of(player.name))
    server.send("state")
    for player, bridge in zip(players, playing, strict=True):
        player.wait_for(server, "state", bridge.port_of("server"))
        assert player.senders == [(bridge.port_of("server"), "server")]
