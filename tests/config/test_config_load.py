"""From defaults, file and flags to one frozen value, or to everything that is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from attrs import evolve

from udprelay.config import Config, ConfigError, LogFormat, LogRules, console_room, load
from udprelay.config.options import SECTIONS as OPTIONS
from udprelay.config.quoting import is_secret
from udprelay.protocol.access_key import AccessKey
from udprelay.relay.rules import (
    Label,
    Limits,
    ListenerRules,
    PlainPolicy,
    Protocol,
    RelayRules,
    RoomRules,
)

FLAGS = {"port": None, "interface": None, "room": None, "log-format": None}


ACCESS_KEY = f"{'5a' * 16}:{'c3' * 32}"

# What is said to be valid.
NAME = "must be 1 to 64 letters, digits, '-', '_' and '.'"
SECTIONS = "there are udprelay, listener:NAME, room:NAME, limits, log"
ADDRESS = "must be an IP address, such as ::, 0.0.0.0 or 192.0.2.1"
DURATION = "must be a duration from 1s to 30d, such as 90s, 5m or 1h 30m"
SIZE = "must be a size from 0 to 1099511627776 bytes, such as 64 KiB"
KEY = "must be SALT:KEY, 32 and 64 hexadecimal digits, as udprelay-client --access-key prints it"
NETWORK = (
    "'10.0.0.1/8' is no network (10.0.0.1/8 has host bits set); "
    "write networks as 10.0.0.0/8, fd00::/8"
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Write a configuration file; return its path."""

    def write(text: str) -> str:
        path = tmp_path / "relay.ini"
        path.write_text(text, "utf-8")
        return str(path)

    return write


@pytest.fixture
def loaded(write: Callable[[str], str]) -> Callable[..., Config]:
    def loaded(text: str, console: bool = False, **flags: str) -> Config:
        given = {name.replace("_", "-"): value for name, value in flags.items()}
        return load(write(text), FLAGS | given, console)

    return loaded


@pytest.fixture
def mistakes(write: Callable[[str], str]) -> Callable[..., list[str]]:
    """Load a file that is wrong; return what is said, with the file called ``relay.ini``."""

    def mistakes(text: str, **flags: str) -> list[str]:
        path = write(text)
        with pytest.raises(ConfigError) as error:
            load(path, FLAGS | flags)
        return str(error.value).replace(path, "relay.ini").split("\n")

    return mistakes


