"""All mistakes are reported at once, each with its place and what is valid."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from config_files import FLAGS

from udprelay.config import Config, ConfigError, load

# What messages say is valid.
NAME = "must be 1 to 64 letters, digits, '-', '_' and '.'"
SECTIONS = "valid are udprelay, listener:NAME, room:NAME, limits, log"
ADDRESS = "must be an IP address, such as ::, 0.0.0.0 or 192.0.2.1"
DURATION = "must be a duration from 1s to 30d, such as 90s, 5m or 1h 30m"
SIZE = "must be a size from 0 to 1099511627776 bytes, such as 64 KiB"
NETWORK = (
    "'10.0.0.1/8' is not a network (10.0.0.1/8 has host bits set); "
    "write networks as 10.0.0.0/8, fd00::/8, or local"
)


class TestMistakes:
    def test_all_are_reported_at_once_with_their_lines_and_what_is_valid(
        self, mistakes: Callable[..., list[str]]
    ) -> None:
        text = """\
port = 1
[udprelay]
max_membres = 5
[lisener:main]
port = 1
[listener:main]
port = 70000
interface = eth0
room = kichen
plain = maybe
plain = any
plain_networks = 10.0.0.1/8
[room:kitchen]
idle_timeout = 5 minutes
targets = collector.example
[room:a b]
[limits]
challenge_rate = fast
[log]
payloads = perhaps
rotate_size = 10 bananas
level
[colours]
"""
        assert mistakes(text, port="http") == [
            "--port http: must be a whole number from 0 to 65535",
            "relay.ini:1: 'port = 1': no [section] before this line",
            "relay.ini:3: [udprelay] max_membres = 5: unknown option; did you mean max_members?",
            "relay.ini:4: [lisener:main]: unknown section; did you mean listener:NAME?",
            "relay.ini:7: [listener:main] port = 70000: must be a whole number from 0 to 65535",
            f"relay.ini:8: [listener:main] interface = eth0: {ADDRESS}",
            (
                "relay.ini:9: [listener:main] room = kichen: section [room:kichen] is missing; "
                "did you mean kitchen?"
            ),
            "relay.ini:11: [listener:main] plain: duplicate option (first on line 10)",
            f"relay.ini:12: [listener:main] plain_networks = 10.0.0.1/8: {NETWORK}",
            f"relay.ini:14: [room:kitchen] idle_timeout = 5 minutes: {DURATION}",
            (
                "relay.ini:15: [room:kitchen] targets = collector.example: "
                "'collector.example' has no port"
            ),
            f"relay.ini:16: [room:a b]: the name {NAME}",
            "relay.ini:18: [limits] challenge_rate = fast: must be a number from 0 to 10000",
            "relay.ini:20: [log] payloads = perhaps: must be yes or no",
            f"relay.ini:21: [log] rotate_size = 10 bananas: {SIZE}",
            "relay.ini:22: 'level': neither a [section] nor 'option = value'",
            f"relay.ini:23: [colours]: unknown section; {SECTIONS}",
        ]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (
                "[udprelay]\ncolour = red",
                (
                    "relay.ini:2: [udprelay] colour = red: unknown option; "
                    "valid are max_members, max_rooms, open_rooms"
                ),
            ),
            (
                "[room:a]\nport = 1",
                (
                    "relay.ini:2: [room:a] port = 1: unknown option here; "
                    "it belongs in [listener:NAME]"
                ),
            ),
            (
                "[listener:a]\nmax_members = 1",
                (
                    "relay.ini:2: [listener:a] max_members = 1: unknown option here; "
                    "it belongs in [udprelay] or [room:NAME]"
                ),
            ),
            (
                "[Log]",
                "relay.ini:1: [Log]: unknown section; did you mean log?",
            ),
            (
                "[colours]\nred = yes",
                f"relay.ini:1: [colours]: unknown section; {SECTIONS}",
            ),
            (
                "[DEFAULT]",
                f"relay.ini:1: [DEFAULT]: unknown section; {SECTIONS}",
            ),
            (
                "[listener]",
                "relay.ini:1: [listener]: unknown section; did you mean listener:NAME?",
            ),
            (
                "[log:main]",
                f"relay.ini:1: [log:main]: unknown section; {SECTIONS}",
            ),
            (
                "[listener:]",
                f"relay.ini:1: [listener:]: the name {NAME}",
            ),
            (
                "[listener:*]",
                f"relay.ini:1: [listener:*]: the name {NAME}",
            ),
            (
                "[listener:main]\nroom = nowhere",
                "relay.ini:2: [listener:main] room = nowhere: section [room:nowhere] is missing",
            ),
            (
                "[listener:main]\nroom = a b",
                f"relay.ini:2: [listener:main] room = a b: {NAME}",
            ),
            (
                "[log]\nrotate_keep = 0",
                "relay.ini:2: [log] rotate_keep = 0: must be a whole number from 1 to 1000",
            ),
            (
                "[log]\nformat = xml",
                "relay.ini:2: [log] format = xml: must be one of text, json",
            ),
            (
                "[log]\nfile = a\nformat =\n  text\n  json",
                r"relay.ini:3: [log] format = \ntext\njson: must be one of text, json",
            ),
        ],
    )
    def test_each_is_reported_on_one_line(
        self, mistakes: Callable[..., list[str]], text: str, problem: str
    ) -> None:
        assert mistakes(text) == [problem]

    @pytest.mark.parametrize(
        ("flag", "value", "problem"),
        [
            ("port", "x", "--port x: must be a whole number from 0 to 65535"),
            ("interface", "lo", f"--interface lo: {ADDRESS}"),
            ("room", "", f"--room : {NAME}"),
            ("log-format", "xml", "--log-format xml: must be one of text, json"),
        ],
    )
    def test_invalid_flags_are_reported(self, flag: str, value: str, problem: str) -> None:
        with pytest.raises(ConfigError) as error:
            load(None, FLAGS | {flag: value})
        assert str(error.value) == problem

    def test_a_duplicate_option_with_an_invalid_value_is_two_mistakes(
        self, mistakes: Callable[..., list[str]]
    ) -> None:
        assert [line.split(": ")[0] for line in mistakes("[log]\nformat = text\nformat = x")] == [
            "relay.ini:3",
            "relay.ini:3",
        ]

    def test_listeners_that_cannot_both_be_bound_are_reported(
        self, mistakes: Callable[..., list[str]]
    ) -> None:
        assert mistakes("[listener:a]\n[listener:b]\ninterface = 127.0.0.1\n") == [
            "relay.ini:2: [listener:a] and [listener:b]: both bind port 6000 of 127.0.0.1 and ::"
        ]

    def test_a_listener_of_flags_may_overlap_with_one_of_the_file(
        self, mistakes: Callable[..., list[str]]
    ) -> None:
        assert mistakes("[listener:a]\nport = 7000\n", port="7000") == [
            "relay.ini: [listener:a] and [listener:main]: both bind port 7000 of ::"
        ]


class TestHistoryOnJoin:
    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (
                "[room:a]\nhistory_on_join = 1025",
                (
                    "relay.ini:2: [room:a] history_on_join = 1025: "
                    "history_on_join (1025) is more than history (1024)"
                ),
            ),
            (
                "[room:*]\nhistory = 10\nhistory_on_join = 11\n[room:a]\nlabel = nick",
                (
                    "relay.ini:3: [room:*] history_on_join = 11: "
                    "history_on_join (11) is more than history (10)"
                ),
            ),
            (
                "[room:*]\nhistory_on_join = 11\n[room:a]\nhistory = 10",
                (
                    "relay.ini:4: [room:a] history = 10: "
                    "history_on_join (11) is more than history (10)"
                ),
            ),
        ],
    )
    def test_is_at_most_the_history(
        self, mistakes: Callable[..., list[str]], text: str, problem: str
    ) -> None:
        assert mistakes(text) == [problem]

    def test_may_be_the_whole_history(self, loaded: Callable[..., Config]) -> None:
        rules = loaded("[room:a]\nhistory_on_join = 1024").rules
        assert rules.room("a").history_on_join == 1024

    @pytest.mark.parametrize(
        "text",
        [
            "[room:a]\nhistory_on_join = 2000\nhistory = 1e6",
            "[room:*]\nhistory = 1e6\n[room:a]\nhistory_on_join = 2000",
        ],
    )
    def test_is_not_compared_with_the_default_for_an_invalid_value(
        self, mistakes: Callable[..., list[str]], text: str
    ) -> None:
        (problem,) = mistakes(text)
        assert "history = 1e6: must be a whole number" in problem


class TestOverlap:
    @pytest.mark.parametrize(
        ("first", "second", "overlap"),
        [
            ("::", "::", True),
            ("::", "0.0.0.0", True),
            ("::", "127.0.0.1", True),
            ("::", "::1", True),
            ("0.0.0.0", "0.0.0.0", True),
            ("0.0.0.0", "127.0.0.1", True),
            ("0.0.0.0", "::1", False),
            ("127.0.0.1", "127.0.0.1", True),
            ("127.0.0.1", "127.0.0.2", False),
            ("127.0.0.1", "::1", False),
            ("::1", "2001:db8::1", False),
        ],
    )
    def test_two_interfaces_on_one_port(
        self, mistakes: Callable[..., list[str]], first: str, second: str, overlap: bool
    ) -> None:
        # The unknown section makes every file invalid.
        for a, b in ((first, second), (second, first)):
            text = f"[x]\n[listener:a]\ninterface = {a}\n[listener:b]\ninterface = {b}\n"
            assert sum("both bind port 6000" in line for line in mistakes(text)) == overlap

    @pytest.mark.parametrize("ports", [(1, 2), (0, 0)])
    def test_other_ports_and_free_ports_do_not_overlap(
        self, loaded: Callable[..., Config], ports: tuple[int, int]
    ) -> None:
        a, b = ports
        assert loaded(f"[listener:a]\nport = {a}\n[listener:b]\nport = {b}\n")

    def test_each_pair_is_reported(self, mistakes: Callable[..., list[str]]) -> None:
        assert [
            line.split(": ")[1] for line in mistakes("[listener:a]\n[listener:b]\n[listener:c]")
        ] == [
            "[listener:a] and [listener:b]",
            "[listener:a] and [listener:c]",
            "[listener:b] and [listener:c]",
        ]


def test_values_in_a_section_with_a_misspelt_name_are_checked(
    mistakes: Callable[..., list[str]],
) -> None:
    assert mistakes("[lisener:main]\nport = x\ncolour = red\n") == [
        "relay.ini:1: [lisener:main]: unknown section; did you mean listener:NAME?",
        "relay.ini:2: [lisener:main] port = x: must be a whole number from 0 to 65535",
    ]


def test_long_values_are_cut(mistakes: Callable[..., list[str]]) -> None:
    (problem,) = mistakes(f"[log]\nformat = {'x' * 1000}")
    assert problem == f"relay.ini:2: [log] format = {'x' * 300}...: must be one of text, json"


class TestLists:
    def test_every_invalid_item_is_reported_with_its_line(
        self, mistakes: Callable[..., list[str]]
    ) -> None:
        text = "[room:a]\ntargets = a:1, b,\n  # comment\n\n  c:0\n  d:4 e:x\n"
        assert mistakes(text) == [
            "relay.ini:2: [room:a] targets = b: 'b' has no port",
            "relay.ini:5: [room:a] targets = c:0: '0' is not a port (1 to 65535)",
            "relay.ini:6: [room:a] targets = e:x: 'x' is not a port (1 to 65535)",
        ]
