"""The commands of the console."""

from __future__ import annotations

import pytest
from console_terminal import GUEST, KEY, OTHER, SIX, Anna, Terminal

from udprelay.console import HELP
from udprelay.protocol.wire.from_relay import Bye
from udprelay.protocol.wire.sequenced import Data, Private
from udprelay.relay import events
from udprelay.relay.operator import Operator
from udprelay.relay.rules import ListenerRules, RelayRules, RoomRules


class TestReply:
    def test_sends_to_the_last_sender_alone(self, terminal: Terminal) -> None:
        terminal.receive(OTHER, b"first")
        terminal.receive(GUEST, b"second")
        terminal.sent()
        terminal.type("/reply hello client")
        assert terminal.sent() == [(GUEST, b"hello client\n")]

    def test_an_empty_datagram_does_not_make_the_last_sender(self, terminal: Terminal) -> None:
        terminal.receive(OTHER, b"hello")
        terminal.receive(GUEST)
        terminal.type("/reply hello")
        assert terminal.sent() == [(OTHER, b"hello\n")]

    def test_fails_without_a_last_sender(self, terminal: Terminal) -> None:
        terminal.type("/reply hello")
        assert terminal.printed() == ["no member to reply to"]

    def test_fails_if_the_last_sender_has_left(self, terminal: Terminal) -> None:
        terminal.receive(GUEST, b"hello")
        terminal.clock.advance(300)
        terminal.printed()
        terminal.type("/reply hello")
        assert terminal.printed() == ["no member to reply to"]
        assert terminal.sent() == []

    def test_needs_a_text(self, terminal: Terminal) -> None:
        terminal.receive(GUEST, b"hello")
        terminal.printed()
        terminal.type("/reply", "/reply  ")
        assert terminal.printed() == ["no text to send"] * 2
        assert terminal.sent() == []

    def test_adds_the_label_of_the_room(self, labelled: Terminal) -> None:
        labelled.receive(GUEST, b"hello")
        labelled.type("/reply hello")
        assert labelled.sent() == [(GUEST, b"console: hello\n")]


class TestMsg:
    @pytest.mark.parametrize("who", ["guest-3", "10.0.0.2:2000"])
    def test_sends_to_one_member_by_name_or_address(self, terminal: Terminal, who: str) -> None:
        terminal.receive(GUEST)
        terminal.receive(OTHER)
        terminal.type(f"/msg {who} just  for you ")
        assert terminal.sent() == [(OTHER, b"just  for you\n")]

    def test_accepts_ipv6_addresses(self, terminal: Terminal) -> None:
        terminal.receive(SIX)
        terminal.type("/msg [::1]:6 hello")
        assert terminal.sent() == [(SIX, b"hello\n")]

    def test_fails_for_unknown_members(self, terminal: Terminal) -> None:
        terminal.type("/msg guest-9 hello", "/msg", "/msg \x1b\u202e hello", "/msg console hello")
        assert terminal.printed() == [
            "guest-9: no such member; /who lists them",
            "WHO: no such member; /who lists them",
            r"\x1b\u202e: no such member; /who lists them",
            "console: no such member; /who lists them",
        ]
        assert terminal.sent() == []

    def test_needs_a_text(self, terminal: Terminal) -> None:
        terminal.receive(GUEST)
        terminal.type("/msg guest-2", "/msg guest-2  ")
        assert terminal.printed() == ["no text to send"] * 2

    def test_sends_to_targets(self, terminal: Terminal) -> None:
        hub, now = terminal.relay.hub, terminal.relay.now()
        hub.add_target("lobby", "collector:2055", terminal.listener, OTHER, now)
        terminal.type("/msg collector:2055 hello")
        assert terminal.sent() == [(OTHER, b"hello\n")]


class TestWho:
    def test_lists_the_members_with_their_addresses_and_silence(self, terminal: Terminal) -> None:
        terminal.receive(GUEST, b"hello")
        hub, now = terminal.relay.hub, terminal.relay.now()
        hub.add_target("lobby", "collector:2055", terminal.listener, OTHER, now)
        terminal.clock.advance(12)
        terminal.receive(SIX)
        terminal.printed()
        terminal.type("/who")
        assert terminal.printed() == [
            "console      console",
            "guest-2      plain    127.0.0.1:61207  silent for 12 s",
            "collector:2055 target   10.0.0.2:2000",
            "guest-4      plain    [::1]:6  silent for 0 s",
        ]


