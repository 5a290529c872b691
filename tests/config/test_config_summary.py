"""The summary that ``--check`` prints."""

from __future__ import annotations

from collections.abc import Callable

from config_files import ACCESS_KEY

from udprelay.config import Config


class TestSummary:
    def test_of_the_defaults(self) -> None:
        assert Config().summary().splitlines() == [
            (
                "listener main: [::]:6000, room lobby, protocol auto, "
                "plain challenge (trusted: local)"
            ),
            "room lobby: at most 1000 members, idle after 5m",
            "memory: at most 336 MiB, 256 of them for members and what is kept",
            "log: text, standard output",
        ]

    def test_of_a_configuration(self, loaded: Callable[..., Config]) -> None:
        text = """\
[listener:lan]
port = 7000
room = kitchen
plain = any
[room:kitchen]
targets = 127.0.0.1:2055, [::1]:1
[room:attic]
idle_timeout = 90
[log]
format = json
file = relay.log
"""
        assert loaded(text, True).summary().splitlines() == [
            "listener lan: [::]:7000, room kitchen, protocol auto, plain any",
            "room attic: at most 1000 members, idle after 90s (no listener)",
            (
                "room kitchen: at most 1000 members, idle after 5m, target 127.0.0.1:2055, "
                "target [::1]:1"
            ),
            "memory: at most 336 MiB, 256 of them for members and what is kept",
            "log: json, relay.log",
            "console: room kitchen",
        ]

    def test_says_how_much_memory_the_process_takes_at_most(
        self, loaded: Callable[..., Config]
    ) -> None:
        config = loaded(
            "[listener:a]\nport = 1025\n[listener:b]\nport = 1026\n[limits]\nmemory = 1 GiB\n"
        )
        assert config.max_memory() == (72 + 2 * 8 + 1024) * 1024**2
        line = "memory: at most 1112 MiB, 1024 of them for members and what is kept"
        assert line in config.summary().splitlines()

    def test_a_listener_for_sessions_has_no_policy_for_plain_members(
        self, loaded: Callable[..., Config]
    ) -> None:
        summary = loaded("[listener:main]\nprotocol = session\n").summary()
        assert summary.splitlines()[0] == (
            "listener main: [::]:6000, room lobby, protocol session"
        )

    def test_says_which_rooms_need_a_passphrase(self, loaded: Callable[..., Config]) -> None:
        text = f"""\
[room:attic]
access_key = {ACCESS_KEY}
[room:cellar]
access_key = {ACCESS_KEY}
plain_with_key = yes
targets = 192.0.2.7:1
"""
        assert loaded(text).summary().splitlines()[1:4] == [
            ("room attic: at most 1000 members, idle after 5m, needs a passphrase (no listener)"),
            (
                "room cellar: at most 1000 members, idle after 5m, needs a passphrase "
                "(plain members do not), target 192.0.2.7:1 (no listener)"
            ),
            "room lobby: at most 1000 members, idle after 5m",
        ]
