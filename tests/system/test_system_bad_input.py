"""Mistakes on the command line, in the configuration and in datagrams are reported."""

from __future__ import annotations

import itertools
import os
import random
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from system_processes import Process, Relay, Start

pytest_plugins = ("system_fixtures",)


@pytest.fixture
def used_port() -> Iterator[int]:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        other.bind(("::", 0))
        yield other.getsockname()[1]


def assert_refused(process: Process, *errors: str) -> None:
    """Assert that standard error has exactly these errors, and the status is 1."""
    assert process.status() == 1
    assert process.stderr.lines == [f"udprelay: {error}" for error in errors]
    assert "Traceback" not in process.stdout.all


# Ports that cannot be bound


@pytest.fixture(params=[(), ("--log-format", "json")], ids=["text", "json"])
def log_format(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


def test_port_in_use(start: Start, used_port: int, log_format: tuple[str, ...]) -> None:
    process = start.twistd("-n", "udprelay", "--port", str(used_port), *log_format)
    error = f"[listener:main] cannot bind :: port {used_port}: Address already in use"
    assert_refused(process, error)
    assert list(start.place.iterdir()) == []  # no pid file


def test_an_address_that_is_not_there_is_waited_for(start: Start) -> None:
    process = start.twistd("-n", "udprelay", "--interface", "198.51.100.1", "--port", "6000")
    error = "[listener:main] waits for 198.51.100.1 port 6000: Cannot assign requested address"
    process.stdout.wait_for(re.escape(error))


needs_privileged_ports = pytest.mark.skipif(
    int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) < 2,
    reason="all users may bind all ports here",
)


@needs_privileged_ports
def test_privileged_port_without_privileges(start: Start, unprivileged: tuple[str, ...]) -> None:
    process = start.twistd("-n", "udprelay", "--port", "1", before=unprivileged)
    assert_refused(process, "[listener:main] cannot bind :: port 1: Permission denied")
    assert list(start.place.iterdir()) == []


def test_a_second_listener_that_cannot_be_bound_stops_the_relay(
    start: Start, used_port: int
) -> None:
    config = f"[listener:main]\nport = 0\n[listener:second]\nport = {used_port}\n"
    process = start.twistd("-n", "udprelay", *start.config(config))
    error = f"[listener:second] cannot bind :: port {used_port}: Address already in use"
    assert_refused(process, error)


def test_the_failure_is_also_in_the_log_file_of_twistd(start: Start, used_port: int) -> None:
    process = start.twistd("-n", "--logfile", "log", "udprelay", "--port", str(used_port))
    error = f"[listener:main] cannot bind :: port {used_port}: Address already in use"
    assert_refused(process, error)
    log = (start.place / "log").read_text()
    assert f"listener.failed: {error}" in log
    assert "Traceback" not in log


@pytest.fixture(params=["log", "udprelay.log"], ids=["twistd's log", "udprelay's log"])
def daemon(request: pytest.FixtureRequest, start: Start, used_port: int) -> tuple[Process, str]:
    """A relay in the background that cannot bind its port, and its log."""
    own = request.param == "udprelay.log"
    config = f"[log]\nfile = {start.place / 'udprelay.log'}\n" if own else ""
    flags = () if own else ("--logfile", "log")
    process = start.twistd(
        *("--pidfile", "pid", *flags, "udprelay", *start.config(config)),
        *("--port", str(used_port)),
    )
    assert process.status() == 1
    return process, (start.place / request.param).read_text()


def test_daemon_that_cannot_bind_reports_it_on_standard_error(
    daemon: tuple[Process, str], used_port: int
) -> None:
    # twistd truncates the message to 100 bytes.
    assert f"[listener:main] cannot bind :: port {used_port}: Addr" in daemon[0].stderr.all


def test_daemon_that_cannot_bind_removes_its_pid_file(
    start: Start, daemon: tuple[Process, str]
) -> None:
    assert not (start.place / "pid").exists()