class TestKick:
    def test_removes_a_plain_member(self, terminal: Terminal) -> None:
        terminal.receive(GUEST)
        terminal.type("/kick guest-2")
        assert terminal.printed() == ["kicked guest-2"]
        terminal.receive(GUEST, b"let me in")
        assert terminal.printed() == []
        (left,) = terminal.happened(events.MemberLeft)
        assert (left.address, left.reason) == ("127.0.0.1:61207", "kicked")

    def test_accepts_an_address(self, terminal: Terminal) -> None:
        terminal.receive(GUEST)
        terminal.type("/kick 127.0.0.1:61207")
        assert terminal.printed() == ["kicked guest-2"]

    def test_does_not_remove_targets(self, terminal: Terminal) -> None:
        hub, now = terminal.relay.hub, terminal.relay.now()
        hub.add_target("lobby", "collector:2055", terminal.listener, OTHER, now)
        terminal.type("/kick collector:2055")
        assert terminal.printed() == ["collector:2055 cannot be kicked: it is a target"]
        assert len(hub.roster.rooms["lobby"]) == 2

    def test_fails_for_unknown_members(self, terminal: Terminal) -> None:
        terminal.type("/kick guest-7", "/kick console", "/kick")
        assert [line.partition(":")[0] for line in terminal.printed()] == [
            "guest-7",
            "console",
            "WHO",
        ]


@pytest.fixture
def two_rooms() -> Terminal:
    """A console and OTHER in the lobby, and GUEST in another room."""
    attic = ListenerRules(room="my attic")
    terminal = Terminal(RelayRules(listeners={"main": ListenerRules(), "up": attic}))
    terminal.receive(GUEST, listener="up")
    terminal.receive(OTHER)
    return terminal


class TestOtherRooms:
    def test_rooms_are_listed(self, two_rooms: Terminal) -> None:
        two_rooms.type("hello", "/rooms")
        assert two_rooms.printed() == [
            "lobby        2 members, 1 datagrams in, 1 deliveries out  (here)",
            "my attic     1 members, 0 datagrams in, 0 deliveries out",
        ]

    def test_who_lists_another_room(self, two_rooms: Terminal) -> None:
        two_rooms.type("/who my attic", "/who cellar")
        assert two_rooms.printed() == [
            "guest-1      plain    127.0.0.1:61207  silent for 0 s",
            "cellar: no such room",
        ]

    def test_join_goes_to_another_room(self, two_rooms: Terminal) -> None:
        two_rooms.type("/join my attic", "hello")
        assert two_rooms.sent() == [(GUEST, b"hello\n")]
        two_rooms.receive(OTHER, b"not here")
        two_rooms.receive(GUEST, b"hello to you", listener="up")
        assert two_rooms.printed() == ["[127.0.0.1:61207] hello to you"]

    def test_join_needs_a_known_room(self, two_rooms: Terminal) -> None:
        two_rooms.type("/join cellar", "/join", "hello")
        assert two_rooms.printed() == ["cellar: no such room", "ROOM: no such room"]
        assert two_rooms.sent() == [(OTHER, b"hello\n")]

    def test_reply_reaches_a_sender_of_the_room_before(self, two_rooms: Terminal) -> None:
        two_rooms.receive(OTHER, b"hello")
        two_rooms.type("/join my attic", "/reply hello to you")
        assert two_rooms.sent() == [(OTHER, b"hello to you\n")]

    def test_kick_removes_a_member_of_another_room(self, two_rooms: Terminal) -> None:
        two_rooms.type("/kick my attic guest-1", "/kick my attic guest-9")
        assert two_rooms.printed() == [
            "kicked guest-1 from my attic",
            "my attic guest-9: no such member; /who lists them",
        ]
        (acted,) = two_rooms.happened(events.OperatorActed)
        assert (acted.operator, acted.action) == ("console", "kick")


