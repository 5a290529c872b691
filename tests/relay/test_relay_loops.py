"""Loops: found, muted, reported, and over."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from relay_driver import ANNA, BERT, CARL, LABELLED, Relay, reports, with_room

from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.census import Census
from udprelay.relay.events import LoopFound, LoopOver
from udprelay.relay.fan_out import FanOutBatch
from udprelay.relay.gate import Gate
from udprelay.relay.loop_trial import MAX_COPIES, is_copy, tail_of
from udprelay.relay.loop_watch import LONE_COPIES
from udprelay.relay.loops import MAX_MUTE, Loops
from udprelay.relay.output import Output
from udprelay.relay.rules import Limits, RelayRules
from udprelay.segments import Segments

TALKER = "10.7.7.9:9"
ECHO, OTHER_ECHO = "10.7.7.7:7", "10.7.7.8:7"
RETURN = 0.002
"""Seconds until an echo program has returned a datagram."""


class Room:
    """
    A room with Anna, Bert, and programs that return what they are sent.

    :ivar returning: whether the programs are running.
    """

    def __init__(self, *echoes: str, rules: RelayRules | None = None, copies: int = 1) -> None:
        self.relay = Relay(rules)
        self.relay.join(ANNA, BERT, *echoes)
        self.echoes = echoes
        self.copies = copies
        self.returning = True

    def run(self, seconds: float) -> None:
        """Let time pass, and let the programs return what they are sent."""
        relay = self.relay
        end = relay.now + seconds
        while relay.now < end:
            relay.wait(RETURN)
            sent = [(echo, payload) for echo in self.echoes for payload in relay.inboxes[echo]]
            for echo in self.echoes:
                relay.inboxes[echo].clear()
            if sent and self.returning:
                relay.receive_batch(*sent * self.copies)

    def say(self, text: bytes) -> int:
        """Let Anna say a text; return how often Bert hears it within a second."""
        self.relay.receive(ANNA, text)
        self.run(1)
        return sum(text in payload for payload in self.heard())

    def heard(self) -> list[bytes]:
        """Return what Bert has heard since the last call."""
        heard = self.relay.inboxes[BERT][:]
        self.relay.inboxes[BERT].clear()
        return heard

    def found(self) -> list[LoopFound]:
        return self.relay.events(LoopFound)


def two_echoes(rules: RelayRules | None = None) -> Room:
    return Room(ECHO, OTHER_ECHO, rules=rules)


def repeat(
    relay: Relay, sender: str, payload: bytes, times: int = 5, period: float = 0.001
) -> None:
    for _ in range(times):
        relay.wait(period)
        relay.receive(sender, payload)


def held_back(payload: bytes = b"x") -> Relay:
    """Return a relay that holds back what Anna sends."""
    relay = Relay()
    relay.join(ANNA, BERT)
    say_first(relay, payload)
    repeat(relay, ANNA, payload)
    assert relay.inboxes[BERT] == [payload] * 5
    del relay.inboxes[BERT][0]
    relay.inboxes[ANNA].clear()
    return relay


def say_first(relay: Relay, payload: bytes) -> None:
    """Let another say a payload that may come back from Anna."""
    relay.join(TALKER)
    relay.wait(0.001)
    relay.receive(TALKER, payload)


def test_a_loop_is_found_within_a_second_and_dies_out() -> None:
    room = two_echoes()
    assert 1 <= room.say(b"once") < 20
    found = room.found()
    assert found
    assert {event.address for event in found} <= {ECHO, OTHER_ECHO}
    assert {(event.room, event.listener, event.seconds) for event in found} == {
        ("lobby", "main", 1.0)
    }
    room.run(60)
    assert room.heard() == []
    assert room.relay.hub.census.read()["loops"] == len(found)


@pytest.mark.parametrize("text", [b"once", b"once\n", b"one\ntwo\n", b"one: 1\r\ntwo: 2\r\n"])
def test_labels_that_grow_hide_no_loop(text: bytes) -> None:
    room = two_echoes(LABELLED)
    room.say(text)
    assert room.found()


def test_large_datagrams_are_compared_by_their_ends() -> None:
    room = two_echoes()
    room.say(bytes(60_000))
    assert room.found()


def test_a_loop_that_multiplies_is_found() -> None:
    room = Room(ECHO, OTHER_ECHO, copies=2)
    assert room.say(b"once") < 200
    room.run(5)
    assert room.found()
    room.heard()
    room.run(60)
    assert room.heard() == []


def test_a_member_that_returns_twice_at_once_is_muted_once() -> None:
    relay = held_back()
    while len(relay.inboxes[BERT]) < 5:
        relay.wait(0.01)
    relay.receive(ANNA, b"x")
    while len(relay.inboxes[BERT]) < 6:
        relay.wait(0.01)
    relay.receive_batch((ANNA, b"x"), (BERT, b"y"), (ANNA, b"x"))
    (found,) = relay.events(LoopFound)
    assert (found.address, found.seconds) == (ANNA, 1.0)
    assert relay.dropped()["loop"] == 2


def test_a_mute_ends_though_others_are_remembered() -> None:
    room = two_echoes()
    room.returning = False
    repeat(room.relay, BERT, b"x", 300)
    room.run(0.1)
    room.returning = True
    room.say(b"once")
    room.returning = False
    room.run(15)
    assert room.relay.events(LoopOver)


def test_only_the_member_in_the_loop_is_muted() -> None:
    room = two_echoes()
    room.say(b"once")
    room.relay.receive(BERT, b"hello")
    room.relay.receive(ANNA, b"hello, too")
    assert room.heard() == [b"hello, too"]
    assert room.relay.inboxes[ANNA][-1] == b"hello"


def test_drops_of_a_muted_member_are_reported() -> None:
    room = two_echoes()
    room.say(b"once")
    muted = room.found()[0].address
    room.relay.receive(muted, b"something else")
    assert b"something else" not in room.heard()
    room.run(11)
    (report,) = reports(room.relay.drain_events())
    assert (report.reason, report.room, report.listener) == ("loop", "lobby", "main")
    assert report.count >= 2


def test_an_empty_datagram_keeps_a_muted_member_in_the_room() -> None:
    room = two_echoes(with_room(idle_timeout=10))
    room.say(b"once")
    muted = room.found()[0].address
    room.relay.receive(muted)
    room.relay.wait(9.5)
    assert muted in room.relay.members()


def test_a_mute_ends_by_itself_and_the_loop_is_over() -> None:
    room = two_echoes()
    room.say(b"once")
    found = room.found()
    muted = found[0].address
    room.returning = False
    room.run(1)
    room.relay.receive(muted, b"back again")
    assert room.heard() == [b"back again"]
    room.run(11)
    over = room.relay.events(LoopOver)
    assert {event.address for event in over} == {event.address for event in found}
    assert sum(event.dropped for event in over) >= 1


def test_a_loop_that_goes_on_is_muted_for_longer_each_time() -> None:
    room = Room(ECHO, OTHER_ECHO)
    seconds: list[float] = []
    for _ in range(900):
        room.relay.receive(ANNA, b"again")
        room.run(0.4)
        for event in room.found():
            if event.address == ECHO:
                seconds.append(event.seconds)
        if room.relay.now > 1000 + 350:
            break
    assert seconds[:4] == [1.0, 4.0, 16.0, 64.0]
    assert max(seconds) <= MAX_MUTE


def test_a_member_that_leaves_is_in_no_loop() -> None:
    room = two_echoes()
    room.say(b"once")
    (muted, *_) = room.found()
    room.relay.hub.kick(room.relay.member(muted.address), room.relay.now)
    room.run(1)
    over = [event.address for event in room.relay.events(LoopOver)]
    assert over == [muted.address]


def test_one_echo_program_is_no_loop() -> None:
    room = Room(ECHO)
    for _ in range(20):
        assert room.say(b"hello") == 2
    assert not room.found()


def test_what_honest_senders_send_meanwhile_is_delivered_in_order() -> None:
    relay = held_back()
    relay.receive(ANNA, b"y")
    relay.receive(BERT, b"z")
    assert relay.inboxes[ANNA] == [b"z"]
    relay.wait(0.05)
    relay.receive(ANNA, b"x", b"x")
    assert relay.inboxes[BERT] == [*[b"x"] * 5, b"y", b"x", b"x"]
    assert not relay.events(LoopFound)


def test_a_sender_that_waits_for_its_receiver_is_no_loop() -> None:
    relay = Relay()
    relay.join(ANNA, BERT)
    for _ in range(LONE_COPIES - 1):
        relay.receive(ANNA, b"x")
        assert relay.inboxes[BERT].pop() == b"x"
        relay.now += 0.001


def test_members_that_repeat_a_payload_one_after_the_other_are_no_loop() -> None:
    relay = Relay()
    relay.join(ANNA, BERT, CARL)
    for sender in (ANNA, BERT):
        for _ in range(20):
            relay.receive(sender, b"x")
            assert relay.inboxes[CARL].pop() == b"x"
            relay.now += 0.001


def test_many_copies_of_a_payload_whose_origin_is_unknown_are_tried() -> None:
    relay = Relay()
    relay.join(ANNA, BERT)
    repeat(relay, ANNA, b"x", LONE_COPIES)
    assert len(relay.inboxes[BERT]) == LONE_COPIES - 1


def test_a_muted_member_that_leaves_is_out_of_its_loop() -> None:
    room = two_echoes()
    room.say(b"once")
    (muted, *_) = room.found()
    relay = room.relay
    relay.hub.kick(relay.member(muted.address), relay.now)
    assert muted.address in {event.address for event in relay.events(LoopOver)}


def test_what_is_held_back_is_counted() -> None:
    assert held_back().hub.census.read()["queues.loop"] == 1


def test_who_stops_sending_loses_nothing() -> None:
    relay = held_back()
    repeat(relay, ANNA, b"x", 10)
    relay.wait(1)
    assert relay.inboxes[BERT] == [b"x"] * 15
    counts = relay.hub.census.read()
    assert (counts["listeners.main.datagrams"], counts["listeners.main.bytes"]) == (16, 16)
    assert counts["queues.loop"] == 0


def test_many_datagrams_of_one_sender_are_not_held_back_for_long() -> None:
    relay = held_back()
    relay.receive_batch(*[(ANNA, b"x")] * MAX_COPIES)
    assert len(relay.inboxes[BERT]) == 5 + MAX_COPIES


def test_large_datagrams_of_one_sender_are_not_held_back_for_long() -> None:
    relay = held_back(bytes(60_000))
    relay.receive(ANNA, *[bytes(60_000)] * 17)
    assert len(relay.inboxes[BERT]) == 22


def test_an_honest_sender_is_not_suspected_again_soon() -> None:
    relay = held_back()
    repeat(relay, ANNA, b"x", 4000)
    relay.inboxes[BERT].clear()
    repeat(relay, ANNA, b"x", 9)
    assert len(relay.inboxes[BERT]) == 9


def test_what_a_relay_has_not_read_counts_as_sent() -> None:
    relay = held_back()
    # Stopped for a while: the timer comes before the datagrams that wait.
    relay.now += 0.5
    relay.expire()
    assert len(relay.inboxes[BERT]) == 4
    repeat(relay, ANNA, b"x", 2)
    assert len(relay.inboxes[BERT]) == 7


def test_a_relay_that_is_late_again_and_again_delivers_in_the_end() -> None:
    relay = held_back()
    for _ in range(20):
        relay.now += 0.5
        relay.expire()
    assert len(relay.inboxes[BERT]) == 5


def test_held_back_datagrams_of_a_member_that_leaves_are_counted() -> None:
    relay = held_back()
    relay.hub.kick(relay.member(ANNA), relay.now)
    relay.wait(1)
    assert relay.inboxes[BERT] == [b"x"] * 4
    assert relay.dropped()["loop"] == 1


def test_held_back_datagrams_are_counted_when_the_relay_stops() -> None:
    relay = held_back()
    assert relay.dropped()["loop"] == 1


def test_what_comes_with_a_new_member_is_held_back_too() -> None:
    relay = held_back()
    relay.receive_batch((ANNA, b"x"), (CARL, b"hello"))
    assert relay.inboxes[BERT] == [*[b"x"] * 4, b"hello"]
    assert relay.inboxes[CARL] == []


def test_what_a_member_without_a_listener_has_sent_is_delivered_late_too() -> None:
    relay = Relay()
    relay.join(ANNA)
    output, census = Output(1.0, frozenset(), Census()), Census()
    late = FanOutBatch(
        output, Loops(output, Gate(output, Limits(), Census()), census, 0.0), log_payloads=False
    )
    late.add_late([(relay.console(), Segments(b"x", 1), 0)], relay.now)
    (fan_out,) = late.finish(None, relay.now)
    assert [segments.data for _, segments, _ in fan_out.runs] == [b"x"]


def test_another_room_is_not_held_back() -> None:
    relay = held_back()
    console = relay.console("attic")
    other = relay.hub.add_local(
        "attic", "other", MemberKind.CONSOLE, relay.new_transport("other"), relay.now
    )
    relay.send(other, b"x")
    assert relay.inboxes[console.name] == [b"x"]


def test_the_console_is_never_held_back() -> None:
    relay = Relay()
    relay.join(BERT)
    console = relay.console()
    for _ in range(9):
        relay.wait(0.001)
        relay.send(console, b"x")
    relay.wait(0.01)
    assert len(relay.inboxes[BERT]) == 9


def test_slow_repetition_is_no_suspicion() -> None:
    relay = Relay()
    relay.join(ANNA, BERT)
    for number in range(50):
        relay.wait(0.15)
        relay.receive(ANNA, b"x")
        assert len(relay.inboxes[BERT]) == number + 1


def test_many_members_that_send_the_same_are_no_suspicion() -> None:
    relay = Relay()
    players = [f"10.1.0.{number}:1" for number in range(40)]
    relay.join(BERT, *players)
    for round_ in range(1, 9):
        relay.wait(0.02)
        relay.receive_batch(*((player, b"x") for player in players))
        assert len(relay.inboxes[BERT]) == 40 * round_


def test_few_members_are_remembered() -> None:
    relay = Relay()
    relay.join(BERT)
    for number in range(300):
        sender = f"10.1.{number // 200}.{number % 200}:1"
        relay.join(sender)
        say_first(relay, b"%d" % number)
        repeat(relay, sender, b"%d" % number, 40)
        if number % 3:
            relay.hub.kick(relay.member(sender), relay.now)
    assert 1 <= relay.hub.census.read()["tables.loops"] <= 256


def test_few_members_are_remembered_though_all_stay() -> None:
    relay = Relay()
    relay.join(BERT)
    for number in range(270):
        sender = f"10.1.{number // 200}.{number % 200}:1"
        relay.join(sender)
        say_first(relay, b"%d" % number)
        repeat(relay, sender, b"%d" % number, 40)
    assert relay.hub.census.read()["tables.loops"] == 256


TEXTS: Iterable[tuple[bytes, bytes, bool]] = [
    (b"hello", b"hello", True),
    (b"hello", b"guest-1: hello", True),
    (b"hello", b"guest-2: guest-1: hello", True),
    (b"hello", b"say hello", False),
    (b"hello", b"hello!", False),
    (b"guest-1: one\nguest-1: two\n", b"guest-2: guest-1: one\nguest-2: guest-1: two\n", True),
    (b"guest-1: one\nguest-1: two\n", b"guest-2: guest-1: one\nguest-2: guest-1: three\n", False),
    (b"\x01\n\x02", b"\x02", False),
    (bytes(5000), bytes(6000), True),
    (bytes(5000), bytes(5), False),
]


@pytest.mark.parametrize(("payload", "other", "copy"), TEXTS)
def test_a_copy_may_have_more_labels(payload: bytes, other: bytes, copy: bool) -> None:
    assert is_copy(other, tail_of(payload)) is copy
