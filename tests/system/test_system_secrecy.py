"""The datagrams of rooms with and without a passphrase, as captured on the wire."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from system_processes import Process, Relay, Start

pytest_plugins = ("system_fixtures",)

PASSPHRASE = "correct horse battery staple"
TEXT = "the parcel is under the bridge"

pytestmark = pytest.mark.skipif(
    shutil.which("tshark") is None or os.geteuid() != 0, reason="needs tshark, and root to run it"
)


def capture(start: Start, port: int) -> Process:
    """Start a capture of the payloads to and from a port, in hexadecimal."""
    tshark = start.command(
        *("tshark", "-i", "lo", "-f", f"udp port {port}", "-l"),
        *("-T", "fields", "-e", "udp.payload"),
    )
    tshark.stderr.wait_for("Capturing on")
    return tshark


def passphrase_file(place: Path) -> str:
    file = place / "passphrase"
    file.write_text(PASSPHRASE + "\n")
    file.chmod(0o600)
    return str(file)


def key_of(start: Start, *flags: str) -> str:
    """Return the line of the configuration for a passphrase."""
    client = start.session("--access-key", *flags)
    assert client.status() == 0, client.stderr.all
    return client.stdout.all


def send_text(start: Start, relay: Relay, *flags: str) -> None:
    """Send the text from one client to another."""
    peer = f"127.0.0.1:{relay.port}"
    receiver = start.session("--nick", "bert", "--count", "1", "--wait", "inf", *flags, peer)
    relay.event("member.joined", member="bert")
    sender = start.session("--nick", "anna", *flags, peer)
    sender.type(TEXT + "\n")
    sender.close_input()
    assert sender.status() == 0, sender.stderr.all
    assert receiver.status() == 0, receiver.stderr.all
    assert receiver.stdout.lines == [f"anna: {TEXT}"]


def captured(start: Start, tshark: Process, port: int) -> bytes:
    """Return all payloads, once a last datagram has been captured."""
    start.endpoint(port).send(b"the end")
    tshark.stdout.wait_for(b"the end".hex())
    tshark.end()
    return bytes.fromhex("".join(tshark.stdout.lines))


def test_a_text_in_a_room_without_a_passphrase_is_readable(start: Start) -> None:
    relay = start.relay()
    tshark = capture(start, relay.port)
    send_text(start, relay)
    assert TEXT.encode() in captured(start, tshark, relay.port)


def test_neither_text_nor_passphrase_of_a_room_with_one_is_readable(
    start: Start,
) -> None:
    flags = ("--passphrase-file", passphrase_file(start.place))
    line = key_of(start, *flags)
    relay = start.relay(config=f"[room:lobby]\n{line}")
    tshark = capture(start, relay.port)
    send_text(start, relay, *flags)
    seen = captured(start, tshark, relay.port)
    salt, key = (bytes.fromhex(part) for part in line.partition("=")[2].strip().split(":"))
    assert salt in seen
    for secret in (TEXT.encode(), PASSPHRASE.encode(), b"horse", b"parcel", key):
        assert secret not in seen