class TestAnotherOperator:
    @pytest.fixture
    def page(self, two_rooms: Terminal) -> Operator:
        return Operator(two_rooms.relay.driver, "page", two_rooms.port)

    def test_can_send_private_messages(self, two_rooms: Terminal, page: Operator) -> None:
        page.tell("lobby", "console", b"hello\x1b")
        assert two_rooms.printed() == [r"[private] hello\x1b"]

    def test_does_not_wait_for_a_slow_terminal(self, two_rooms: Terminal, page: Operator) -> None:
        two_rooms.falls_behind()
        page.tell("lobby", "console", b"hello")
        assert two_rooms.printed() == []
        two_rooms.clock.advance(10)
        (dropped,) = two_rooms.happened(events.DatagramsDropped)
        assert (dropped.listener, dropped.reason) == ("console", "console-behind")

    def test_can_kick_it_out_of_its_room(self, two_rooms: Terminal, page: Operator) -> None:
        page.kick("lobby", "console")
        two_rooms.receive(OTHER, b"is anybody here?")
        two_rooms.type("hello")
        assert two_rooms.printed() == ["not sent: kicked from lobby; /join goes to a room"]
        assert two_rooms.sent() == []

    def test_leaves_it_its_commands(self, two_rooms: Terminal, page: Operator) -> None:
        page.kick("lobby", "console")
        two_rooms.type("/kick guest-2", "/who my attic", "/join lobby", "/rooms")
        assert two_rooms.printed() == [
            "kicked guest-2",
            "guest-1      plain    127.0.0.1:61207  silent for 0 s",
            "my attic     1 members, 0 datagrams in, 0 deliveries out",
            "lobby        1 members, 0 datagrams in, 0 deliveries out  (here)",
        ]


class TestSessionMembers:
    def test_their_messages_are_printed_with_their_nick(self, terminal: Terminal) -> None:
        Anna(terminal).send(b"hello")
        assert terminal.printed() == ["[Anna B 127.0.0.1:61207] hello"]

    def test_receive_the_lines_of_the_console(self, terminal: Terminal) -> None:
        anna = Anna(terminal)
        terminal.type("hello")
        (data,) = anna.received(Data)
        assert (data.number, data.payload) == (1, b"hello\n")
        assert [(m.number, m.kind.name) for m in anna.welcome.members] == [
            (1, "CONSOLE"),
            (2, "SESSION"),
        ]

    def test_are_listed_by_who(self, terminal: Terminal) -> None:
        Anna(terminal)
        terminal.type("/who")
        assert terminal.printed()[1] == "Anna B       session  127.0.0.1:61207  silent for 0 s"

    @pytest.mark.parametrize(
        "line", ["/msg Anna B just for you", "/msg 127.0.0.1:61207 just for you"]
    )
    def test_get_private_messages(self, terminal: Terminal, line: str) -> None:
        anna = Anna(terminal)
        terminal.type(line)
        (private,) = anna.received(Private)
        assert (private.number, private.payload) == (1, b"just for you\n")

    def test_are_not_confused_by_similar_names(self, terminal: Terminal) -> None:
        Anna(terminal)
        terminal.receive(OTHER)
        terminal.sent()
        terminal.type("/msg guest-3 Anna B is here", "/msg Anna C hello")
        assert terminal.sent() == [(OTHER, b"Anna B is here\n")]
        assert terminal.printed() == ["Anna: no such member; /who lists them"]

    def test_get_replies(self, terminal: Terminal) -> None:
        anna = Anna(terminal)
        anna.send(b"hello")
        terminal.type("/reply hello to you")
        assert [private.payload for private in anna.received(Private)] == [b"hello to you\n"]

    def test_get_only_messages_of_a_limited_size(self, terminal: Terminal) -> None:
        anna = Anna(terminal, "anna")
        terminal.type(f"/msg anna {'x' * 1184}", f"/msg anna {'x' * 1183}")
        assert terminal.printed() == ["not sent: a session member gets at most 1184 bytes"]
        assert len(anna.received(Private)) == 1

    def test_can_be_kicked(self, terminal: Terminal) -> None:
        anna = Anna(terminal)
        terminal.type("/kick Anna B")
        assert terminal.printed() == ["kicked Anna B"]
        assert [bye.code for bye in anna.received(Bye)] == ["kicked"]

    def test_sealed_messages_are_not_printed(self) -> None:
        terminal = Terminal(RelayRules(room_defaults=RoomRules(access_key=KEY)))
        Anna(terminal, badge=bytes(16), proof=bytes(32)).send(b"\x1b\x00\xff")
        assert terminal.printed() == ["[Anna B 127.0.0.1:61207] (3 bytes, sealed)"]


def test_help_lists_every_command(terminal: Terminal) -> None:
    terminal.type("/help")
    printed = terminal.printed()
    assert printed == HELP.split("\n")
    for command in ("/reply", "/msg", "/rooms", "/join", "/who", "/kick", "/help", "//"):
        assert any(command in line for line in printed)


@pytest.mark.parametrize("line", ["/quit", "/", "/HELP", "/\x1b[2J"])
def test_an_unknown_command_is_reported_and_not_sent(terminal: Terminal, line: str) -> None:
    terminal.receive(GUEST)
    terminal.type(line)
    name = line.replace("\x1b", r"\x1b")
    assert terminal.printed() == [f"{name}: no such command; /help lists them"]
    assert terminal.sent() == []
