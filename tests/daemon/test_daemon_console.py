"""What the console prints and sends."""

from __future__ import annotations

from typing import Any

import pytest
from console_terminal import GUEST, OTHER, SIX, Terminal
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from zope.interface.verify import verifyObject

from udprelay.console import Console
from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.relay import events


def test_it_implements_the_interfaces_of_twisted(terminal: Terminal) -> None:
    assert verifyObject(IPushProducer, terminal.console)
    assert verifyObject(IHalfCloseableProtocol, terminal.console)


def test_it_joins_the_room_as_the_console(terminal: Terminal) -> None:
    (joined,) = terminal.happened(events.MemberJoined)
    assert (joined.member, joined.kind, joined.room) == ("console", "console", "lobby")


class TestPrinting:
    def test_messages_are_printed_with_their_senders_address(self, terminal: Terminal) -> None:
        terminal.receive(GUEST, b"hello server\n")
        terminal.receive(SIX, b"hello from six")
        assert terminal.printed() == [
            "[127.0.0.1:61207] hello server",
            "[[::1]:6] hello from six",
        ]

    def test_datagrams_are_printed_as_lines_in_order(self, terminal: Terminal) -> None:
        terminal.receive(GUEST, b"1", b"2\n", b"3\r\n")
        assert terminal.printed() == [f"[127.0.0.1:61207] {n}" for n in (1, 2, 3)]

    def test_an_empty_datagram_is_not_printed(self, terminal: Terminal) -> None:
        terminal.receive(GUEST, b"")
        assert terminal.printed() == []

    @pytest.mark.parametrize(
        ("payload", "line"),
        [
            (b"\x1b[2J\x07", r"\x1b[2J\x07"),
            (b"two\nlines\n", r"two\nlines"),
            ("\u202egpj.exe\x9b".encode(), r"\u202egpj.exe\x9b"),
            (b"\xff\x00\xfe", r"\xff\x00\xfe"),
            ("Grüße 日本 👍\n".encode(), "Grüße 日本 👍"),
        ],
    )
    def test_control_characters_are_printed_as_escapes(
        self, terminal: Terminal, payload: bytes, line: str
    ) -> None:
        terminal.receive(GUEST, payload)
        assert terminal.printed() == [f"[127.0.0.1:61207] {line}"]

    def test_typed_lines_are_not_printed(self, terminal: Terminal) -> None:
        terminal.receive(GUEST)
        terminal.type("hello")
        assert terminal.printed() == []

    def test_the_label_of_the_room_is_not_added(self, labelled: Terminal) -> None:
        labelled.receive(GUEST, b"hello")
        assert labelled.printed() == ["[127.0.0.1:61207] hello"]


class TestSending:
    def test_a_line_goes_to_the_whole_room(self, terminal: Terminal) -> None:
        terminal.receive(GUEST)
        terminal.receive(OTHER)
        terminal.type("hello all")
        assert terminal.sent() == [(GUEST, b"hello all\n"), (OTHER, b"hello all\n")]

    def test_a_line_is_sent_unchanged_with_one_line_break(self, terminal: Terminal) -> None:
        terminal.receive(GUEST)
        terminal.console.dataReceived(b"  a / b  \r\n\xff\xfe\n")
        assert terminal.sent() == [(GUEST, b"  a / b  \n"), (GUEST, b"\xff\xfe\n")]

    def test_an_empty_line_is_not_sent(self, terminal: Terminal) -> None:
        terminal.receive(GUEST)
        terminal.type("")
        assert terminal.sent() == []

    def test_two_slashes_are_sent_as_one(self, terminal: Terminal) -> None:
        terminal.receive(GUEST)
        terminal.type("//help is a command", "//")
        assert terminal.sent() == [(GUEST, b"/help is a command\n"), (GUEST, b"/\n")]

    def test_a_line_is_sent_when_it_is_complete(self, terminal: Terminal) -> None:
        terminal.receive(GUEST)
        for piece in (b"he", b"llo\nwor", b"ld", b"\n"):
            terminal.console.dataReceived(piece)
        assert terminal.sent() == [(GUEST, b"hello\n"), (GUEST, b"world\n")]

    def test_a_line_may_be_as_long_as_a_datagram(self, terminal: Terminal) -> None:
        terminal.receive(GUEST)
        for _ in range(MAX_PAYLOAD - 1):
            terminal.console.dataReceived(b"x")
        terminal.console.dataReceived(b"\n")
        assert terminal.sent() == [(GUEST, b"x" * (MAX_PAYLOAD - 1) + b"\n")]

    def test_a_longer_line_is_refused(self, terminal: Terminal) -> None:
        terminal.receive(GUEST)
        terminal.console.dataReceived(b"x" * MAX_PAYLOAD + b"\nnext\n")
        assert terminal.printed() == ["not sent: a line has at most 65506 bytes"]
        assert terminal.sent() == [(GUEST, b"next\n")]

    def test_the_label_of_the_room_is_added(self, labelled: Terminal) -> None:
        labelled.receive(GUEST)
        labelled.type("hello")
        assert labelled.sent() == [(GUEST, b"console: hello\n")]


