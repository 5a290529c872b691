"""The terminal of the relay, as the person who sits at it sees it."""

from __future__ import annotations

import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from system_processes import Relay, Start, Terminal

pytest_plugins = ("system_fixtures",)


class Person:
    """Whoever sits at the terminal of a relay."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.port = int(terminal.screen.wait_for(r"listener main opened on :: port (\d+)")[1])
        self.sees("joined lobby")

    def types(self, text: str) -> None:
        self.terminal.type(text)

    def sees(self, text: str) -> None:
        """Wait for something that is not what was typed."""
        self.terminal.screen.wait_for(re.escape(text.encode().decode("latin-1")))


@pytest.fixture
def person(start: Start) -> Person:
    return Person(start.terminal("--console"))


def test_console_prints_what_is_said_and_who_said_it(
    start: Start, person: Person, host: str
) -> None:
    program = start.endpoint(person.port, host)
    program.send(b"hello server")
    person.sees(f"\n[{program.address}] hello server\r\n")


def test_typed_text_goes_to_the_room(start: Start, person: Person) -> None:
    one, other = start.endpoint(person.port), start.endpoint(person.port, "::1")
    for program in (one, other):
        program.send(b"I am here")
        person.sees(f"[{program.address}] I am here")
    assert one.receive() == b"I am here"
    person.types("hello everybody\n")
    assert (one.receive(), other.receive()) == (b"hello everybody", b"hello everybody")


def test_two_slashes_say_one(start: Start, person: Person) -> None:
    program = start.endpoint(person.port)
    program.send(b"hello")
    person.sees("] hello")
    person.types("//who\n")
    assert program.receive() == b"/who"


def test_reply_answers_the_last_speaker_alone(start: Start, person: Person) -> None:
    first, last = start.endpoint(person.port), start.endpoint(person.port)
    first.send(b"first")
    person.sees("] first")
    last.send(b"last")
    person.sees("] last")
    person.types("/reply for you alone\nfor everybody\n")
    assert [last.receive(), last.receive()] == [b"for you alone", b"for everybody"]
    assert [first.receive(), first.receive()] == [b"last", b"for everybody"]


def test_reply_to_nobody_says_so(person: Person) -> None:
    person.types("/reply hello\n")
    person.sees("nobody to reply to")


@pytest.mark.parametrize("by_address", [False, True], ids=["name", "address"])
def test_msg_says_something_to_one_member_alone(
    start: Start, person: Person, by_address: bool
) -> None:
    first, last = start.endpoint(person.port), start.endpoint(person.port)
    first.send(b"first")
    person.sees("] first")
    last.send(b"last")
    person.sees("] last")
    who = first.address if by_address else "guest-2"  # The console is number 1.
    person.types(f"/msg {who} for you alone\nfor everybody\n")
    assert [first.receive() for _ in range(3)] == [b"last", b"for you alone", b"for everybody"]
    assert last.receive() == b"for everybody"


def test_msg_to_an_unknown_member_says_so(person: Person) -> None:
    person.types("/msg guest-9 hello\n")
    person.sees("guest-9: no such member; /who lists them")


def test_who_lists_the_members_with_their_addresses(start: Start, person: Person) -> None:
    program = start.endpoint(person.port, "::1")
    program.send(b"hello")
    person.sees("] hello")
    person.types("/who\n")
    person.sees("console      console")
    person.sees(f"guest-2      plain    {program.address}  silent for 0 s")


def test_kick_puts_a_member_out_of_the_room_for_some_time(start: Start, person: Person) -> None:
    staying, going = start.endpoint(person.port), start.endpoint(person.port)
    for program in (staying, going):
        program.send(b"hello")
        person.sees(f"[{program.address}] hello")
    person.types("/kick guest-3\n")
    person.sees("guest-3 has been put out")
    going.send(b"still here?")
    person.sees(f"{going.address} rejected from lobby")
    person.types("good bye\n")
    assert [staying.receive(), staying.receive()] == [b"hello", b"good bye"]


def test_unknown_command_is_not_sent_to_the_room(start: Start, person: Person) -> None:
    program = start.endpoint(person.port)
    program.send(b"hello")
    person.sees("] hello")
    person.types("/exit\nwell, then\n")
    person.sees("/exit: no such command; /help lists them")
    assert program.receive() == b"well, then"


def test_control_characters_and_broken_text_are_shown_escaped(
    start: Start, person: Person
) -> None:
    program = start.endpoint(person.port)
    program.send(b"\x1b[2J \x07 \x9b \xff \r \n \x00 \xc3\xa9 \xe2\x80\xae")
    shown = r"\x1b[2J \x07 \x9b \xff \r \n \x00 é \u202e"
    person.sees(f"[{program.address}] {shown}\r\n")


def test_half_typed_line_does_not_hold_up_the_relay(start: Start, person: Person) -> None:
    one, other = start.endpoint(person.port), start.endpoint(person.port)
    one.send(b"one")
    person.sees("] one")
    person.types("I was about to ")
    other.send(b"other")
    person.sees("] other")
    assert one.receive() == b"other"
    for number in range(100):
        one.send(b"question %d" % number)
        assert other.receive() == b"question %d" % number
        other.send(b"answer %d" % number)
        assert one.receive() == b"answer %d" % number
    person.types("say so\n")
    assert one.receive() == other.receive() == b"I was about to say so"


def test_control_c_ends_the_relay_with_its_totals(start: Start, person: Person) -> None:
    program = start.endpoint(person.port)
    program.send(b"hello")
    person.sees("] hello")
    person.terminal.press_control_c()
    assert person.terminal.status(within=5) == -signal.SIGINT
    person.sees("relay.stopping")
    person.sees("relay.stopped: udprelay stopped after")
    person.sees("2 members, 1 datagrams (5 bytes) in, 1 deliveries out, dropped: none\r\n")


@pytest.mark.parametrize("flags", [(), ("--log-format", "json")], ids=["text", "json"])
def test_terminal_is_given_back_as_it_was(start: Start, flags: tuple[str, ...]) -> None:
    # It has been open in the shell all the time, which must not find it non-blocking.
    terminal = start.terminal("--console", *flags)
    terminal.type("/who\n")
    terminal.screen.wait_for("console      console")
    terminal.press_control_c()
    terminal.status(within=5)
    assert terminal.blocks


# Without a terminal


def test_json_log_keeps_the_console_out_of_standard_output(start: Start) -> None:
    relay = start.relay("--console")
    program = start.endpoint(relay.port)
    program.send(b"hello")
    relay.stderr.wait_for_line(f"[{program.address}] hello")
    relay.type("/who\n")
    relay.stderr.wait_for(r"^guest-2 +plain ")
    relay.stop()
    assert {"relay.started", "relay.stopped"} <= {event["event"] for event in relay.events}


@pytest.fixture
def deaf(start: Start) -> Relay:
    """A relay with a console and ``</dev/null``."""
    return start.relay("--console", stdin=subprocess.DEVNULL)


def test_console_prints_on_after_the_end_of_its_input(start: Start, deaf: Relay) -> None:
    deaf.event("console.input-closed", room="lobby")
    program = start.member(deaf)
    program.send(b"hello")
    deaf.stderr.wait_for_line(f"[{program.address}] hello")


def test_relay_relays_on_after_the_end_of_its_input(start: Start, deaf: Relay) -> None:
    deaf.event("console.input-closed", room="lobby")
    one, other = start.member(deaf), start.member(deaf)
    one.send(b"hello")
    assert other.receive() == b"hello"


def test_half_a_line_in_a_pipe_waits_for_its_rest(start: Start) -> None:
    relay = start.relay("--console")
    one, other = start.member(relay), start.member(relay)
    relay.type("half a ")
    one.send(b"hello")
    assert other.receive() == b"hello"
    relay.type("line\n")
    assert one.receive() == other.receive() == b"half a line"


def test_last_line_needs_no_line_break(start: Start) -> None:
    relay = start.relay("--console")
    program = start.member(relay)
    relay.type("good bye")
    relay.close_input()
    assert program.receive() == b"good bye"


def test_totals_come_last_with_a_console_too(start: Start) -> None:
    relay = start.relay("--console")
    start.member(relay)
    relay.stop()
    assert relay.events[-1]["event"] == "relay.stopped"