class TestPrecedence:
    def test_with_nothing_given_there_are_the_defaults(self) -> None:
        assert load(None, FLAGS) == Config(
            rules=RelayRules(
                max_members=10_000,
                max_rooms=1000,
                open_rooms=True,
                listeners={
                    "main": ListenerRules(
                        interface="::",
                        port=6000,
                        room="lobby",
                        protocol=Protocol.AUTO,
                        plain=PlainPolicy.CHALLENGE,
                        plain_networks=tuple(
                            map(
                                ip_network,
                                (
                                    "127.0.0.0/8",
                                    "::1/128",
                                    "10.0.0.0/8",
                                    "172.16.0.0/12",
                                    "192.168.0.0/16",
                                    "169.254.0.0/16",
                                    "fc00::/7",
                                    "fe80::/10",
                                ),
                            )
                        ),
                    )
                },
                rooms={},
                room_defaults=RoomRules(
                    max_members=1000,
                    idle_timeout=300.0,
                    label=Label.NONE,
                    targets=(),
                    target_refresh=300.0,
                    access_key=None,
                    plain_with_key=False,
                    history=1024,
                    history_size=1024 * 1024,
                    history_age=120.0,
                    history_on_join=0,
                    session_timeout=45.0,
                    member_rate=0.0,
                    member_bandwidth=0,
                ),
                limits=Limits(
                    challenge_rate=1.0,
                    challenge_burst=10,
                    kick_time=300.0,
                    drop_window=10.0,
                    session_rate=100.0,
                    session_burst=200,
                    proof_rate=1.0,
                    proof_burst=10,
                    repair_rate=256 * 1024,
                ),
                log_payloads=False,
            ),
            log=LogRules(
                format=LogFormat.TEXT,
                payloads=False,
                file="",
                rotate_size=10 * 1024 * 1024,
                rotate_keep=5,
            ),
            console=False,
            exposed="",
        )

    def test_an_empty_file_changes_none_of_them(self, loaded: Callable[..., Config]) -> None:
        assert loaded("") == load(None, FLAGS) == Config()

    def test_the_file_overrides_every_default(self, loaded: Callable[..., Config]) -> None:
        text = (
            """
            [udprelay]
            max_members = 5
            max_rooms = 6
            open_rooms = no
            [listener:main]
            interface = 127.0.0.1
            port = 7000
            room = kitchen
            protocol = plain
            plain = networks
            plain_networks = 192.0.2.0/24, 2001:db8::/32
            [room:kitchen]
            max_members = 4
            idle_timeout = 1m
            label = nick
            targets = 192.0.2.7:2055, [2001:db8::7]:2055
            target_refresh = 1h
            access_key = 000102030405060708090A0b0c0d0e0f:%s
            plain_with_key = yes
            history = 10
            history_size = 64 KiB
            history_age = 10s
            history_on_join = 9
            session_timeout = 1m
            member_rate = 2.5
            member_bandwidth = 8 KiB
            [limits]
            challenge_rate = 0.5
            challenge_burst = 3
            kick_time = 0
            drop_window = 1m
            session_rate = 10
            session_burst = 20
            proof_rate = 0.1
            proof_burst = 2
            repair_rate = 1 MiB
            [log]
            format = json
            payloads = yes
            file = /var/log/udprelay.log
            rotate_size = 1 MiB
            rotate_keep = 2
            """.replace("            ", "")
            % ("ef" * 32)
        )
        config = loaded(text)
        assert evolve(config, exposed="") == Config(
            rules=RelayRules(
                max_members=5,
                max_rooms=6,
                open_rooms=False,
                listeners={
                    "main": ListenerRules(
                        interface="127.0.0.1",
                        port=7000,
                        room="kitchen",
                        protocol=Protocol.PLAIN,
                        plain=PlainPolicy.NETWORKS,
                        plain_networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
                    )
                },
                rooms={
                    "kitchen": RoomRules(
                        max_members=4,
                        idle_timeout=60.0,
                        label=Label.NICK,
                        targets=(("192.0.2.7", 2055), ("2001:db8::7", 2055)),
                        target_refresh=3600.0,
                        access_key=AccessKey(bytes(range(16)), b"\xef" * 32),
                        plain_with_key=True,
                        history=10,
                        history_size=65_536,
                        history_age=10.0,
                        history_on_join=9,
                        session_timeout=60.0,
                        member_rate=2.5,
                        member_bandwidth=8192,
                    )
                },
                limits=Limits(
                    challenge_rate=0.5,
                    challenge_burst=3,
                    kick_time=0.0,
                    drop_window=60.0,
                    session_rate=10.0,
                    session_burst=20,
                    proof_rate=0.1,
                    proof_burst=2,
                    repair_rate=1024**2,
                ),
                log_payloads=True,
            ),
            log=LogRules(
                format=LogFormat.JSON,
                payloads=True,
                file="/var/log/udprelay.log",
                rotate_size=1024**2,
                rotate_keep=2,
            ),
        )

    def test_flags_override_the_file(self, loaded: Callable[..., Config]) -> None:
        text = "[listener:main]\ninterface = ::1\nport = 7000\nplain = any\n[log]\nformat = text"
        config = loaded(
            text, True, interface="127.0.0.1", port="0", room="cellar", log_format="json"
        )
        main = ListenerRules("127.0.0.1", 0, "cellar", plain=PlainPolicy.ANY)
        assert config == Config(
            RelayRules(listeners={"main": main}), LogRules(format=LogFormat.JSON), console=True
        )

    def test_a_flag_overrides_what_it_names_and_nothing_else(
        self, loaded: Callable[..., Config]
    ) -> None:
        text = "[listener:main]\ninterface = ::1\nport = 7000\n"
        before = loaded(text).rules.listeners["main"]
        assert loaded(text, port="7001").rules.listeners["main"] == evolve(before, port=7001)

    def test_flags_without_a_file_change_the_defaults(self) -> None:
        config = load(None, FLAGS | {"port": "7000"})
        assert config == Config(RelayRules(listeners={"main": ListenerRules(port=7000)}))

    def test_flags_make_the_listener_main_if_the_file_has_none(
        self, loaded: Callable[..., Config]
    ) -> None:
        listeners = loaded("[listener:lan]\nport = 7000\n", port="7001").rules.listeners
        assert {name: rules.port for name, rules in listeners.items()} == {
            "lan": 7000,
            "main": 7001,
        }

    def test_the_listeners_of_the_file_are_all_there_are(
        self, loaded: Callable[..., Config]
    ) -> None:
        assert set(loaded("[listener:lan]\n[listener:wan]\nport=1\n").rules.listeners) == {
            "lan",
            "wan",
        }


