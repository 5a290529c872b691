"""What an operator can list and do, on every room, as a member of one or of none."""

from __future__ import annotations

import pytest
from relay_driver import ANNA, BERT, CARL, LABELLED, Relay, open_to_all
from relay_session import SessionRelay, joined

from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.protocol.wire.from_relay import Bye
from udprelay.protocol.wire.members import MemberKind
from udprelay.protocol.wire.sequenced import Data, Private
from udprelay.relay import events
from udprelay.relay.operator import MemberInfo, NotFoundError, Operator, OperatorError
from udprelay.relay.rules import RelayRules, RoomRules

TWO_ROOMS = open_to_all(lobby=RoomRules(), attic=RoomRules())


class Desk:
    """A relay and an operator."""

    def __init__(self, relay: Relay | None = None, name: str = "ops") -> None:
        self.relay = relay or Relay(TWO_ROOMS)
        self.driver = self.relay.driver
        self.events: list[events.Event] = []
        self.driver.publish = self.events.append
        self.transport = self.relay.new_transport(name)
        self.operator = Operator(self.driver, name, self.transport)

    def front_end(self, name: str) -> Operator:
        return Operator(self.driver, name, self.relay.new_transport(name))

    def acted(self) -> list[tuple[str, str, str, str]]:
        """Return the fields of the reports of actions."""
        acted = [one for one in self.events if isinstance(one, events.OperatorActed)]
        return [(one.operator, one.action, one.room, one.member) for one in acted]


@pytest.fixture
def desk() -> Desk:
    """A relay with ANNA and BERT in the lobby and CARL in the attic."""
    desk = Desk()
    desk.relay.join(ANNA, BERT, listener="lobby")
    desk.relay.join(CARL, listener="attic")
    desk.events.clear()
    return desk


class TestLists:
    def test_all_rooms_with_their_counters(self, desk: Desk) -> None:
        desk.relay.receive(ANNA, b"hello", listener="lobby")
        assert desk.operator.rooms() == [
            events.RoomStatistics(room="lobby", members=2, datagrams=1, bytes=5, deliveries=1),
            events.RoomStatistics(room="attic", members=1, datagrams=0, bytes=0, deliveries=0),
        ]

    def test_the_members_of_one_room_or_of_all(self, desk: Desk) -> None:
        desk.relay.now += 5
        kind = MemberKind.PLAIN
        carl = MemberInfo("attic", 1, "guest-1", kind, CARL, 5.0)
        assert desk.operator.members("attic") == [carl]
        assert desk.operator.members() == [
            MemberInfo("lobby", 1, "guest-1", kind, ANNA, 5.0),
            MemberInfo("lobby", 2, "guest-2", kind, BERT, 5.0),
            carl,
        ]

    def test_members_that_never_time_out_are_not_silent(self, desk: Desk) -> None:
        desk.operator.join("attic")
        desk.relay.target("10.0.0.9:9", "attic", "attic")
        assert [member.silent for member in desk.operator.members("attic")[1:]] == [None, None]

    @pytest.mark.parametrize("who", ["guest-2", BERT, 2])
    def test_find_a_member_by_name_address_or_number(self, desk: Desk, who: str | int) -> None:
        assert desk.operator.find("lobby", who).address == BERT

    def test_nothing_of_a_room_that_is_not_open(self, desk: Desk) -> None:
        with pytest.raises(NotFoundError, match=r"^cellar: no such room$"):
            desk.operator.members("cellar")

    def test_find_neither_strangers_nor_oneself(self, desk: Desk) -> None:
        desk.operator.join("lobby")
        for who in ("guest-9", "console"):
            with pytest.raises(NotFoundError, match=rf"^{who}: no such member$"):
                desk.operator.find("lobby", who)

    def test_an_empty_name_is_not_that_of_a_member_without_an_address(self, desk: Desk) -> None:
        desk.front_end("page").join("lobby")
        with pytest.raises(NotFoundError):
            desk.operator.find("lobby", "")


class TestJoin:
    def test_makes_a_member_that_gets_the_messages(self, desk: Desk) -> None:
        desk.operator.join("lobby")
        desk.relay.receive(ANNA, b"hello", listener="lobby")
        desk.relay.receive(CARL, b"not for you", listener="attic")
        assert desk.relay.inboxes["console"] == [b"hello"]
        assert desk.operator.members("lobby")[2].kind is MemberKind.CONSOLE

    def test_leaves_the_room_before(self, desk: Desk) -> None:
        desk.operator.join("lobby")
        desk.operator.join("attic")
        present = [member.room for member in desk.operator.members() if member.name == "console"]
        assert present == ["attic"]
        left = [event for event in desk.events if isinstance(event, events.MemberLeft)]
        assert [(one.room, one.reason) for one in left] == [("lobby", "left")]

    def test_again_changes_nothing(self, desk: Desk) -> None:
        desk.operator.join("lobby")
        before = desk.operator.members()
        desk.operator.join("lobby")
        assert desk.operator.members() == before

    def test_opens_only_rooms_of_the_configuration(self) -> None:
        desk = Desk()
        desk.operator.join("attic")
        with pytest.raises(NotFoundError, match=r"^cellar: no such room$"):
            desk.operator.join("cellar")
        assert (desk.operator.room, [one.room for one in desk.operator.rooms()]) == (
            "attic",
            ["attic"],
        )


