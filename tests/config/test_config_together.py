"""Options that are valid each, but cannot work together, and options without effect."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from config_files import ACCESS_KEY, FLAGS

from udprelay.config import Config, ConfigError, load

KEY = f"access_key = {ACCESS_KEY}\n"


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (
                "[listener:main]\nprotocol = plain\nplain = off\n",
                "3: [listener:main] plain = off: admits nobody with protocol = plain",
            ),
            (
                "[listener:main]\nprotocol = plain\nplain = networks\nplain_networks =\n",
                (
                    "4: [listener:main] plain_networks = : has no network whose addresses reach "
                    "::, so plain = networks admits nobody"
                ),
            ),
            (
                (
                    "[listener:main]\ninterface = 127.0.0.1\nprotocol = plain\nplain = networks\n"
                    "plain_networks = fe80::/10\n"
                ),
                (
                    "5: [listener:main] plain_networks = fe80::/10: has no network whose "
                    "addresses reach 127.0.0.1, so plain = networks admits nobody"
                ),
            ),
            (
                f"[listener:main]\nprotocol = plain\n[room:lobby]\n{KEY}",
                (
                    "2: [listener:main] protocol = plain: room lobby has an access_key, and plain "
                    "members need plain_with_key = yes"
                ),
            ),
            (
                f"[listener:main]\nprotocol = plain\n[room:*]\n{KEY}",
                (
                    "2: [listener:main] protocol = plain: room lobby has an access_key, and plain "
                    "members need plain_with_key = yes"
                ),
            ),
            (
                "[listener:main]\nprotocol = plain\n[room:lobby]\n[room:attic]\n",
                (
                    "4: [room:attic]: nobody can join: every listener has protocol = plain and "
                    "another room"
                ),
            ),
            (
                "[room:lobby]\nmember_rate = 0.5\n",
                (
                    "2: [room:lobby] member_rate = 0.5: must be at least 1 datagram per second; "
                    "0 is no limit"
                ),
            ),
            (
                "[room:*]\ncontrol_rate = 9.5\n",
                (
                    "2: [room:*] control_rate = 9.5: must be at least 10 datagrams per second, or "
                    "sessions time out; 0 is no limit"
                ),
            ),
            (
                "[room:lobby]\nmax_members = 2\ntargets = localhost:1, localhost:2\n",
                (
                    "2: [room:lobby] max_members = 2: targets and the console take all 2 places "
                    "of room lobby"
                ),
            ),
            (
                "[udprelay]\nmax_members = 2\n[room:lobby]\ntargets = localhost:1, localhost:2\n",
                (
                    "2: [udprelay] max_members = 2: targets and the console take all 2 places of "
                    "the relay"
                ),
            ),
        ],
    )
    def test_are_reported(
        self, mistakes: Callable[..., list[str]], text: str, problem: str
    ) -> None:
        assert mistakes(text) == [f"relay.ini:{problem}"]

    def test_of_rooms_that_share_their_cause_are_reported_once(
        self, mistakes: Callable[..., list[str]]
    ) -> None:
        text = "[room:*]\nmember_rate = 0.5\n[room:a]\n[room:b]\n"
        assert len(mistakes(text)) == 1

    def test_are_reported_beside_others(self, mistakes: Callable[..., list[str]]) -> None:
        text = """\
