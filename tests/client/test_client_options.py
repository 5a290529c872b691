from __future__ import annotations

import getpass
import math

import pytest

from udprelay import __version__
from udprelay.client.main import login_nick
from udprelay.client.options import Options, UsageError, parse
from udprelay.protocol.nick import NickError, normalise


def test_the_defaults_are_the_documented_ones() -> None:
    assert parse([]) == Options(
        host="127.0.0.1",
        port=6000,
        plain=False,
        room="lobby",
        nick=None,
        passphrase_file=None,
        access_key=False,
        wait=1.0,
        count=None,
        json=False,
        quiet=False,
        verbose=False,
        newline=False,
        keepalive=None,
    )


def test_all_options_of_sessions_are_parsed() -> None:
    line = "-r games -n ada --passphrase-file key --access-key -w 2.5 -c 3 --json -v [::1]:7000"
    assert parse(line.split()) == Options(
        host="::1",
        port=7000,
        room="games",
        nick="ada",
        passphrase_file="key",
        access_key=True,
        wait=2.5,
        count=3,
        json=True,
        verbose=True,
    )


def test_all_options_of_plain_datagrams_are_parsed() -> None:
    line = "--plain -q --newline --keepalive 30 host"
    assert parse(line.split()) == Options(
        host="host", plain=True, quiet=True, newline=True, keepalive=30.0
    )


def test_all_options_of_bridges_are_parsed() -> None:
    line = "--bridge localhost:7000 --bridge-to [::1]:9000 --bridge-per-member host"
    assert parse(line.split()) == Options(
        host="host",
        bridge=("localhost", 7000),
        bridge_to=("::1", 9000),
        bridge_per_member=True,
    )


def test_the_port_of_a_bridge_may_be_0() -> None:
    assert parse(["--bridge", "[::1]:0"]).bridge == ("::1", 0)


def test_long_and_short_names_mean_the_same() -> None:
    long = ["--room", "games", "--nick", "ada", "--wait", "0", "--count", "7", "--quiet"]
    assert parse(long) == parse(["-rgames", "-nada", "-w0", "-c7", "-q"])


def test_a_nick_is_normalised() -> None:
    assert parse(["-n", "  Ada   Lovelace "]).nick == "Ada Lovelace"


@pytest.mark.parametrize(
    ("peer", "host", "port"),
    [
        ("relay.example", "relay.example", 6000),
        ("relay.example:1", "relay.example", 1),
        ("::1", "::1", 6000),
        ("[fe80::1%eth0]:65535", "fe80::1%eth0", 65535),
        ("bücher.example", "bücher.example", 6000),
    ],
)
def test_the_peer_is_a_host_with_or_without_a_port(peer: str, host: str, port: int) -> None:
    assert parse([peer]) == Options(host=host, port=port)


def test_the_wait_may_be_infinite() -> None:
    assert parse(["--wait", "inf"]).wait == math.inf


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--keepalive 30", "--keepalive needs --plain"),
        ("--plain --room games", "--room needs a session: leave out --plain"),
        ("--plain -n ada", "--nick needs a session: leave out --plain"),
        ("--plain --access-key", "--access-key needs a session: leave out --plain"),
        (
            "--plain --passphrase-file key",
            "--passphrase-file needs a session: leave out --plain",
        ),
        (
            "-r a/b",
            "-r/--room: invalid room name 'a/b' (1 to 64 letters, digits, '-', '_' and '.')",
        ),
        ("--plain -w soon", "-w/--wait: 'soon' is not a number of seconds (0 or more)"),
        ("--plain --wait -1", "-w/--wait: '-1' is not a number of seconds (0 or more)"),
        ("--plain -w nan", "-w/--wait: 'nan' is not a number of seconds (0 or more)"),
        ("--plain -w", "-w/--wait: expected one argument"),
        ("--plain -c 0", "-c/--count: '0' is not a number of messages (1 or more)"),
        ("--plain -c 1.5", "-c/--count: '1.5' is not a number of messages (1 or more)"),
        ("--plain -c ²", "-c/--count: '²' is not a number of messages (1 or more)"),
        (
            "--plain --keepalive 0",
            "--keepalive: '0' is not a number of seconds (0.1 or more)",
        ),
        (
            "--plain --keepalive inf",
            "--keepalive: 'inf' is not a number of seconds (0.1 or more)",
        ),
        ("--bridge 127.0.0.1", "--bridge: '127.0.0.1' has no port"),
        (
            "--bridge localhost:7000 --bridge-to localhost:7000",
            "--bridge-to localhost:7000 is the bridge itself: give the address of the program",
        ),
        (
            "--bridge localhost:7000 --bridge-to relay.example:6000 relay.example",
            "--bridge-to relay.example:6000 is the relay itself: give the address of the program",
        ),
        ("--bridge :7000", "--bridge: ':7000' has no valid host"),
        ("--bridge :0", "--bridge: ':1' has no valid host"),
        ("--bridge a:1 --bridge-to b:0", "--bridge-to: '0' is not a port (1 to 65535)"),
        ("--bridge-to a:1", "--bridge-to needs --bridge"),
        ("--bridge-per-member", "--bridge-per-member needs --bridge"),
        (
            "--plain --bridge a:1 --bridge-per-member",
            "--bridge-per-member needs a session: leave out --plain",
        ),
        (
            "--plain --bridge a:1 --newline",
            "--newline cannot be used with --bridge: it does not change payloads",
        ),
        ("--plain host:0", "HOST[:PORT]: '0' is not a port (1 to 65535)"),
        ("--plain :6000", "HOST[:PORT]: ':6000' has no valid host"),
        ("--plain a..b", "HOST[:PORT]: 'a..b' is not a valid host name"),
        ("--plain one two", "unrecognized arguments: two"),
        ("--plain --cou 1 host", "unrecognized arguments: --cou host"),
        ("--plain -q -v", "-v/--verbose: not allowed with argument -q/--quiet"),
    ],
)
def test_an_error_is_one_line(arguments: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(arguments.split(" ") if arguments else [])
    assert str(raised.value) == message


def test_an_invalid_nick_is_an_error_with_the_reason() -> None:
    with pytest.raises(NickError) as invalid:
        normalise("\x07")
    with pytest.raises(UsageError) as raised:
        parse(["-n", "\x07"])
    assert str(raised.value) == f"-n/--nick: '\\x07': {invalid.value}"


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"udprelay-client {__version__}\n"


def test_help_lists_all_options_and_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse(["--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    for word in [
        "--room",
        "--nick",
        "--passphrase-file",
        "--access-key",
        "--plain",
        "--bridge",
        "--bridge-to",
        "--bridge-per-member",
        "--newline",
        "--keepalive",
        "--wait",
        "--count",
        "--json",
        "--quiet",
        "--verbose",
    ]:
        assert word in shown
    for status in ("0 ", "1 ", "2 ", "3 ", "70 ", "130 "):
        assert f"\n  {status}" in shown


@pytest.mark.parametrize(
    ("login", "nick"),
    [
        ("ada", "ada"),
        (" Ada  Lovelace", "Ada Lovelace"),
        ("console", "somebody"),
        ("guest-7", "somebody"),
        ("x" * 33, "somebody"),
        ("\x07", "somebody"),
    ],
)
def test_the_login_name_is_the_nick_if_it_can_be(
    monkeypatch: pytest.MonkeyPatch, login: str, nick: str
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: login)
    assert login_nick() == nick


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_a_user_without_a_login_name_is_somebody(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", fail)
    assert login_nick() == "somebody"
