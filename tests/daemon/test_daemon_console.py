"""The terminal of the relay: what it prints, and what one can type there."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface.verify import verifyObject

from udprelay.console import HELP, Console
from udprelay.net.relay import Relay
from udprelay.protocol import keys
from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.endpoint import MAX_PAYLOAD, Endpoint, endpoint
from udprelay.protocol.wire import decode_from_relay
from udprelay.protocol.wire.from_client import DataUp
from udprelay.protocol.wire.from_relay import Bye, Data, Private
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Welcome
from udprelay.relay import events
from udprelay.relay.drops import DropReason
from udprelay.relay.room import Group, Member
from udprelay.relay.rules import Label, RelayRules, RoomRules

KEY = AccessKey(b"s" * 16, b"k" * 32)
GUEST, OTHER, SIX = ("127.0.0.1", 61207), ("10.0.0.2", 2000), ("::1", 6)


class Port:
    """Stands for a bound socket."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, bytes]] = []

    def send_each(self, datagrams: Sequence[tuple[Any, bytes]]) -> list[DropReason]:
        self.sent += datagrams
        return []

    def deliver(
        self, payloads: Sequence[bytes], senders: Sequence[Member], group: Group, count: int
    ) -> list[DropReason]:
        for payload, sender in zip(payloads, senders, strict=True):
            for member in group.members[:count]:
                if member is not sender:
                    self.sent.append((member.source, payload))
        return []


def read_endpoint(source: tuple[str, int]) -> Endpoint:
    return endpoint(*source)


