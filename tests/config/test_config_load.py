"""Defaults, the file and flags become one frozen value."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from attrs import evolve
from config_files import FLAGS

from udprelay.config import Config, ConfigError, LogFormat, LogRules, console_room, load
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


class TestPrecedence:
    def test_without_file_and_flags_there_are_the_defaults(self) -> None:
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
                        plain_networks=("local",),
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
                    member_rate=10_000.0,
                    member_bandwidth=16 * 1024**2,
                    member_output=64 * 1024**2,
                    room_output=384 * 1024**2,
                    control_rate=200.0,
                ),
                limits=Limits(
                    challenge_rate=100.0,
                    challenge_burst=200,
                    kick_time=300.0,
                    drop_window=10.0,
                    session_rate=5000.0,
                    session_burst=5000,
                    proof_rate=1.0,
                    proof_burst=10,
                    output=512 * 1024**2,
                    exempt_networks=(),
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

    def test_an_empty_file_changes_no_default(self, loaded: Callable[..., Config]) -> None:
        assert loaded("") == load(None, FLAGS) == Config()

    def test_the_file_overrides_every_default(
        self, loaded: Callable[..., Config], tmp_path: Path
    ) -> None:
        text = (
            """
            [udprelay]
            max_members = 5
            max_rooms = 6
            open_rooms = no
            [listener:main]
            interface = 0.0.0.0
            port = 7000
            room = kitchen
            protocol = plain
            plain = networks
            plain_networks = 192.0.2.0/24, 2001:db8::/32
            [room:kitchen]
            max_members = 4
            idle_timeout = 1m
            label = nick
            targets = 192.0.2.7:2055, collector.example:2055
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
            member_output = 1 MiB
            room_output = 2 MiB
            control_rate = 10
            [limits]
            challenge_rate = 0.5
            challenge_burst = 3
            kick_time = 0
            drop_window = 1m
            session_rate = 10
            session_burst = 20
            proof_rate = 0.1
            proof_burst = 2
            output = 3 MiB
            exempt_networks = 192.0.2.0/24
            repair_rate = 1 MiB
            [log]
            format = json
            payloads = yes
            file = %s
            rotate_size = 1 MiB
            rotate_keep = 2
            """.replace("            ", "")
            % ("ef" * 32, tmp_path / "udprelay.log")
        )
        config = loaded(text)
        assert evolve(config, exposed="") == Config(
            rules=RelayRules(
                max_members=5,
                max_rooms=6,
                open_rooms=False,
                listeners={
                    "main": ListenerRules(
                        interface="0.0.0.0",
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
                        targets=(("192.0.2.7", 2055), ("collector.example", 2055)),
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
                        member_output=1024**2,
                        room_output=2 * 1024**2,
                        control_rate=10.0,
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
                    output=3 * 1024**2,
                    exempt_networks=(ip_network("192.0.2.0/24"),),
                    repair_rate=1024**2,
                ),
                log_payloads=True,
            ),
            log=LogRules(
                format=LogFormat.JSON,
                payloads=True,
                file=str(tmp_path / "udprelay.log"),
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

    def test_a_flag_overrides_one_option(self, loaded: Callable[..., Config]) -> None:
        text = "[listener:main]\ninterface = ::1\nport = 7000\n"
        before = loaded(text).rules.listeners["main"]
        assert loaded(text, port="7001").rules.listeners["main"] == evolve(before, port=7001)

    def test_flags_override_the_defaults(self) -> None:
        config = load(None, FLAGS | {"port": "7000"})
        assert config == Config(RelayRules(listeners={"main": ListenerRules(port=7000)}))

    def test_flags_add_the_listener_main(self, loaded: Callable[..., Config]) -> None:
        listeners = loaded("[listener:lan]\nport = 7000\n", port="7001").rules.listeners
        assert {name: rules.port for name, rules in listeners.items()} == {
            "lan": 7000,
            "main": 7001,
        }

    def test_listeners_of_the_file_replace_the_default_one(
        self, loaded: Callable[..., Config]
    ) -> None:
        assert set(loaded("[listener:lan]\n[listener:wan]\nport=1\n").rules.listeners) == {
            "lan",
            "wan",
        }


class TestRooms:
    def test_rooms_inherit_from_the_section_for_all_rooms(
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

    def test_the_section_for_all_rooms_is_not_a_room(self, loaded: Callable[..., Config]) -> None:
        assert loaded("[room:*]\nmax_members = 7\n").rules.rooms == {}

    def test_the_lobby_needs_no_section(self, loaded: Callable[..., Config]) -> None:
        assert loaded("[listener:main]\nroom = lobby\n").rules.rooms == {}

    def test_the_room_of_a_flag_needs_no_section(self, loaded: Callable[..., Config]) -> None:
        assert loaded("", room="anywhere").rules.listeners["main"].room == "anywhere"


class TestFile:
    def test_a_byte_order_mark_is_ignored(self, write: Callable[[str], str]) -> None:
        path = write("\ufeff[udprelay]\nmax_members = 5\n")
        assert load(path, FLAGS).rules.max_members == 5

    def test_lines_may_end_with_carriage_return_and_line_feed(self, tmp_path: Path) -> None:
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
    def test_a_file_that_cannot_be_read_is_reported_with_the_reason(
        self, tmp_path: Path, name: str, why: str
    ) -> None:
        path = str(tmp_path / name)
        with pytest.raises(ConfigError) as error:
            load(path, FLAGS)
        assert str(error.value) == f"{path}: cannot be read: {why}"

    def test_flags_are_checked_if_the_file_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as error:
            load(str(tmp_path / "missing.ini"), FLAGS | {"port": "x"})
        assert len(error.value.problems) == 2


def test_the_console_is_in_the_room_of_main_or_of_the_first_listener() -> None:
    lan, main = ListenerRules(room="kitchen"), ListenerRules(room="cellar")
    assert console_room(RelayRules(listeners={"lan": lan, "main": main})) == "cellar"
    assert console_room(RelayRules(listeners={"lan": lan})) == "kitchen"


class TestLists:
    def test_items_are_separated_by_commas_spaces_and_line_breaks(
        self, loaded: Callable[..., Config]
    ) -> None:
        text = (
            "[room:a]\ntargets = 192.0.2.7:1, b.example:2\n  # one more\n\n  [2001:db8::7]:3 c:4\n"
        )
        assert loaded(text).rules.room("a").targets == (
            ("192.0.2.7", 1),
            ("b.example", 2),
            ("2001:db8::7", 3),
            ("c", 4),
        )

    def test_may_be_empty(self, loaded: Callable[..., Config]) -> None:
        rules = loaded("[listener:main]\nplain_networks =\n[room:lobby]\ntargets =\n").rules
        assert rules.listeners["main"].plain_networks == ()
        assert rules.room("lobby").targets == ()
