"""The events in the log, and the secrecy of payloads and keys."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from system_processes import Relay, Start

pytest_plugins = ("system_fixtures",)

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
SECRET = "the password is swordfish"


def events(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_every_line_of_the_json_log_has_time_level_and_event(start: Start) -> None:
    relay = start.relay()
    start.member(relay)
    relay.stop()
    for event in relay.events:
        assert re.fullmatch(TIME, event["time"])
        assert event["level"] in {"info", "warn", "error"}
        assert re.fullmatch(r"[a-z]+\.[a-z-]+", event["event"])
    assert relay.stderr.all == ""


def test_json_log_has_all_events_of_a_run(start: Start) -> None:
    relay = start.relay()
    start.member(relay)
    relay.stop()
    assert [event["event"] for event in relay.events] == [
        "relay.started",
        "listener.opened",
        "room.opened",
        "member.joined",
        "signal.received",
        "relay.stopping",
        "listener.statistics",
        "listener.closed",
        "room.closed",
        "relay.stopped",
    ]


def test_text_log_has_one_line_per_event(start: Start) -> None:
    process = start.twistd("-n", "udprelay", "--port", "0")
    port = process.stdout.wait_for(r"listener\.opened: .* port (\d+), room lobby")[1]
    chat = start.program("chat", "127.0.0.1", port)
    chat.type("hello\n")
    process.stdout.wait_for(r"guest-1 \(plain 127\.0\.0\.1:\d+\) joined lobby\n")
    process.end()
    for line in process.stdout.lines:
        assert re.fullmatch(rf"{TIME} (info |warn |error) [a-z]+\.[a-z-]+: .*", line)
    assert process.stderr.all == ""


def test_log_file_of_twistd_has_the_events(start: Start) -> None:
    process = start.twistd("-n", "--logfile", "-", "udprelay", "--port", "0")
    process.stdout.wait_for(r"listener\.opened: listener main opened on :: port \d+, room lobby")


def test_log_file_of_twistd_ends_with_its_own_last_line(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "relay.log"
    process = start.twistd("-n", "--logfile", log, "udprelay", "--port", "0", "--console")
    # The console answers once signals are handled.
    process.type("/who\n")
    process.stdout.wait_for("^console +console")
    process.end()
    lines = log.read_text().splitlines()
    assert lines[-1].endswith("#info] Server Shut Down.")
    assert any("] relay.stopped: " in line for line in lines)


def test_addresses_in_the_log_are_readable(start: Start, host: str) -> None:
    relay = start.relay()
    joined = relay.event("member.joined", address=start.member(relay, host).address)
    assert joined["kind"] == "plain"
    assert joined["member"] == "guest-1"
    assert (joined["room"], joined["listener"]) == ("lobby", "main")


# Payloads


def send(start: Start, relay: Relay, text: str) -> str:
    """Send a text from one member to another; return all output of the relay."""
    one, other = start.member(relay), start.member(relay)
    one.send(text.encode())
    assert other.receive() == text.encode()
    relay.stop()
    return relay.stdout.all + relay.stderr.all


def test_payloads_are_not_logged(start: Start) -> None:
    assert "swordfish" not in send(start, start.relay(), SECRET)


def test_payloads_of_rejected_sources_are_not_logged(start: Start) -> None:
    relay = start.relay(config="[listener:main]\nplain = off\n")
    program = start.endpoint(relay.port)
    program.send(SECRET.encode())
    relay.event("member.rejected", address=program.address)
    relay.stop()
    assert "swordfish" not in relay.stdout.all + relay.stderr.all


def test_payloads_are_logged_if_configured(start: Start) -> None:
    relay = start.relay(config="[log]\npayloads = yes\n")
    send(start, relay, SECRET)
    (relayed,) = (event for event in relay.events if event["event"] == "datagram.relayed")
    assert (relayed["payload"], relayed["bytes"]) == (SECRET, len(SECRET))


# Access keys


def test_a_readable_access_key_causes_a_warning_and_is_not_logged(start: Start) -> None:
    salt, key = "5a" * 16, "c3" * 32
    relay = start.relay(config=f"[room:lobby]\naccess_key = {salt}:{key}\n")
    file = str(start.place / "udprelay.ini")
    relay.event("config.exposed", level="warn", file=file)
    relay.stop()
    output = relay.stdout.all + relay.stderr.all
    assert salt not in output
    assert key not in output


def test_an_access_key_that_others_cannot_read_causes_no_warning(start: Start) -> None:
    _, file = start.config(f"[room:lobby]\naccess_key = {'5a' * 16}:{'c3' * 32}\n")
    Path(file).chmod(0o600)
    process = start.twistd("-n", "udprelay", "--config", file, "--port", "0")
    process.stdout.wait_for("listener main opened")
    process.end()
    assert "config.exposed" not in process.stdout.all


# Files


def test_log_is_in_the_configured_file_only(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "relay.log"
    config = start.config(f"[log]\nfile = {log}\nformat = json\n")
    process = start.twistd("-n", "udprelay", *config, "--port", "0", "--console")
    process.type("/who\n")
    process.stdout.wait_for_line("console      console")
    process.end()
    assert events(log)[0]["event"] == "relay.started"
    assert events(log)[-1]["event"] == "relay.stopped"
    assert process.stdout.lines == ["console      console"]


def test_log_files_are_rotated_and_the_oldest_removed(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "relay.log"
    rules = f"file = {log}\nformat = json\nrotate_size = 2 KiB\nrotate_keep = 2\n"
    config = start.config(f"[log]\n{rules}")
    process = start.twistd("-n", "udprelay", *config, "--port", "0", "--console")
    process.type("/who\n")
    process.stdout.wait_for_line("console      console")
    # A thread writes the file: the console may answer before the first lines are there.
    written = start.command("tail", "-c", "+1", "-f", log).stdout
    port = int(written.wait_for(r'"listener\.opened".*"port":(\d+)')[1])
    for number in range(1, 51):
        start.endpoint(port).send(b"%d" % number)
        process.stdout.wait_for(rf"\] {number}\n")
    process.end()
    files = sorted(tmp_path.glob("relay.log*"))
    assert [path.name for path in files] == ["relay.log", "relay.log.1", "relay.log.2"]
    for path in files[1:]:
        assert 2048 <= path.stat().st_size < 2048 + 300
    found = [event["event"] for path in reversed(files) for event in events(path)]
    assert found.count("member.joined") > 20
    assert found[-1] == "relay.stopped"


# Targets


@pytest.fixture
def targeted(start: Start) -> tuple[Relay, Any]:
    """A relay, and a target of its lobby."""
    collector = start.endpoint()
    config = f"[room:lobby]\ntargets = {collector.address}, nowhere.invalid:2055\n"
    return start.relay(config=config), collector


def test_target_receives_all_datagrams(start: Start, targeted: tuple[Relay, Any]) -> None:
    relay, collector = targeted
    relay.event("target.resolved", target=collector.address)
    one = start.member(relay)
    for payload in (b"hello", bytes(range(256)), bytes(65_507)):
        one.send(payload)
        assert collector.receive() == payload


def test_an_unknown_target_name_is_reported_and_does_not_affect_members(
    start: Start, targeted: tuple[Relay, Any]
) -> None:
    relay, _ = targeted
    relay.event("target.unresolved", target="nowhere.invalid:2055", level="warn")
    one, other = start.member(relay), start.member(relay)
    one.send(b"hello")
    assert other.receive() == b"hello"


def test_an_unreachable_target_is_reported_and_does_not_affect_members(
    start: Start, targeted: tuple[Relay, Any]
) -> None:
    relay, collector = targeted
    relay.event("target.resolved", target=collector.address)
    collector.close()
    one, other = start.member(relay), start.member(relay)
    one.send(b"hello")
    assert other.receive() == b"hello"
    relay.event("target.unreachable", target=collector.address)
    for number in range(100):
        one.send(b"%d" % number)
        assert other.receive() == b"%d" % number