class TestEndOfInput:
    def test_a_line_without_line_break_is_sent(self, terminal: Terminal) -> None:
        terminal.receive(GUEST)
        terminal.console.dataReceived(b"last line")
        terminal.console.readConnectionLost()
        assert terminal.sent() == [(GUEST, b"last line\n")]

    def test_it_is_reported_and_printing_continues(self, terminal: Terminal) -> None:
        terminal.console.readConnectionLost()
        assert terminal.happened(events.ConsoleInputClosed) == [
            events.ConsoleInputClosed(room="lobby")
        ]
        terminal.receive(GUEST, b"still there?")
        assert terminal.printed() == ["[127.0.0.1:61207] still there?"]


class TestWhenTheRelayStops:
    def test_typed_lines_are_not_sent(self, terminal: Terminal) -> None:
        terminal.receive(GUEST)
        terminal.console.dataReceived(b"half a li")
        terminal.console.stop()
        terminal.console.dataReceived(b"ne\n")
        assert terminal.sent() == []

    def test_the_end_of_input_is_not_reported(self, terminal: Terminal) -> None:
        terminal.console.stop()
        terminal.console.readConnectionLost()
        assert terminal.happened(events.ConsoleInputClosed) == []


class TestSlowTerminal:
    def test_the_console_is_the_producer_of_the_terminal(self, terminal: Terminal) -> None:
        assert terminal.transport.producer is terminal.console
        assert terminal.transport.streaming

    def test_commands_wait_when_nobody_reads_their_answers(self, terminal: Terminal) -> None:
        terminal.falls_behind()
        terminal.type("/help")
        assert terminal.transport.producerState == "producing"
        terminal.type(*["/help"] * 1000)
        assert terminal.transport.producerState == "paused"
        terminal.catches_up()
        assert terminal.transport.producerState == "producing"

    def test_lines_are_dropped_and_reported(self, terminal: Terminal) -> None:
        terminal.receive(OTHER)
        terminal.falls_behind()
        terminal.receive(GUEST, b"1", b"2")
        assert terminal.printed() == []
        terminal.clock.advance(10)
        assert terminal.happened(events.DatagramsDropped) == [
            events.DatagramsDropped(
                listener="console", room="lobby", reason="console-behind", count=2, window=10.0
            )
        ]

    def test_other_members_lose_nothing(self, terminal: Terminal) -> None:
        terminal.receive(OTHER)
        terminal.falls_behind()
        terminal.receive(GUEST, b"1", b"2")
        assert terminal.sent() == [(OTHER, b"1"), (OTHER, b"2")]
        assert terminal.relay.hub.roster.deliveries == 2

    def test_lines_are_printed_again_afterwards(self, terminal: Terminal) -> None:
        terminal.falls_behind()
        terminal.receive(GUEST, b"1")
        terminal.catches_up()
        terminal.receive(GUEST, b"2")
        assert terminal.printed() == ["[127.0.0.1:61207] 2"]

    @pytest.mark.parametrize("end", [Console.writeConnectionLost, Console.stopProducing])
    def test_a_closed_terminal_does_not_affect_the_relay(
        self, terminal: Terminal, end: Any
    ) -> None:
        end(terminal.console)
        terminal.receive(OTHER)
        terminal.receive(GUEST, b"hello")
        assert terminal.printed() == []
        assert terminal.sent() == [(OTHER, b"hello")]
