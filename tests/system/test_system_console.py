"""The relay's console in a terminal and in a pipe."""

from __future__ import annotations

import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from system_processes import Relay, Start, Terminal

pytest_plugins = ("system_fixtures",)


class Operator:
    """The user of a relay's terminal."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.port = int(terminal.screen.wait_for(r"listener main opened on :: port (\d+)")[1])
        self.sees("joined lobby")

    def type(self, text: str) -> None:
        self.terminal.type(text)

    def sees(self, text: str) -> None:
        """Wait for a text."""
        self.terminal.screen.wait_for(re.escape(text.encode().decode("latin-1")))


@pytest.fixture
def operator(start: Start) -> Operator:
    return Operator(start.terminal("--console"))


def test_console_prints_messages_with_their_senders(
    start: Start, operator: Operator, host: str
) -> None:
    program = start.endpoint(operator.port, host)
    program.send(b"hello server")
    operator.sees(f"\n[{program.address}] hello server\r\n")


def test_a_typed_line_is_sent_to_the_room(start: Start, operator: Operator) -> None:
    one, other = start.endpoint(operator.port), start.endpoint(operator.port, "::1")
    for program in (one, other):
        program.send(b"I am here")
        operator.sees(f"[{program.address}] I am here")
    assert one.receive() == b"I am here"
    operator.type("hello everybody\n")
    assert (one.receive(), other.receive()) == (b"hello everybody\n", b"hello everybody\n")


def test_two_slashes_send_one(start: Start, operator: Operator) -> None:
    program = start.endpoint(operator.port)
    program.send(b"hello")
    operator.sees("] hello")
    operator.type("//who\n")
    assert program.receive() == b"/who\n"


def test_reply_is_sent_to_the_last_sender_only(start: Start, operator: Operator) -> None:
    first, last = start.endpoint(operator.port), start.endpoint(operator.port)
    first.send(b"first")
    operator.sees("] first")
    last.send(b"last")
    operator.sees("] last")
    operator.type("/reply private\npublic\n")
    assert [last.receive(), last.receive()] == [b"private\n", b"public\n"]
    assert [first.receive(), first.receive()] == [b"last", b"public\n"]


def test_reply_without_a_message_prints_an_error(operator: Operator) -> None:
    operator.type("/reply hello\n")
    operator.sees("no member to reply to")


@pytest.mark.parametrize("by_address", [False, True], ids=["name", "address"])
def test_msg_is_sent_to_one_member_only(
    start: Start, operator: Operator, by_address: bool
) -> None:
    first, last = start.endpoint(operator.port), start.endpoint(operator.port)
    first.send(b"first")
    operator.sees("] first")
    last.send(b"last")
    operator.sees("] last")
    receiver = first.address if by_address else "guest-2"  # The console is number 1.
    operator.type(f"/msg {receiver} private\npublic\n")
    assert [first.receive() for _ in range(3)] == [b"last", b"private\n", b"public\n"]
    assert last.receive() == b"public\n"


def test_msg_to_an_unknown_member_prints_an_error(operator: Operator) -> None:
    operator.type("/msg guest-9 hello\n")
    operator.sees("guest-9: no such member; /who lists them")


def test_who_lists_the_members_with_their_addresses(start: Start, operator: Operator) -> None:
    program = start.endpoint(operator.port, "::1")
    program.send(b"hello")
    operator.sees("] hello")
    operator.type("/who\n")
    operator.sees("console      console")
    operator.sees(f"guest-2      plain    {program.address}  silent for 0 s")


def test_a_kicked_member_is_rejected(start: Start, operator: Operator) -> None:
    staying, kicked = start.endpoint(operator.port), start.endpoint(operator.port)
    for program in (staying, kicked):
        program.send(b"hello")
        operator.sees(f"[{program.address}] hello")
    operator.type("/kick guest-3\n")
    operator.sees("kicked guest-3")
    kicked.send(b"still here?")
    operator.sees(f"{kicked.address} rejected from lobby")
    operator.type("good bye\n")
    assert [staying.receive(), staying.receive()] == [b"hello", b"good bye\n"]


def test_an_unknown_command_is_not_sent_to_the_room(start: Start, operator: Operator) -> None:
    program = start.endpoint(operator.port)
    program.send(b"hello")
    operator.sees("] hello")
    operator.type("/exit\nhello\n")
    operator.sees("/exit: no such command; /help lists them")
    assert program.receive() == b"hello\n"


def test_control_characters_and_invalid_text_are_escaped(start: Start, operator: Operator) -> None:
    program = start.endpoint(operator.port)
    program.send(b"\x1b[2J \x07 \x9b \xff \r \n \x00 \xc3\xa9 \xe2\x80\xae")
    shown = r"\x1b[2J \x07 \x9b \xff \r \n \x00 é \u202e"
    operator.sees(f"[{program.address}] {shown}\r\n")


def test_an_incomplete_line_does_not_block_the_relay(start: Start, operator: Operator) -> None:
    one, other = start.endpoint(operator.port), start.endpoint(operator.port)
    one.send(b"one")
    operator.sees("] one")
    operator.type("half a ")
    other.send(b"other")
    operator.sees("] other")
    assert one.receive() == b"other"
    for number in range(100):
        one.send(b"question %d" % number)
        assert other.receive() == b"question %d" % number
        other.send(b"answer %d" % number)
        assert one.receive() == b"answer %d" % number
    operator.type("line\n")
    assert one.receive() == other.receive() == b"half a line\n"


def test_control_c_stops_the_relay_with_its_totals(start: Start, operator: Operator) -> None:
    program = start.endpoint(operator.port)
    program.send(b"hello")
    operator.sees("] hello")
    operator.terminal.press_control_c()
    assert operator.terminal.status() == -signal.SIGINT
    operator.sees("relay.stopping")
    operator.sees("relay.stopped: udprelay stopped after")
    operator.sees("2 members, 1 datagrams (5 bytes) in, 1 deliveries out, dropped: none\r\n")


@pytest.mark.parametrize("flags", [(), ("--log-format", "json")], ids=["text", "json"])
def test_the_terminal_stays_blocking(start: Start, flags: tuple[str, ...]) -> None:
    # The shell uses the same open file, which must not become non-blocking.
    terminal = start.terminal("--console", *flags)
    terminal.type("/who\n")
    terminal.screen.wait_for("console      console")
    terminal.press_control_c()
    terminal.status()
    assert terminal.blocks


# Without a terminal


def test_with_a_json_log_the_console_prints_to_standard_error(start: Start) -> None:
    relay = start.relay("--console")
    program = start.endpoint(relay.port)
    program.send(b"hello")
    relay.stderr.wait_for_line(f"[{program.address}] hello")
    relay.type("/who\n")
    relay.stderr.wait_for(r"^guest-2 +plain ")
    relay.stop()
    assert {"relay.started", "relay.stopped"} <= {event["event"] for event in relay.events}


@pytest.fixture
def without_input(start: Start) -> Relay:
    """A relay with a console and ``</dev/null``."""
    return start.relay("--console", stdin=subprocess.DEVNULL)


def test_console_continues_to_print_after_the_end_of_its_input(
    start: Start, without_input: Relay
) -> None:
    without_input.event("console.input-closed", room="lobby")
    program = start.member(without_input)
    program.send(b"hello")
    without_input.stderr.wait_for_line(f"[{program.address}] hello")


def test_relay_continues_after_the_end_of_its_input(start: Start, without_input: Relay) -> None:
    without_input.event("console.input-closed", room="lobby")
    one, other = start.member(without_input), start.member(without_input)
    one.send(b"hello")
    assert other.receive() == b"hello"


def test_half_a_line_in_a_pipe_is_buffered(start: Start) -> None:
    relay = start.relay("--console")
    one, other = start.member(relay), start.member(relay)
    relay.type("half a ")
    one.send(b"hello")
    assert other.receive() == b"hello"
    relay.type("line\n")
    assert one.receive() == other.receive() == b"half a line\n"


def test_the_last_line_needs_no_line_break(start: Start) -> None:
    relay = start.relay("--console")
    program = start.member(relay)
    relay.type("good bye")
    relay.close_input()
    assert program.receive() == b"good bye\n"


def test_with_a_console_the_totals_are_last(start: Start) -> None:
    relay = start.relay("--console")
    start.member(relay)
    relay.stop()
    assert relay.events[-1]["event"] == "relay.stopped"
