"""What somebody on the wire can read of a room, with a key and without one."""

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
    """Print the payload of each datagram to or from a port, in hexadecimal."""
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
    """Return the line for the configuration that the client makes of a passphrase."""
    client = start.session("--access-key", *flags)
    assert client.status() == 0, client.stderr.all
    return client.stdout.all


def talk(start: Start, relay: Relay, *flags: str) -> None:
    """Let one client say the text to another."""
    peer = f"127.0.0.1:{relay.port}"
    listener = start.session("--nick", "bert", "--count", "1", "--wait", "inf", *flags, peer)
    relay.event("member.joined", member="bert")
    speaker = start.session("--nick", "anna", *flags, peer)
    speaker.type(TEXT + "\n")
    speaker.close_input()
    assert speaker.status() == 0, speaker.stderr.all
    assert listener.status() == 0, listener.stderr.all
    assert listener.stdout.lines == [f"anna: {TEXT}"]


def captured(start: Start, tshark: Process, port: int) -> bytes:
    """Return all payloads, once a datagram sent after all others has been captured."""
    start.endpoint(port).send(b"the end")
    tshark.stdout.wait_for(b"the end".hex())
    tshark.end()
    return bytes.fromhex("".join(tshark.stdout.lines))


def test_text_in_a_room_without_a_key_can_be_read_on_the_wire(start: Start) -> None:
    relay = start.relay()
    tshark = capture(start, relay.port)
    talk(start, relay)
    assert TEXT.encode() in captured(start, tshark, relay.port)


def test_neither_text_nor_passphrase_of_a_room_with_a_key_can_be_read_on_the_wire(
    start: Start,
) -> None:
    flags = ("--passphrase-file", passphrase_file(start.place))
    line = key_of(start, *flags)
    relay = start.relay(config=f"[room:lobby]\n{line}")
    tshark = capture(start, relay.port)
    talk(start, relay, *flags)
    seen = captured(start, tshark, relay.port)
    salt, key = (bytes.fromhex(part) for part in line.partition("=")[2].strip().split(":"))
    assert salt in seen
    for secret in (TEXT.encode(), PASSPHRASE.encode(), b"horse", b"parcel", key):
        assert secret not in seen