def test_daemon_that_cannot_bind_logs_no_traceback(daemon: tuple[Process, str]) -> None:
    assert "Traceback" not in daemon[1]


# Configuration

TEN_ERRORS = """\
[udprelay]
max_members = many
[listener:main]
port = 65536
room = loby
interface = localhost
plain = maybe
[listener:second]
port = 6001
plains = any
plain_networks = 10.0.0.0/33
[room:lobby]
idle_timeout = soon
targets = example.org
[lists]
payloads = maybe
"""


def expected_errors(file: Path) -> list[str]:
    return [
        f"{file}:2: [udprelay] max_members = many: must be a whole number",
        f"{file}:4: [listener:main] port = 65536: must be a whole number from 0 to 65535",
        f"{file}:5: [listener:main] room = loby: section [room:loby] is missing; did you mean",
        f"{file}:6: [listener:main] interface = localhost: must be an IP address",
        f"{file}:7: [listener:main] plain = maybe: must be one of challenge, networks, any, off",
        f"{file}:10: [listener:second] plains = any: unknown option; did you mean plain?",
        f"{file}:11: [listener:second] plain_networks = 10.0.0.0/33: '10.0.0.0/33' is not a",
        f"{file}:13: [room:lobby] idle_timeout = soon: must be a duration",
        f"{file}:14: [room:lobby] targets = example.org: 'example.org' has no port",
        f"{file}:15: [lists]: unknown section; did you mean limits?",
    ]


@pytest.mark.parametrize("check", [("--check",), ()], ids=["check", "start"])
def test_all_of_ten_errors_are_reported_at_once(start: Start, check: tuple[str, ...]) -> None:
    config = start.config(TEN_ERRORS)
    process = start.twistd("-n", "udprelay", *config, *check)
    assert process.status() == 1
    lines = [line.removeprefix("udprelay: ") for line in process.stderr.lines]
    expected = expected_errors(start.place / "udprelay.ini")
    assert [line[: len(begin)] for line, begin in zip(lines, expected, strict=True)] == expected


def test_check_of_a_valid_configuration_prints_a_summary(start: Start) -> None:
    config = start.config("[listener:main]\nport = 6001\n[room:lobby]\ntargets = [::1]:2055\n")
    process = start.twistd("-n", "udprelay", *config, "--check")
    assert process.status() == 0
    assert process.stderr.all == ""
    assert (
        "listener main: [::]:6001, room lobby, protocol auto, plain challenge (trusted: local)"
        in process.stdout.lines
    )


def test_check_binds_nothing(start: Start, used_port: int) -> None:
    process = start.twistd("-n", "udprelay", "--port", str(used_port), "--check")
    assert process.status() == 0


def test_unknown_flag(start: Start) -> None:
    process = start.twistd("-n", "udprelay", "--prot", "6000")
    assert_refused(
        process, "option --prot not recognized", "twistd udprelay --help lists the flags"
    )


def test_invalid_values_of_flags(start: Start) -> None:
    process = start.twistd("-n", "udprelay", "--port", "seven", "--interface", "example.org")
    assert process.status() == 1
    expected = (
        "udprelay: --interface example.org: must be an IP address",
        "udprelay: --port seven: must be a whole number from 0 to 65535",
    )
    for line, begin in zip(process.stderr.lines, expected, strict=True):
        assert line.startswith(begin)


def test_room_name_with_spaces(start: Start) -> None:
    process = start.twistd("-n", "udprelay", "--room", "the lobby")
    error = "--room the lobby: must be 1 to 64 letters, digits, '-', '_' and '.'"
    assert_refused(process, error)


def test_missing_configuration(start: Start) -> None:
    process = start.twistd("-n", "udprelay", "--config", "none.ini")
    assert_refused(process, "none.ini: cannot be read: No such file or directory")


def test_unreadable_configuration(start: Start, unprivileged: tuple[str, ...]) -> None:
    _, path = start.config("")
    os.chmod(path, 0)
    process = start.twistd("-n", "udprelay", "--config", path, before=unprivileged)
    assert_refused(process, f"{path}: cannot be read: Permission denied")