class TestSay:
    def test_a_member_of_the_room_says_it_as_itself(self, desk: Desk) -> None:
        desk.operator.join("lobby")
        desk.operator.say("lobby", b"hello")
        assert desk.relay.inboxes == {ANNA: [b"hello"], BERT: [b"hello"]}
        assert desk.acted() == []

    def test_others_join_for_the_moment(self, desk: Desk) -> None:
        desk.operator.join("lobby")
        desk.operator.say("attic", b"hello")
        assert desk.relay.inboxes == {CARL: [b"hello"]}
        assert [member.name for member in desk.operator.members("attic")] == ["guest-1"]
        assert desk.operator.room == "lobby"
        assert desk.acted() == [("ops", "say", "attic", "")]

    def test_session_members_see_who_says_it(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        Desk(relay).operator.say("lobby", b"hello")
        (data,) = anna.drain(Data)
        assert (data.number, data.payload) == (2, b"hello")

    def test_needs_a_text(self, desk: Desk) -> None:
        with pytest.raises(OperatorError, match=r"^no text to send$"):
            desk.operator.say("attic", b"")
        assert desk.acted() == []

    def test_not_to_a_room_that_is_not_open(self) -> None:
        desk = Desk()
        with pytest.raises(NotFoundError):
            desk.operator.say("attic", b"hello")
        assert (desk.operator.rooms(), desk.acted()) == ([], [])


class TestTell:
    def test_reaches_one_member_of_any_room(self, desk: Desk) -> None:
        desk.operator.join("lobby")
        desk.operator.tell("attic", CARL, b"psst")
        desk.operator.tell("lobby", BERT, b"psst")
        assert sorted(desk.relay.replies()) == [(BERT, b"psst"), (CARL, b"psst")]
        assert desk.acted() == [("ops", "tell", "attic", "guest-1")]

    def test_has_the_label_of_the_room(self) -> None:
        desk = Desk(Relay(LABELLED))
        desk.relay.join(ANNA)
        desk.operator.tell("lobby", 1, b"psst")
        desk.operator.tell("lobby", 1, b"a\nb\x1b")
        assert desk.relay.replies() == [
            (ANNA, b"console: psst"),
            (ANNA, b"console: a\nconsole: b\\x1b"),
        ]
        with pytest.raises(OperatorError, match="more than 65507 bytes with its label"):
            desk.operator.tell("lobby", 1, b"x" * MAX_PAYLOAD)

    def test_is_private_to_a_session_member(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        desk = Desk(relay)
        desk.operator.tell("lobby", anna.session.number, b"x" * 1184)
        with pytest.raises(OperatorError, match="at most 1184 bytes"):
            desk.operator.tell("lobby", anna.session.number, b"x" * 1185)
        (private,) = anna.drain(Private)
        assert (private.number, len(private.payload)) == (2, 1184)

    def test_reaches_a_local_member(self, desk: Desk) -> None:
        desk.operator.join("lobby")
        desk.front_end("page").tell("lobby", "console", b"psst")
        assert desk.transport.replies == [("console", b"psst")]

    def test_needs_a_text_and_a_member(self, desk: Desk) -> None:
        with pytest.raises(OperatorError, match=r"^no text to send$"):
            desk.operator.tell("lobby", 1, b"")
        with pytest.raises(NotFoundError, match=r"^9: no such member$"):
            desk.operator.tell("lobby", 9, b"psst")
        assert desk.acted() == []


class TestKick:
    def test_removes_and_refuses_a_member_of_any_room(self, desk: Desk) -> None:
        kicked = desk.operator.kick("attic", CARL)
        assert (kicked.room, kicked.address) == ("attic", CARL)
        desk.relay.receive(CARL, b"let me in", listener="attic")
        assert [one.room for one in desk.operator.rooms()] == ["lobby"]

    def test_is_reported_before_the_member_leaves(self, desk: Desk) -> None:
        desk.operator.kick("attic", 1)
        ids = [event.id for event in desk.events]
        assert ids == ["operator.acted", "member.left", "room.closed"]
        assert desk.acted() == [("ops", "kick", "attic", "guest-1")]

    def test_a_session_member_is_told(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        Desk(relay).operator.kick("lobby", anna.session.number)
        assert [bye.code for bye in anna.drain(Bye)] == ["kicked"]

    def test_a_target_stays(self, desk: Desk) -> None:
        target = desk.relay.target("10.0.0.9:9", "lobby", "lobby")
        with pytest.raises(OperatorError, match="cannot be kicked: it is a target"):
            desk.operator.kick("lobby", target.number)
        assert (target.slot, desk.acted()) == (2, [])

    def test_another_front_end_goes_on_without_a_room(self, desk: Desk) -> None:
        console = desk.front_end("console")
        console.join("lobby")
        desk.operator.kick("lobby", "console")
        assert console.room is None
        assert len(console.members()) == 3
        console.join("lobby")
        assert console.room == "lobby"


class TestAnotherCommand:
    """An operator command is a method of a front end or of the operator; nothing else changes."""

    class Cleaner(Operator):
        def clear(self, room: str) -> list[MemberInfo]:
            """Kick all members of a room."""
            return [self.kick(room, member.number) for member in self.members(room)]

    def test_has_all_it_needs(self, desk: Desk) -> None:
        nowhere = desk.relay.new_transport("cleaner")
        kicked = self.Cleaner(desk.driver, "cleaner", nowhere).clear("lobby")
        assert [member.address for member in kicked] == [ANNA, BERT]
        assert {acted[0] for acted in desk.acted()} == {"cleaner"}
        assert [one.room for one in desk.operator.rooms()] == ["attic"]


def test_rules_without_listeners_of_a_room_still_name_it() -> None:
    desk = Desk(Relay(RelayRules(rooms={"attic": RoomRules()})))
    desk.operator.join("attic")
    assert desk.operator.room == "attic"
