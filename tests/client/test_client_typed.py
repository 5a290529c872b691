"""Commands and notices where a person types, and standard output is no terminal."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from client_programs import Peer
from client_relay_process import RelayProcess
from client_terminal import TerminalProcess


class Typist:
    """A client whose standard input is a terminal, and whose output is piped."""

    def __init__(self, start: Callable[..., subprocess.Popen[bytes]], *arguments: str) -> None:
        self.master, slave = os.openpty()
        self.process = start(*arguments, stdin=slave)
        os.close(slave)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.output, self.errors = self.process.stdout, self.process.stderr

    def type(self, line: str) -> None:
        os.write(self.master, line.encode() + b"\n")

    def told(self) -> str:
        """Return the next line of standard error."""
        return self.errors.readline().decode().rstrip("\n")


StartTypist = Callable[..., Typist]


@pytest.fixture
def typist(start_client: Callable[..., subprocess.Popen[bytes]]) -> Iterator[StartTypist]:
    started: list[Typist] = []

    def start(*arguments: str) -> Typist:
        started.append(Typist(start_client, *arguments))
        return started[-1]

    yield start
    for one in started:
        os.close(one.master)


@pytest.mark.parametrize("json_mode", [False, True])
def test_commands_are_not_said_aloud(
    typist: StartTypist,
    bob: subprocess.Popen[bytes],
    relay: RelayProcess,
    room: str,
    json_mode: bool,
) -> None:
    ada = typist("-n", "ada", "-r", room, *(["--json"] if json_mode else []), relay.address)
    if json_mode:
        first = [json.loads(ada.output.readline())["event"] for _ in range(2)]
        assert first == ["session.joined", "terminal.ready"]
    else:
        assert ada.told() == f"udprelay-client: in {room} as ada, with bob"
        assert ada.told().startswith("udprelay-client: talking to ")
    for line in ("/msg bob psst", "/mgs bob secret", "/msg eve secret", "/msg", "/", "/who"):
        ada.type(line)
    assert ada.told() == "-- unknown command /mgs (/help); to send it, type //mgs"
    assert ada.told().startswith("-- not sent: ")
    assert ada.told() == "-- usage: /msg NICK TEXT"
    assert ada.told() == "-- unknown command / (/help); to send it, type //"
    assert [ada.told() for _ in range(2)] == ["-- ada (you)", "-- bob"]
    ada.type("//aloud")
    ada.type("/quit")
    assert ada.process.wait() == 0
    assert bob.stdout is not None
    # Private messages are not in order with those to the room.
    received = {bob.stdout.readline() for _ in range(2)}
    assert received == {b"ada (private): psst\n", b"ada: /aloud\n"}


def test_texts_are_messages(
    typist: StartTypist, bob: subprocess.Popen[bytes], relay: RelayProcess, room: str
) -> None:
    ada = typist("-n", "ada", "-r", room, relay.address)
    ada.told()
    ada.type("hello")
    assert bob.stdout is not None
    assert bob.stdout.readline() == b"ada: hello\n"
    assert bob.stdin is not None
    bob.stdin.write(b"hi\n")
    assert ada.output.readline() == b"bob: hi\n"


def test_commands_are_not_sent_to_a_plain_peer(typist: StartTypist, peer: Peer) -> None:
    ada = typist("--plain", peer.address)
    assert ada.told() == f"udprelay-client: talking to {peer.address}; /help for help"
    for line in ("/msg bob secret", "hello", "/quit", "after it"):
        ada.type(line)
    assert ada.told() == "-- unknown command /msg (/help); to send it, type //msg"
    assert ada.process.wait() == 0
    assert peer.receive() == b"hello"
    assert not peer.is_readable()


def test_commands_are_not_sent_from_a_dumb_terminal(
    start_terminal: Callable[..., TerminalProcess], peer: Peer
) -> None:
    terminal = start_terminal("--plain", peer.address, TERM="dumb")
    terminal.wait_until(lambda lines: any("/help for help" in line for line in lines))
    terminal.type("/msg bob secret\n/quit\n")
    assert terminal.status() == 0
    assert any("unknown command /msg" in line for line in terminal.screen.lines)
    assert not peer.is_readable()


def test_a_pipe_has_no_commands(
    start_client: Callable[..., subprocess.Popen[bytes]], peer: Peer
) -> None:
    process = start_client("--plain", peer.address)
    assert process.stdin is not None
    process.stdin.write(b"/quit\n")
    assert peer.receive() == b"/quit"
    with suppress(BrokenPipeError):
        process.stdin.close()
    assert process.wait() == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