class TestRooms:
    def test_what_a_room_does_not_say_is_as_for_all_rooms(
        self, loaded: Callable[..., Config]
    ) -> None:
        rules = loaded(
            "[room:a]\nmax_members = 5\n"
            "[room:*]\nmax_members = 7\nidle_timeout = 10s\n"
            "[room:b]\nlabel = nick\n"
        ).rules
        assert rules.room("a") == RoomRules(max_members=5, idle_timeout=10.0)
        assert rules.room("b") == RoomRules(max_members=7, idle_timeout=10.0, label=Label.NICK)
        assert rules.room("lobby") == RoomRules(max_members=7, idle_timeout=10.0)

    def test_the_section_for_all_rooms_is_no_room(self, loaded: Callable[..., Config]) -> None:
        assert loaded("[room:*]\nmax_members = 7\n").rules.rooms == {}

    def test_the_lobby_needs_no_section(self, loaded: Callable[..., Config]) -> None:
        assert loaded("[listener:main]\nroom = lobby\n").rules.rooms == {}

    def test_nor_does_the_room_of_a_flag(self, loaded: Callable[..., Config]) -> None:
        assert loaded("", room="anywhere").rules.listeners["main"].room == "anywhere"


class TestMistakes:
    def test_all_are_reported_at_once_each_with_its_place_and_what_would_be_valid(
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
            "relay.ini:1: 'port = 1': stands before the first [section]",
            "relay.ini:3: [udprelay] max_membres = 5: unknown option; did you mean max_members?",
            "relay.ini:4: [lisener:main]: unknown section; did you mean listener:NAME?",
            "relay.ini:7: [listener:main] port = 70000: must be a whole number from 0 to 65535",
            f"relay.ini:8: [listener:main] interface = eth0: {ADDRESS}",
            (
                "relay.ini:9: [listener:main] room = kichen: there is no section [room:kichen]; "
                "did you mean kitchen?"
            ),
            "relay.ini:11: [listener:main] plain: the option stands already on line 10",
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
            "relay.ini:22: 'level': is neither a [section] nor 'option = value'",
            f"relay.ini:23: [colours]: unknown section; {SECTIONS}",
        ]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (
                "[udprelay]\ncolour = red",
                (
                    "relay.ini:2: [udprelay] colour = red: unknown option; "
                    "there are max_members, max_rooms, open_rooms"
                ),
            ),
            (
                "[Log]",
                "relay.ini:1: [Log]: unknown section; did you mean log?",
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
                "relay.ini:2: [listener:main] room = nowhere: there is no section [room:nowhere]",
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
    def test_each_is_one_line(
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
    def test_flags_are_read_as_strictly(self, flag: str, value: str, problem: str) -> None:
        with pytest.raises(ConfigError) as error:
            load(None, FLAGS | {flag: value})
        assert str(error.value) == problem

    def test_of_an_option_given_twice_the_wrong_value_has_its_own_line(
        self, mistakes: Callable[..., list[str]]
    ) -> None:
        assert [line.split(": ")[0] for line in mistakes("[log]\nformat = text\nformat = x")] == [
            "relay.ini:3",
            "relay.ini:3",
        ]

    def test_listeners_that_cannot_both_be_bound_are_named(
        self, mistakes: Callable[..., list[str]]
    ) -> None:
        assert mistakes("[listener:a]\n[listener:b]\ninterface = 127.0.0.1\n") == [
            "relay.ini:2: [listener:a] and [listener:b]: both want port 6000 of 127.0.0.1 and ::"
        ]

    def test_also_when_one_is_made_by_flags(self, mistakes: Callable[..., list[str]]) -> None:
        assert mistakes("[listener:a]\nport = 7000\n", port="7000") == [
            "relay.ini: [listener:a] and [listener:main]: both want port 7000 of ::"
        ]


class TestFile:
    def test_a_byte_order_mark_is_no_content(self, write: Callable[[str], str]) -> None:
        path = write("\ufeff[udprelay]\nmax_members = 5\n")
        assert load(path, FLAGS).rules.max_members == 5

    def test_lines_may_end_as_on_windows(self, tmp_path: Path) -> None:
        path = tmp_path / "relay.ini"
        path.write_bytes(b"[udprelay]\r\nmax_members = 5\r\n")
        assert load(str(path), FLAGS).rules.max_members == 5

    def test_text_that_is_not_utf8_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "relay.ini"
        path.write_bytes(b"[room:K\xfcche]\n")
        with pytest.raises(ConfigError, match=r"relay.ini: is not UTF-8 text \(byte 7\)"):
            load(str(path), FLAGS)

    @pytest.mark.parametrize(
        ("name", "why"),
        [("missing.ini", "No such file or directory"), (".", "Is a directory")],
    )
    def test_one_that_cannot_be_read_is_named_with_the_reason(
        self, tmp_path: Path, name: str, why: str
    ) -> None:
        path = str(tmp_path / name)
        with pytest.raises(ConfigError) as error:
            load(path, FLAGS)
        assert str(error.value) == f"{path}: cannot be read: {why}"

    def test_flags_are_checked_even_then(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as error:
            load(str(tmp_path / "missing.ini"), FLAGS | {"port": "x"})
        assert len(error.value.problems) == 2


class TestSummary:
    def test_of_the_defaults(self) -> None:
        assert Config().summary().splitlines() == [
            "listener main: [::]:6000, room lobby, protocol auto, plain challenge",
            "room lobby: at most 1000 members, idle after 5m",
            "log: text, standard output",
        ]

    def test_of_all_that_is_configured(self, loaded: Callable[..., Config]) -> None:
        text = """\
[listener:lan]
interface = 192.0.2.1
room = kitchen
plain = any
[room:kitchen]
targets = 192.0.2.7:2055, [2001:db8::7]:1
[room:attic]
idle_timeout = 90
[log]
format = json
file = relay.log
"""
        assert loaded(text, True).summary().splitlines() == [
            "listener lan: 192.0.2.1:6000, room kitchen, protocol auto, plain any",
            "room attic: at most 1000 members, idle after 90s (no listener leads here)",
            (
                "room kitchen: at most 1000 members, idle after 5m, target 192.0.2.7:2055, "
                "target [2001:db8::7]:1"
            ),
            "log: json, relay.log",
            "console: room kitchen",
        ]

    def test_a_listener_for_sessions_alone_has_no_policy_for_plain_members(
        self, loaded: Callable[..., Config]
    ) -> None:
        summary = loaded("[listener:main]\nprotocol = session\n").summary()
        assert summary.splitlines()[0] == (
            "listener main: [::]:6000, room lobby, protocol session"
        )

    def test_tells_which_rooms_need_a_passphrase(self, loaded: Callable[..., Config]) -> None:
        text = f"""\
[room:attic]
access_key = {ACCESS_KEY}
[room:cellar]
access_key = {ACCESS_KEY}
plain_with_key = yes
targets = 192.0.2.7:1
"""
        assert loaded(text).summary().splitlines()[1:4] == [
            (
                "room attic: at most 1000 members, idle after 5m, needs a passphrase "
                "(no listener leads here)"
            ),
            (
                "room cellar: at most 1000 members, idle after 5m, needs a passphrase "
                "(plain members do not), target 192.0.2.7:1 (no listener leads here)"
            ),
            "room lobby: at most 1000 members, idle after 5m",
        ]


class TestHistoryOnJoin:
    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (
                "[room:a]\nhistory_on_join = 1025",
                "relay.ini:2: [room:a] history_on_join = 1025: is more than history = 1024",
            ),
            (
                "[room:*]\nhistory = 10\nhistory_on_join = 11\n[room:a]\nlabel = nick",
                "relay.ini:3: [room:*] history_on_join = 11: is more than history = 10",
            ),
            (
                "[room:*]\nhistory_on_join = 11\n[room:a]\nhistory = 10",
                "relay.ini:4: [room:a] history_on_join = 11: is more than history = 10",
            ),
        ],
    )
    def test_can_not_be_more_than_is_kept(
        self, mistakes: Callable[..., list[str]], text: str, problem: str
    ) -> None:
        assert mistakes(text) == [problem]

    def test_can_be_all_that_is_kept(self, loaded: Callable[..., Config]) -> None:
        rules = loaded("[room:a]\nhistory_on_join = 1024").rules
        assert rules.room("a").history_on_join == 1024

    @pytest.mark.parametrize(
        "text",
        [
            "[room:a]\nhistory_on_join = 2000\nhistory = 1e6",
            "[room:*]\nhistory = 1e6\n[room:a]\nhistory_on_join = 2000",
        ],
    )
    def test_is_compared_with_what_was_written(
        self, mistakes: Callable[..., list[str]], text: str
    ) -> None:
        (problem,) = mistakes(text)
        assert "history = 1e6: must be a whole number" in problem


class TestSecrets:
    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (
                "[room:a]\naccess_key = hunter2 hunter2",
                f"relay.ini:2: [room:a] access_key: {KEY}",
            ),
            (
                "[room:a]\naccess_key =\n  hunter2\n  hunter2",
                f"relay.ini:2: [room:a] access_key: {KEY}",
            ),
            (
                "[room:a]\nacces_key = hunter2",
                "relay.ini:2: [room:a] acces_key: unknown option; did you mean access_key?",
            ),
            (
                "[log]\npassphrase = hunter2",
                (
                    "relay.ini:2: [log] passphrase: unknown option; there are format, payloads, "
                    "file, rotate_size, rotate_keep, statistics"
                ),
            ),
            (
                "[room:a]\nlabel =\n  access_key = hunter2\n  hunter2",
                r"relay.ini:2: [room:a] label = \naccess_key...: must be one of none, nick",
            ),
            (
                f"[log]\npayloads = {'7e' * 16}",
                "relay.ini:2: [log] payloads = ...: must be yes or no",
            ),
            (
                f"[room:a]\ntargets =\n  access_key = {ACCESS_KEY}",
                r"relay.ini:2: [room:a] targets = \naccess_key...: 'access_key...",
            ),
            (
                "[room:a]\naccess_key hunter2",
                "relay.ini:2: 'access_key...': is neither a [section] nor 'option = value'",
            ),
            (
                "access_key = hunter2\n[room:a]",
                "relay.ini:1: 'access_key...': stands before the first [section]",
            ),
            (
                "[room:a]\naccess_key = hunter2\naccess_key =",
                "relay.ini:3: [room:a] access_key: the option stands already on line 2",
            ),
        ],
    )
    def test_are_not_in_what_is_said_of_a_mistake(
        self, mistakes: Callable[..., list[str]], text: str, problem: str
    ) -> None:
        assert mistakes(text) == [problem]

    def test_no_other_option_is_taken_for_one(self) -> None:
        options = {option for readers in OPTIONS.values() for option in readers}
        assert {option for option in options if is_secret(option)} == {"access_key"}

    def test_are_neither_in_the_summary_nor_in_what_python_shows(
        self, loaded: Callable[..., Config]
    ) -> None:
        config = loaded(f"[room:a]\naccess_key = {ACCESS_KEY}")
        for text in (config.summary(), repr(config)):
            assert not set(ACCESS_KEY.split(":")) & set(re.findall("[0-9a-f]+", text))

    def test_an_empty_access_key_is_none(self, loaded: Callable[..., Config]) -> None:
        text = f"[room:*]\naccess_key = {ACCESS_KEY}\n[room:a]\naccess_key =\n[room:b]\n"
        rules = loaded(text).rules
        assert rules.room("a").access_key is None
        assert rules.room("b").access_key == AccessKey.parse(ACCESS_KEY)

    @pytest.mark.parametrize("section", ["room:*", "room:a"])
    def test_in_a_file_that_every_user_can_read_are_warned_of(
        self, write: Callable[[str], str], section: str
    ) -> None:
        path = write(f"[{section}]\naccess_key = {ACCESS_KEY}")
        Path(path).chmod(0o644)
        config = load(path, FLAGS)
        assert config.exposed == path
        assert config.summary().splitlines()[-1] == (
            f"warning: {path} has access keys, and every user of this machine can read it"
        )

    @pytest.mark.parametrize(
        ("text", "mode"),
        [(f"[room:a]\naccess_key = {ACCESS_KEY}", 0o640), ("[room:a]\naccess_key =", 0o644)],
    )
    def test_that_are_none_or_hidden_are_not(
        self, write: Callable[[str], str], text: str, mode: int
    ) -> None:
        path = write(text)
        Path(path).chmod(mode)
        assert load(path, FLAGS).exposed == ""


def test_the_console_is_in_the_room_of_main_or_of_the_first_listener() -> None:
    lan, main = ListenerRules(room="kitchen"), ListenerRules(room="cellar")
    assert console_room(RelayRules(listeners={"lan": lan, "main": main})) == "cellar"
    assert console_room(RelayRules(listeners={"lan": lan})) == "kitchen"