def test_log_file_that_cannot_be_opened(start: Start) -> None:
    config = start.config("[log]\nfile = nowhere/udprelay.log\n")
    process = start.twistd("-n", "udprelay", *config, "--port", "0")
    place, file = start.place / "udprelay.ini", "nowhere/udprelay.log"
    why = f"cannot be opened: there is no directory {start.place / 'nowhere'}"
    assert_refused(process, f"{place}:2: [log] file = {file}: {why}")


# Datagrams


@pytest.fixture
def relay(start: Start) -> Relay:
    return start.relay()


def test_empty_datagram_is_not_relayed(start: Start, relay: Relay) -> None:
    one, other = start.member(relay), start.member(relay)
    one.send(b"", b"", b"after")
    assert other.receive() == b"after"


def test_every_byte_value_arrives(start: Start, relay: Relay) -> None:
    one, other = start.member(relay), start.member(relay, "::1")
    for value in range(256):
        one.send(bytes([value]))
        assert other.receive() == bytes([value])
    one.send(bytes(range(256)))
    assert other.receive() == bytes(range(256))


def test_largest_datagram_arrives_both_ways(start: Start, relay: Relay, host: str) -> None:
    one, other = start.member(relay, host), start.member(relay, host)
    for sender, receiver, seed in ((one, other, 1), (other, one, 2)):
        payload = random.Random(seed).randbytes(65_507)
        sender.send(payload)
        assert receiver.receive() == payload


def test_a_datagram_that_is_too_long_for_ipv4_is_dropped(start: Start, relay: Relay) -> None:
    # IPv6 allows more bytes than IPv4.
    one, other = start.member(relay, "::1"), start.member(relay, "::1")
    one.send(bytes(65_508), b"after")
    assert other.receive() == b"after"
    assert relay.stop()["dropped"] == {"too-long": 1}


SOURCES, MAX_MEMBERS = 10_000, 100


def test_ten_thousand_sources_are_bounded_and_do_not_affect_members(start: Start) -> None:
    relay = start.relay(
        config=f"[room:*]\nmax_members = {MAX_MEMBERS}\n[limits]\ndrop_window = 1s\n"
    )
    one, other = start.member(relay), start.member(relay)
    addresses = (f"127.1.{high}.{low}" for high, low in itertools.product(range(256), repeat=2))
    for number, address in enumerate(itertools.islice(addresses, SOURCES)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
            source.bind((address, 0))
            source.sendto(b"", ("127.0.0.1", relay.port))
        # 50 datagrams fit into the relay's receive buffer; the answer shows that it has read them.
        if number % 50 == 0:
            one.send(b"question %d" % number)
            assert other.receive() == b"question %d" % number
            other.send(b"answer %d" % number)
            assert one.receive() == b"answer %d" % number
    one.send(b"the end")
    assert other.receive() == b"the end"
    totals = relay.stop()
    joined = [event for event in relay.events if event["event"] == "member.joined"]
    left = [event for event in relay.events if event["event"] == "member.left"]
    # Those whose socket is closed make room for others when ICMP has refused them.
    assert {event["reason"] for event in left} <= {"unreachable"}
    assert {event["address"] for event in left}.isdisjoint({one.address, other.address})
    changes = {"member.joined": 1, "member.left": -1}
    members = itertools.accumulate(changes.get(event["event"], 0) for event in relay.events)
    assert max(members) == MAX_MEMBERS
    dropped = totals["dropped"]["room-full"]
    assert len(joined) + dropped == SOURCES + 2
    assert totals["members"] == len(joined)
    counts = [
        event["count"]
        for event in relay.events
        if event["event"] == "datagrams.dropped" and event["reason"] == "room-full"
    ]
    assert sum(counts) == dropped
    rejected = [event for event in relay.events if event["event"] == "member.rejected"]
    assert len(rejected) == len(counts)
