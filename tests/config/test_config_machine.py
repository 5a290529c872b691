"""What cannot work on this machine, and what does not work now."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from config_files import FLAGS

from udprelay.config import Config, ConfigError, load

Names = dict[str, list[str] | None]
ROOM = "[room:lobby]\ntargets ="

needs_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every file")


class TestInterfaces:
    @pytest.mark.parametrize(
        ("interface", "why"),
        [
            ("::ffff:127.0.0.1", "is an IPv4 address in IPv6 notation; write 127.0.0.1"),
            ("::ffff:0.0.0.0", "is an IPv4 address in IPv6 notation; write 0.0.0.0"),
            ("224.0.0.1", "must be an address of this machine, not of a group of machines"),
            ("ff02::1%lo", "must be an address of this machine, not of a group of machines"),
            ("255.255.255.255", "must be an address of this machine, not of a group of machines"),
            ("127.255.255.255", "is a broadcast address, not one of this machine"),
            ("fe80::1", "needs the name of its network interface, as in fe80::1%eth0"),
            ("::1%lo", "must have no %: only link-local addresses belong to one interface"),
            ("::%lo", "must have no %: only link-local addresses belong to one interface"),
        ],
    )
    def test_that_cannot_be_bound_are_mistakes(
        self, mistakes: Callable[..., list[str]], interface: str, why: str
    ) -> None:
        text = f"[listener:main]\ninterface = {interface}\n"
        assert mistakes(text) == [f"relay.ini:2: [listener:main] interface = {interface}: {why}"]

    @pytest.mark.parametrize("interface", ["192.0.2.200", "2001:db8::1", "fe80::1%absent"])
    def test_that_are_not_there_cause_a_warning(
        self, loaded: Callable[..., Config], interface: str
    ) -> None:
        (warning,) = loaded(f"[listener:main]\ninterface = {interface}\n").warnings
        assert f"interface = {interface}: is not an address of this machine now" in warning

    @pytest.mark.parametrize("interface", ["::", "0.0.0.0", "::1", "127.0.0.1", "127.1.2.3"])
    def test_of_this_machine_are_right(
        self, loaded: Callable[..., Config], interface: str
    ) -> None:
        assert loaded(f"[listener:main]\ninterface = {interface}\n").warnings == ()


class TestNetworks:
    @pytest.mark.parametrize(
        ("network", "written"),
        [
            ("::ffff:127.0.0.0/104", "127.0.0.0/8"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
        ],
    )
    def test_that_are_ipv4_in_ipv6_notation_are_mistakes(
        self, mistakes: Callable[..., list[str]], network: str, written: str
    ) -> None:
        assert mistakes(f"[listener:main]\nplain_networks = fd00::/8, {network}\n") == [
            (
                f"relay.ini:2: [listener:main] plain_networks = {network}: '{network}' has IPv4 "
                f"addresses in IPv6 notation and matches none; write {written}"
            )
        ]

    @pytest.mark.parametrize("network", ["224.0.0.0/4", "239.1.2.3", "ff00::/8"])
    def test_of_groups_are_mistakes(
        self, mistakes: Callable[..., list[str]], network: str
    ) -> None:
        assert mistakes(f"[listener:main]\nplain_networks = 10.0.0.0/8, {network}\n") == [
            (
                f"relay.ini:2: [listener:main] plain_networks = {network}: '{network}' matches "
                "none: nobody sends from the address of a group"
            )
        ]

    def test_of_all_addresses_are_right(self, loaded: Callable[..., Config]) -> None:
        text = "[listener:main]\ninterface = 127.0.0.1\nplain_networks = 0.0.0.0/0, ::/0\n"
        assert loaded(text).warnings == ()

    @pytest.mark.parametrize(
        ("interface", "networks", "public"),
        [
            ("198.51.100.7", "fd00::/8, 10.0.0.0/8", "10.0.0.0/8"),
            ("2001:db8::7", "local, fd00::/8, 10.0.0.0/8", "fd00::/8"),
            ("100.64.0.7", "203.0.113.0/24", "203.0.113.0/24"),
        ],
    )
    def test_that_can_be_forged_at_a_public_address_are_warned_of(
        self, loaded: Callable[..., Config], interface: str, networks: str, public: str
    ) -> None:
        text = f"[listener:main]\ninterface = {interface}\nplain_networks = {networks}\n"
        (warning,) = (one for one in loaded(text).warnings if "can forge" in one)
        assert warning.endswith(
            f"relay.ini:3: [listener:main] plain_networks = {public}: whoever reaches {interface} "
            f"can forge source addresses in {public}, and join; local trusts them only at an "
            "interface with their subnet"
        )

    @pytest.mark.parametrize(
        ("interface", "options"),
        [
            ("192.168.77.7", "plain_networks = 192.168.77.0/24"),
            ("fd77::7", "plain_networks = fd77::/64"),
            ("198.51.100.7", "plain_networks = local, 127.0.0.2/32, ::1/128"),
            ("198.51.100.7", "plain_networks = 10.0.0.0/8\nplain = any"),
            ("198.51.100.7", "plain_networks = 10.0.0.0/8\nprotocol = session"),
        ],
    )
    def test_that_cannot_be_forged_or_have_no_effect_are_not(
        self, loaded: Callable[..., Config], interface: str, options: str
    ) -> None:
        text = f"[listener:main]\ninterface = {interface}\n{options}\n"
        assert not any("can forge" in one for one in loaded(text).warnings)


class TestTargets:
    @pytest.mark.parametrize(
        ("target", "why"),
        [
            (
                "0.0.0.0:5",
                (
                    "'0.0.0.0' is not an address to send to; write 127.0.0.1:5 for a program on "
                    "this machine"
                ),
            ),
            (
                "[::]:5",
                ("'::' is not an address to send to; write [::1]:5 for a program on this machine"),
            ),
            (
                "255.255.255.255:5",
                "'255.255.255.255' is a broadcast address; write the address of one machine",
            ),
            (
                "[::ffff:255.255.255.255]:5",
                (
                    "'::ffff:255.255.255.255' is a broadcast address; write the address of one "
                    "machine"
                ),
            ),
            (
                "[fe80::1]:5",
                "'fe80::1' needs the name of a network interface, as in [fe80::1%eth0]",
            ),
            (
                "127.255.255.255:5",
                "is a broadcast address; write the address of one machine",
            ),
            ("127.0.0.1:6000", "is the relay itself (listener main)"),
            ("127.1.2.3:6000", "is the relay itself (listener main)"),
            ("[::1]:6000", "is the relay itself (listener main)"),
            ("[::ffff:127.0.0.1]:6000", "is the relay itself (listener main)"),
            ("localhost:6000", "is the relay itself (listener main)"),
            ("LocalHost.:6000", "is the relay itself (listener main)"),
        ],
    )
    def test_that_cannot_be_reached_are_mistakes(
        self, mistakes: Callable[..., list[str]], target: str, why: str
    ) -> None:
        assert mistakes(f"{ROOM} {target}, 127.0.0.1:1\n") == [
            f"relay.ini:2: [room:lobby] targets = {target}: {why}"
        ]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("127.0.0.1:1", "[::ffff:127.0.0.1]:1"),
            ("[::1]:1", "[0:0::1]:1"),
            ("localhost:1", "LOCALHOST.:1"),
        ],
    )
    def test_that_are_there_twice_are_mistakes(
        self, mistakes: Callable[..., list[str]], first: str, second: str
    ) -> None:
        (problem,) = mistakes(f"{ROOM} {first}, {second}\n")
        assert problem.endswith(f"{second}: is in the list twice")

    @pytest.mark.parametrize(
        ("interface", "target", "why"),
        [
            (
                "127.0.0.1",
                "192.0.2.7:1",
                "cannot be reached from listener main, as 127.0.0.1 is loopback",
            ),
            ("::1", "[2001:db8::7]:1", "cannot be reached from listener main, as ::1 is loopback"),
            (
                "127.0.0.1",
                "[::1]:1",
                "is an IPv6 address, and no listener has a matching interface",
            ),
            (
                "0.0.0.0",
                "[2001:db8::7]:1",
                "is an IPv6 address, and no listener has a matching interface",
            ),
            (
                "::1",
                "127.0.0.1:1",
                "is an IPv4 address, and no listener has a matching interface",
            ),
        ],
    )
    def test_that_no_listener_reaches_are_mistakes(
        self, mistakes: Callable[..., list[str]], interface: str, target: str, why: str
    ) -> None:
        text = f"[listener:main]\ninterface = {interface}\n{ROOM} {target}\n"
        assert mistakes(text) == [f"relay.ini:4: [room:lobby] targets = {target}: {why}"]

    def test_that_are_only_reached_where_the_relay_is_are_mistakes(
        self, mistakes: Callable[..., list[str]]
    ) -> None:
        (problem,) = mistakes(f"[listener:main]\ninterface = 127.0.0.1\n{ROOM} localhost:6000\n")
        assert problem.endswith("localhost:6000: is the relay itself (listener main)")

    def test_are_first_sent_to_by_a_listener_of_their_room(
        self, loaded: Callable[..., Config], mistakes: Callable[..., list[str]]
    ) -> None:
        loopback = "[listener:a]\ninterface = 127.0.0.1\nroom = {}\n"
        other = "[listener:b]\nport = 6001\nroom = {}\n"
        rooms = f"[room:b]\n{ROOM} 192.0.2.7:1\n"
        assert loaded(loopback.format("b") + other.format("lobby") + rooms)
        assert len(mistakes(other.format("b") + loopback.format("lobby") + rooms)) == 1

    def test_may_use_the_listener_of_another_room(self, loaded: Callable[..., Config]) -> None:
        text = f"[listener:a]\ninterface = 127.0.0.1\n{ROOM} [::1]:1\n[room:b]\n"
        assert loaded(f"{text}[listener:b]\nroom = b\ninterface = ::1\n").warnings == ()

    def test_that_are_multicast_groups_may_be_on_loopback(
        self, loaded: Callable[..., Config]
    ) -> None:
        assert loaded(f"[listener:a]\ninterface = 127.0.0.1\n{ROOM} 224.0.0.9:1\n")

    def test_are_not_compared_with_an_invalid_listener(
        self, mistakes: Callable[..., list[str]]
    ) -> None:
        text = f"[listener:a]\ninterface = x\n{ROOM} [::1]:1, 127.0.0.1:6000\n"
        assert len(mistakes(text)) == 1

    def test_on_another_port_of_this_machine_are_right(
        self, loaded: Callable[..., Config]
    ) -> None:
        text = f"{ROOM} 127.0.0.1:6001, [::1]:6001, localhost:6001\n"
        assert loaded(text).warnings == ()

    def test_that_cannot_be_reached_now_cause_a_warning(
        self, loaded: Callable[..., Config]
    ) -> None:
        (warning,) = loaded(f"{ROOM} [fe80::1%absent]:5\n").warnings
        assert "[fe80::1%absent]:5: cannot be reached now: " in warning


class TestNames:
    @staticmethod
    def load(write: Callable[[str], str], target: str, **names: list[str] | None) -> Config:
        def look_up(wanted: Iterable[str], timeout: float) -> Names:
            assert set(wanted) == set(names)
            return dict(names)

        return load(write(f"{ROOM} {target}\n"), FLAGS, look_up=look_up)

    def test_of_the_relay_itself_are_mistakes(self, write: Callable[[str], str]) -> None:
        with pytest.raises(ConfigError, match=r"here:6000: is the relay itself"):
            self.load(write, "here:6000", here=["127.0.0.1", "::1"])

    @pytest.mark.parametrize(
        ("found", "warning"),
        [
            ([], "the name is unknown now"),
            (None, "the name cannot be looked up now"),
            (["0.0.0.0", "::"], "0.0.0.0, its address now, is no address to send to"),
            (
                ["127.255.255.255"],
                (
                    "127.255.255.255, its address now, is a broadcast address; "
                    "write the address of one machine"
                ),
            ),
        ],
    )
    def test_that_may_change_cause_a_warning(
        self, write: Callable[[str], str], found: list[str] | None, warning: str
    ) -> None:
        (problem,) = self.load(write, "there:5", there=found).warnings
        assert problem.endswith(f":2: [room:lobby] targets = there:5: {warning}")

    @pytest.mark.parametrize(
        "found", [["::1"], ["127.255.255.255", "127.0.0.1"], ["127.0.0.1"] * 50]
    )
    def test_with_an_address_that_can_be_reached_are_right(
        self, write: Callable[[str], str], found: list[str]
    ) -> None:
        assert self.load(write, "there:5", there=found).warnings == ()

    def test_with_another_address_than_the_relay_are_right(
        self, write: Callable[[str], str]
    ) -> None:
        text = "there:6000\n[listener:main]\ninterface = 127.0.0.1\n"
        assert self.load(write, text, there=["127.0.0.1", "127.0.0.2"]).warnings == ()


class TestLog:
    @staticmethod
    def problems(load_mistakes: Callable[..., list[str]], file: Path) -> list[str]:
        start = f"relay.ini:2: [log] file = {file}: "
        return [line.removeprefix(start) for line in load_mistakes(f"[log]\nfile = {file}\n")]

    @pytest.fixture
    def fifo(self, tmp_path: Path) -> Path:
        os.mkfifo(tmp_path / "fifo")
        return tmp_path / "fifo"

    def test_a_fifo_without_a_reader_is_a_mistake(
        self, write: Callable[[str], str], fifo: Path
    ) -> None:
        with pytest.raises(ConfigError) as error:
            load(write(f"[log]\nfile = {fifo}\n"), FLAGS, try_fifo=True)
        assert str(error.value).endswith(
            f":2: [log] file = {fifo}: cannot be opened: no program reads this FIFO; start one "
            "first"
        )

    def test_a_fifo_with_a_reader_is_right(self, write: Callable[[str], str], fifo: Path) -> None:
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        try:
            load(write(f"[log]\nfile = {fifo}\n"), FLAGS, try_fifo=True)
        finally:
            os.close(reader)

    def test_a_start_does_not_open_a_fifo_twice(
        self, loaded: Callable[..., Config], fifo: Path
    ) -> None:
        """Its reader would read an end of file. What opens it for the log reports the error."""
        loaded(f"[log]\nfile = {fifo}\n")

    def test_a_socket_is_a_mistake(
        self, mistakes: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind("log")
            assert self.problems(mistakes, Path("log")) == [
                "is a socket; write a file, or run twistd --syslog"
            ]

    def test_in_a_directory_that_is_missing_is_a_mistake(
        self, mistakes: Callable[..., list[str]], tmp_path: Path
    ) -> None:
        file = tmp_path / "logs" / "relay.log"
        assert self.problems(mistakes, file) == [
            f"cannot be opened: there is no directory {file.parent}"
        ]

    def test_that_is_a_directory_is_a_mistake(
        self, mistakes: Callable[..., list[str]], tmp_path: Path
    ) -> None:
        assert self.problems(mistakes, tmp_path) == [
            f"is a directory; write a file in it, as {tmp_path / 'udprelay.log'}"
        ]

    def test_below_a_file_is_a_mistake(
        self, mistakes: Callable[..., list[str]], tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        assert self.problems(mistakes, tmp_path / "file" / "relay.log") == [
            "cannot be opened: Not a directory"
        ]

    def test_that_is_the_configuration_is_a_mistake(
        self, mistakes: Callable[..., list[str]], tmp_path: Path
    ) -> None:
        (problem,) = mistakes(f"[log]\nfile = {tmp_path}/./relay.ini\n")
        assert problem.endswith(": is the configuration file itself")

    @needs_user
    def test_that_cannot_be_written_to_is_a_mistake(
        self, mistakes: Callable[..., list[str]], tmp_path: Path
    ) -> None:
        file = tmp_path / "relay.log"
        file.touch(0o400)
        assert self.problems(mistakes, file) == ["cannot be opened: this user may not write to it"]

    def test_that_can_be_written_to_is_right(
        self, loaded: Callable[..., Config], tmp_path: Path
    ) -> None:
        file = tmp_path / "new.log"
        assert loaded(f"[log]\nfile = {file}\n").warnings == ()
        assert not file.exists()


def test_histories_beyond_the_memory_cause_a_warning(loaded: Callable[..., Config]) -> None:
    text = "[udprelay]\nmax_rooms = 1000000\n[room:*]\nhistory_size = 1 GiB\n"
    (warning,) = loaded(text).warnings
    assert ":4: [room:*] history_size = 1 GiB: full histories of all rooms take " in warning


def test_histories_that_nobody_may_open_need_no_memory(loaded: Callable[..., Config]) -> None:
    text = "[udprelay]\nmax_rooms = 1000000\nopen_rooms = no\n"
    assert loaded(text).warnings == ()