[udprelay]
colour = red
[listener:a]
port = x
[listener:b]
port = 7000
protocol = plain
plain = off
plain_networks = 10.0.0.1/8
[listener:c]
port = 7000
[room:lobby]
targets = b, localhost:1, localhost:1, localhost:7000
history = 1
history_on_join = 2
max_members = 2
[room:a]
history = x
"""
        assert [line.split(": ", 2)[1] for line in mistakes(text)] == [
            "[udprelay] colour = red",
            "[listener:a] port = x",
            "[listener:b] plain = off",
            "[listener:b] plain_networks = 10.0.0.1/8",
            "[listener:b] and [listener:c]",
            "[room:lobby] targets = b",
            "[room:lobby] targets = localhost:1, localhost:1",
            "[room:lobby] targets = localhost:7000",
            "[room:lobby] history_on_join = 2",
            "[room:lobby] max_members = 2",
            "[room:a] history = x",
        ]

    def test_are_reported_beside_invalid_defaults_of_all_rooms(
        self, mistakes: Callable[..., list[str]]
    ) -> None:
        text = "[room:*]\nhistory = x\n[room:a]\nhistory = 1\nhistory_on_join = 2\n"
        assert len(mistakes(text)) == 2

    def test_of_flags_are_reported_as_flags(self) -> None:
        with pytest.raises(ConfigError) as error:
            load(None, FLAGS | {"interface": "::ffff:127.0.0.1", "log-format": "x"})
        assert str(error.value).splitlines() == [
            ("--interface ::ffff:127.0.0.1: is an IPv4 address in IPv6 notation; write 127.0.0.1"),
            "--log-format x: must be one of text, json",
        ]

    def test_depend_on_flags(self, write: Callable[[str], str]) -> None:
        path = write("[listener:main]\nroom = nowhere\n[room:lobby]\ntargets = 127.0.0.1:7000\n")
        assert load(path, FLAGS | {"room": "lobby"})
        with pytest.raises(ConfigError, match=r"127\.0\.0\.1:7000: is the relay itself"):
            load(path, FLAGS | {"room": "lobby", "port": "7000"})


class TestCombinations:
    @pytest.mark.parametrize(
        "text",
        [
            "[listener:main]\nplain = off\n",
            "[listener:main]\nprotocol = plain\nplain = challenge\nplain_networks =\n",
            f"[listener:main]\nprotocol = plain\n[room:*]\n{KEY}plain_with_key = yes\n",
            f"[listener:main]\nprotocol = session\n[room:*]\n{KEY}",
            "[listener:main]\nprotocol = plain\n[listener:s]\nport = 7000\n[room:attic]\n",
            "[room:*]\nmember_rate = 1\n",
            f"[room:*]\nplain_with_key = yes\n[room:a]\n{KEY}[room:b]\n",
            "[room:lobby]\nmax_members = 2\ntargets = localhost:1\n",
        ],
    )
    def test_that_work_are_accepted(self, loaded: Callable[..., Config], text: str) -> None:
        assert loaded(text).warnings == ()

    def test_the_console_reaches_a_room_that_no_listener_leads_to(
        self, loaded: Callable[..., Config]
    ) -> None:
        text = "[listener:main]\nprotocol = plain\nroom = a\n[room:a]\n[room:lobby]\n"
        with pytest.raises(ConfigError):
            loaded(text)
        assert loaded(text, True)

    def test_the_console_takes_a_place(self, loaded: Callable[..., Config]) -> None:
        text = "[room:lobby]\nmax_members = 2\ntargets = localhost:1\n"
        assert loaded(text)
        with pytest.raises(ConfigError, match="take all 2 places"):
            loaded(text, True)


class TestWarnings:
    @pytest.mark.parametrize(
        ("text", "warning"),
        [
            (
                "[listener:main]\nplain = off\nplain_networks = 10.0.0.0/8\n",
                ("3: [listener:main] plain_networks = 10.0.0.0/8: has no effect with plain = off"),
            ),
            (
                "[listener:main]\nplain = any\nplain_networks = 10.0.0.0/8\n",
                ("3: [listener:main] plain_networks = 10.0.0.0/8: has no effect with plain = any"),
            ),
            (
                "[listener:main]\nplain = networks\nplain_networks =\n",
                (
                    "3: [listener:main] plain_networks = : has no network whose addresses reach "
                    "::, so plain = networks admits nobody"
                ),
            ),
            (
                "[listener:main]\nprotocol = session\nplain = any\n",
                "3: [listener:main] plain = any: has no effect with protocol = session",
            ),
            (
                "[listener:main]\nprotocol = session\nplain_networks =\n",
                "3: [listener:main] plain_networks = : has no effect with protocol = session",
            ),
            (
                "[udprelay]\nmax_members = 10\n[room:lobby]\nmax_members = 20\n",
                (
                    "4: [room:lobby] max_members = 20: [udprelay] max_members allows 10 in all "
                    "rooms together"
                ),
            ),
            (
                "[room:lobby]\nmax_members = 1\n",
                "2: [room:lobby] max_members = 1: nobody receives anything in a room of one",
            ),
            (
                "[limits]\nsession_rate = 0\n",
                (
                    "2: [limits] session_rate = 0: after session_burst (5000) a source gets no "
                    "answer until the relay restarts"
                ),
            ),
            (
                "[room:*]\nplain_with_key = yes\n",
                "2: [room:*] plain_with_key = yes: has no effect without access_key",
            ),
            (
                f"[room:a]\n{KEY}[room:b]\nplain_with_key = yes\n",
                "4: [room:b] plain_with_key = yes: has no effect without access_key",
            ),
        ],
    )
    def test_are_part_of_the_summary(
        self, loaded: Callable[..., Config], write: Callable[[str], str], text: str, warning: str
    ) -> None:
        config, path = loaded(text), write(text)
        assert config.summary().splitlines()[-1] == f"warning: {path}:{warning}"
        assert config.warnings == (f"{path}:{warning}",)

    def test_are_not_caused_by_defaults(self, loaded: Callable[..., Config]) -> None:
        text = "[udprelay]\nmax_members = 10\n[room:*]\nmax_members = 1000\n"
        assert loaded(text).warnings == ()