class Terminal:
    """A console in a relay without sockets, and someone in front of it."""

    def __init__(self, rules: RelayRules) -> None:
        self.clock, self.port = Clock(), Port()
        self.events: list[events.Event] = []
        self.relay = Relay(
            rules, self.clock, bytes(32), self.events.append, clock=self.clock.seconds
        )
        self.listener = self.relay.hub.open_listener("main", read_endpoint)
        self.relay.listeners["main"] = SimpleNamespace(listener=self.listener, port=self.port)
        self.relay.add_way(self.listener, self.port)
        self.console = Console(self.relay, "lobby")
        self.transport = StringTransport()
        self.console.makeConnection(self.transport)

    def hear(self, source: tuple[str, int], *payloads: bytes) -> None:
        """Let datagrams come in."""
        batch = [(source, [*payloads] or [b""])]
        now = self.relay.now()
        self.relay.carry_out(self.relay.hub.receive(self.listener, batch, now))

    def type(self, *lines: str) -> None:
        for line in lines:
            self.console.dataReceived(f"{line}\n".encode())

    def printed(self) -> list[str]:
        """Take what is on the screen."""
        text = self.transport.value().decode()
        self.transport.clear()
        assert not text or text.endswith("\n")
        return text.split("\n")[:-1]

    def sent(self) -> list[tuple[tuple[str, int], bytes]]:
        """Take what went out to members."""
        sent, self.port.sent = self.port.sent, []
        return sent

    def happened(self, kind: type[events.Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def terminal() -> Terminal:
    return Terminal(RelayRules())


@pytest.fixture
def labelled() -> Terminal:
    return Terminal(RelayRules(room_defaults=RoomRules(label=Label.NICK)))


def test_it_is_what_a_transport_may_ask_for(terminal: Terminal) -> None:
    assert verifyObject(IPushProducer, terminal.console)
    assert verifyObject(IHalfCloseableProtocol, terminal.console)


def test_it_joins_the_room_as_the_console(terminal: Terminal) -> None:
    (joined,) = terminal.happened(events.MemberJoined)
    assert (joined.member, joined.kind, joined.room) == ("console", "console", "lobby")


class TestPrinting:
    def test_what_is_said_has_its_senders_address_before_it(self, terminal: Terminal) -> None:
        terminal.hear(GUEST, b"hello server\n")
        terminal.hear(SIX, b"hello from six")
        assert terminal.printed() == [
            "[127.0.0.1:61207] hello server",
            "[[::1]:6] hello from six",
        ]

    def test_datagrams_are_lines_in_order(self, terminal: Terminal) -> None:
        terminal.hear(GUEST, b"1", b"2\n", b"3\r\n")
        assert terminal.printed() == [f"[127.0.0.1:61207] {n}" for n in (1, 2, 3)]

    def test_an_empty_datagram_is_none(self, terminal: Terminal) -> None:
        terminal.hear(GUEST, b"")
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
    def test_nothing_steers_the_terminal(
        self, terminal: Terminal, payload: bytes, line: str
    ) -> None:
        terminal.hear(GUEST, payload)
        assert terminal.printed() == [f"[127.0.0.1:61207] {line}"]

    def test_ones_own_lines_are_not_printed(self, terminal: Terminal) -> None:
        terminal.hear(GUEST)
        terminal.type("hello")
        assert terminal.printed() == []

    def test_the_label_of_the_room_is_not_added(self, labelled: Terminal) -> None:
        labelled.hear(GUEST, b"hello")
        assert labelled.printed() == ["[127.0.0.1:61207] hello"]


class TestSaying:
    def test_a_line_goes_to_the_whole_room(self, terminal: Terminal) -> None:
        terminal.hear(GUEST)
        terminal.hear(OTHER)
        terminal.type("hello all")
        assert terminal.sent() == [(GUEST, b"hello all"), (OTHER, b"hello all")]

    def test_as_it_was_typed_without_its_line_break(self, terminal: Terminal) -> None:
        terminal.hear(GUEST)
        terminal.console.dataReceived(b"  a / b  \r\n\xff\xfe\n")
        assert terminal.sent() == [(GUEST, b"  a / b  "), (GUEST, b"\xff\xfe")]

    def test_an_empty_line_says_nothing(self, terminal: Terminal) -> None:
        terminal.hear(GUEST)
        terminal.type("")
        assert terminal.sent() == []

    def test_two_slashes_are_one(self, terminal: Terminal) -> None:
        terminal.hear(GUEST)
        terminal.type("//help is a command", "//")
        assert terminal.sent() == [(GUEST, b"/help is a command"), (GUEST, b"/")]

    def test_a_line_is_said_when_it_is_whole(self, terminal: Terminal) -> None:
        terminal.hear(GUEST)
        for piece in (b"he", b"llo\nwor", b"ld", b"\n"):
            terminal.console.dataReceived(piece)
        assert terminal.sent() == [(GUEST, b"hello"), (GUEST, b"world")]

    def test_the_longest_line_is_the_longest_datagram(self, terminal: Terminal) -> None:
        terminal.hear(GUEST)
        for _ in range(MAX_PAYLOAD):
            terminal.console.dataReceived(b"x")
        terminal.console.dataReceived(b"\n")
        assert terminal.sent() == [(GUEST, b"x" * MAX_PAYLOAD)]

    def test_a_longer_one_is_refused_and_not_cut(self, terminal: Terminal) -> None:
        terminal.hear(GUEST)
        terminal.console.dataReceived(b"x" * (MAX_PAYLOAD + 1) + b"\nnext\n")
        assert terminal.printed() == ["not sent: a datagram has at most 65507 bytes"]
        assert terminal.sent() == [(GUEST, b"next")]

    def test_with_the_label_of_the_room(self, labelled: Terminal) -> None:
        labelled.hear(GUEST)
        labelled.type("hello")
        assert labelled.sent() == [(GUEST, b"console: hello")]


class TestReply:
    def test_answers_the_last_speaker_alone(self, terminal: Terminal) -> None:
        terminal.hear(OTHER, b"first")
        terminal.hear(GUEST, b"second")
        terminal.sent()
        terminal.type("/reply hello client")
        assert terminal.sent() == [(GUEST, b"hello client")]

    def test_who_only_joined_has_not_spoken(self, terminal: Terminal) -> None:
        terminal.hear(OTHER, b"hello")
        terminal.hear(GUEST)
        terminal.type("/reply hello")
        assert terminal.sent() == [(OTHER, b"hello")]

    def test_says_when_there_is_none(self, terminal: Terminal) -> None:
        terminal.type("/reply hello")
        assert terminal.printed() == ["nobody to reply to"]

    def test_or_none_any_more(self, terminal: Terminal) -> None:
        terminal.hear(GUEST, b"hello")
        terminal.clock.advance(300)
        terminal.printed()
        terminal.type("/reply hello")
        assert terminal.printed() == ["nobody to reply to"]
        assert terminal.sent() == []

    def test_needs_a_text(self, terminal: Terminal) -> None:
        terminal.hear(GUEST, b"hello")
        terminal.printed()
        terminal.type("/reply", "/reply  ")
        assert terminal.printed() == ["nothing to say"] * 2
        assert terminal.sent() == []

    def test_has_the_label_of_the_room(self, labelled: Terminal) -> None:
        labelled.hear(GUEST, b"hello")
        labelled.type("/reply hello")
        assert labelled.sent() == [(GUEST, b"console: hello")]


class TestMsg:
    @pytest.mark.parametrize("who", ["guest-3", "10.0.0.2:2000"])
    def test_goes_to_one_member_by_name_or_address(self, terminal: Terminal, who: str) -> None:
        terminal.hear(GUEST)
        terminal.hear(OTHER)
        terminal.type(f"/msg {who} just  for you ")
        assert terminal.sent() == [(OTHER, b"just  for you")]

    def test_knows_ipv6_addresses(self, terminal: Terminal) -> None:
        terminal.hear(SIX)
        terminal.type("/msg [::1]:6 hello")
        assert terminal.sent() == [(SIX, b"hello")]

    def test_says_if_there_is_no_such_member(self, terminal: Terminal) -> None:
        terminal.type("/msg guest-9 hello", "/msg", "/msg \x1b\u202e hello", "/msg console hello")
        assert terminal.printed() == [
            "guest-9: no such member; /who lists them",
            "WHO: no such member; /who lists them",
            r"\x1b\u202e: no such member; /who lists them",
            "console: no such member; /who lists them",
        ]
        assert terminal.sent() == []

    def test_needs_a_text(self, terminal: Terminal) -> None:
        terminal.hear(GUEST)
        terminal.type("/msg guest-2", "/msg guest-2  ")
        assert terminal.printed() == ["nothing to say"] * 2

    def test_reaches_targets_too(self, terminal: Terminal) -> None:
        hub, now = terminal.relay.hub, terminal.relay.now()
        hub.add_target("lobby", "collector:2055", terminal.listener, OTHER, now)
        terminal.type("/msg collector:2055 hello")
        assert terminal.sent() == [(OTHER, b"hello")]


class TestWho:
    def test_lists_the_members_with_their_addresses_and_silence(self, terminal: Terminal) -> None:
        terminal.hear(GUEST, b"hello")
        hub, now = terminal.relay.hub, terminal.relay.now()
        hub.add_target("lobby", "collector:2055", terminal.listener, OTHER, now)
        terminal.clock.advance(12)
        terminal.hear(SIX)
        terminal.printed()
        terminal.type("/who")
        assert terminal.printed() == [
            "console      console",
            "guest-2      plain    127.0.0.1:61207  silent for 12 s",
            "collector:2055 target   10.0.0.2:2000",
            "guest-4      plain    [::1]:6  silent for 0 s",
        ]


class TestKick:
    def test_puts_a_guest_out(self, terminal: Terminal) -> None:
        terminal.hear(GUEST)
        terminal.type("/kick guest-2")
        assert terminal.printed() == ["guest-2 has been put out"]
        terminal.hear(GUEST, b"let me in")
        assert terminal.printed() == []
        (left,) = terminal.happened(events.MemberLeft)
        assert (left.address, left.reason) == ("127.0.0.1:61207", "kicked")

    def test_by_address(self, terminal: Terminal) -> None:
        terminal.hear(GUEST)
        terminal.type("/kick 127.0.0.1:61207")
        assert terminal.printed() == ["guest-2 has been put out"]

    def test_not_a_target(self, terminal: Terminal) -> None:
        hub, now = terminal.relay.hub, terminal.relay.now()
        hub.add_target("lobby", "collector:2055", terminal.listener, OTHER, now)
        terminal.type("/kick collector:2055")
        assert terminal.printed() == ["collector:2055 is no guest: it can't be put out"]
        assert len(hub.roster.rooms["lobby"]) == 2

    def test_nor_who_is_not_there(self, terminal: Terminal) -> None:
        terminal.type("/kick guest-7", "/kick console", "/kick")
        assert [line.partition(":")[0] for line in terminal.printed()] == [
            "guest-7",
            "console",
            "WHO",
        ]


class Anna:
    """A session member."""

    def __init__(self, terminal: Terminal, nick: str = "Anna B", **changes: Any) -> None:
        self.terminal = terminal
        terminal.hear(GUEST, Hello(b"my nonce", "lobby").encode())
        (challenge,) = self.got(Challenge)
        join = Join(b"my nonce", challenge.cookie, "lobby", nick, bytes(16), **changes)
        if changes:
            proof = keys.proof(
                KEY.key, challenge.cookie, "lobby", nick, b"my nonce", keys.identity(bytes(16))
            )
            join = evolve(join, proof=proof)
        terminal.hear(GUEST, join.encode())
        (self.welcome,) = self.got(Welcome)

    def got(self, kind: type[Any]) -> list[Any]:
        """Take what it has been sent of one kind."""
        read = [decode_from_relay(datagram) for _, datagram in self.terminal.sent()]
        return [one for one in read if isinstance(one, kind)]

    def say(self, payload: bytes) -> None:
        session_id = self.welcome.session_id
        self.terminal.hear(GUEST, DataUp(session_id, 0, 1, payload).encode())


class TestSessionMembers:
    def test_speak_under_their_nick(self, terminal: Terminal) -> None:
        Anna(terminal).say(b"hello")
        assert terminal.printed() == ["[Anna B 127.0.0.1:61207] hello"]

    def test_hear_the_console(self, terminal: Terminal) -> None:
        anna = Anna(terminal)
        terminal.type("hello")
        (data,) = anna.got(Data)
        assert (data.number, data.payload) == (1, b"hello")
        assert [(m.number, m.kind.name) for m in anna.welcome.members] == [
            (1, "CONSOLE"),
            (2, "SESSION"),
        ]

    def test_are_listed_like_guests(self, terminal: Terminal) -> None:
        Anna(terminal)
        terminal.type("/who")
        assert terminal.printed()[1] == "Anna B       session  127.0.0.1:61207  silent for 0 s"

    @pytest.mark.parametrize(
        "line", ["/msg Anna B just for you", "/msg 127.0.0.1:61207 just for you"]
    )
    def test_can_be_told_something_alone(self, terminal: Terminal, line: str) -> None:
        anna = Anna(terminal)
        terminal.type(line)
        (private,) = anna.got(Private)
        assert (private.number, private.payload) == (1, b"just for you")

    def test_somebody_else_is_not_meant(self, terminal: Terminal) -> None:
        Anna(terminal)
        terminal.hear(OTHER)
        terminal.sent()
        terminal.type("/msg guest-3 Anna B is here", "/msg Anna C hello")
        assert terminal.sent() == [(OTHER, b"Anna B is here")]
        assert terminal.printed() == ["Anna: no such member; /who lists them"]

    def test_can_be_answered(self, terminal: Terminal) -> None:
        anna = Anna(terminal)
        anna.say(b"hello")
        terminal.type("/reply hello to you")
        assert [private.payload for private in anna.got(Private)] == [b"hello to you"]

    def test_take_only_so_much_at_once(self, terminal: Terminal) -> None:
        anna = Anna(terminal, "anna")
        terminal.type(f"/msg anna {'x' * 1185}", f"/msg anna {'x' * 1184}")
        assert terminal.printed() == ["not sent: anna takes at most 1184 bytes"]
        assert len(anna.got(Private)) == 1

    def test_can_be_put_out(self, terminal: Terminal) -> None:
        anna = Anna(terminal)
        terminal.type("/kick Anna B")
        assert terminal.printed() == ["Anna B has been put out"]
        assert [bye.code for bye in anna.got(Bye)] == ["kicked"]

    def test_of_what_is_sealed_there_is_nothing_to_see(self) -> None:
        terminal = Terminal(RelayRules(room_defaults=RoomRules(access_key=KEY)))
        Anna(terminal, badge=bytes(16), proof=bytes(32)).say(b"\x1b\x00\xff")
        assert terminal.printed() == ["[Anna B 127.0.0.1:61207] (3 bytes, sealed)"]


def test_help_lists_every_command(terminal: Terminal) -> None:
    terminal.type("/help")
    printed = terminal.printed()
    assert printed == HELP.split("\n")
    for command in ("/reply", "/msg", "/who", "/kick", "/help", "//"):
        assert any(command in line for line in printed)


@pytest.mark.parametrize("line", ["/quit", "/", "/HELP", "/\x1b[2J"])
def test_an_unknown_command_is_named_and_not_said(terminal: Terminal, line: str) -> None:
    terminal.hear(GUEST)
    terminal.type(line)
    name = line.replace("\x1b", r"\x1b")
    assert terminal.printed() == [f"{name}: no such command; /help lists them"]
    assert terminal.sent() == []


class TestEndOfInput:
    def test_what_has_no_line_break_yet_is_said(self, terminal: Terminal) -> None:
        terminal.hear(GUEST)
        terminal.console.dataReceived(b"last words")
        terminal.console.readConnectionLost()
        assert terminal.sent() == [(GUEST, b"last words")]

    def test_it_is_logged_and_printing_goes_on(self, terminal: Terminal) -> None:
        terminal.console.readConnectionLost()
        assert terminal.happened(events.ConsoleInputClosed) == [
            events.ConsoleInputClosed(room="lobby")
        ]
        terminal.hear(GUEST, b"still there?")
        assert terminal.printed() == ["[127.0.0.1:61207] still there?"]


class TestWhenTheRelayStops:
    def test_what_is_typed_is_not_said(self, terminal: Terminal) -> None:
        terminal.hear(GUEST)
        terminal.console.dataReceived(b"half a li")
        terminal.console.stop()
        terminal.console.dataReceived(b"ne\n")
        assert terminal.sent() == []

    def test_the_end_of_input_is_not_news(self, terminal: Terminal) -> None:
        terminal.console.stop()
        terminal.console.readConnectionLost()
        assert terminal.happened(events.ConsoleInputClosed) == []


class TestSlowTerminal:
    def test_the_transport_tells_when_it_is_behind(self, terminal: Terminal) -> None:
        assert terminal.transport.producer is terminal.console
        assert terminal.transport.streaming

    def test_lines_are_dropped_counted_and_reported(self, terminal: Terminal) -> None:
        terminal.hear(OTHER)
        terminal.transport.producer.pauseProducing()
        terminal.hear(GUEST, b"1", b"2")
        assert terminal.printed() == []
        terminal.clock.advance(10)
        assert terminal.happened(events.DatagramsDropped) == [
            events.DatagramsDropped(
                listener="console", room="lobby", reason="console-behind", count=2, window=10.0
            )
        ]

    def test_others_lose_nothing(self, terminal: Terminal) -> None:
        terminal.hear(OTHER)
        terminal.transport.producer.pauseProducing()
        terminal.hear(GUEST, b"1", b"2")
        assert terminal.sent() == [(OTHER, b"1"), (OTHER, b"2")]
        assert terminal.relay.hub.roster.deliveries == 2

    def test_when_it_has_caught_up_lines_are_printed_again(self, terminal: Terminal) -> None:
        terminal.transport.producer.pauseProducing()
        terminal.hear(GUEST, b"1")
        terminal.transport.producer.resumeProducing()
        terminal.hear(GUEST, b"2")
        assert terminal.printed() == ["[127.0.0.1:61207] 2"]

    @pytest.mark.parametrize("end", [Console.writeConnectionLost, Console.stopProducing])
    def test_one_that_is_gone_gets_nothing_and_the_relay_goes_on(
        self, terminal: Terminal, end: Any
    ) -> None:
        end(terminal.console)
        terminal.hear(OTHER)
        terminal.hear(GUEST, b"hello")
        assert terminal.printed() == []
        assert terminal.sent() == [(OTHER, b"hello")]
