"""The renderings of a fan-out, and the groups that get them."""

from __future__ import annotations

from collections import defaultdict

from relay_driver import ANNA, BERT, Inboxes, Relay
from relay_session import SessionRelay, joined

from udprelay.protocol.wire.header import RELIABLE, RESUBMITTED
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.room import Group, Rendering, Room
from udprelay.relay.rules import Label, RoomRules
from udprelay.segments import Segments


def rendered(relay: Relay, source: str, datagram: bytes) -> dict[Rendering, list[bytes]]:
    """Return what each group gets of one datagram."""
    batch = [(source, Segments(datagram, len(datagram)))]
    (fan_out,) = relay.hub.receive(relay.listeners["main"], batch, relay.now)
    return {
        group.rendering: [
            payload for _, segments, _ in fan_out.rendered(group.rendering) for payload in segments
        ]
        for group, _ in fan_out.groups
    }


def test_a_room_of_plain_members_has_one_rendering() -> None:
    relay = Relay()
    relay.join(ANNA, BERT)
    assert rendered(relay, ANNA, b"hello") == {Rendering.BARE: [b"hello"]}


def test_each_group_gets_its_rendering() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    relay.target("192.0.2.7:2055")
    renderings = rendered(relay, anna.source, anna.data(b"hello", 0))
    assert [len(datagram) for datagram in renderings[Rendering.FRAMED]] == [30 + 5]
    assert renderings[Rendering.BARE] == [b"hello"]


def test_resubmitted_data_is_never_bare() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    relay.target("192.0.2.7:2055")
    renderings = rendered(relay, anna.source, anna.data(b"hello", RELIABLE | RESUBMITTED))
    assert len(renderings[Rendering.FRAMED]) == 1
    assert renderings[Rendering.BARE] == []


def test_the_kind_of_a_member_decides_its_rendering() -> None:
    room = Room("lobby", RoomRules(label=Label.NICK))
    kinds = (MemberKind.PLAIN, MemberKind.SESSION, MemberKind.TARGET)
    groups = [room.group(Inboxes("one", defaultdict(list)), kind) for kind in kinds]
    assert [group.rendering for group in groups] == [
        Rendering.LABELLED,
        Rendering.FRAMED,
        Rendering.BARE,
    ]


def test_each_transport_and_rendering_has_its_own_group() -> None:
    room, inboxes = Room("lobby", RoomRules()), defaultdict[str, list[bytes]](list)
    groups: set[Group] = {
        room.group(transport, kind)
        for transport in (Inboxes("one", inboxes), Inboxes("two", inboxes))
        for kind in (MemberKind.PLAIN, MemberKind.SESSION)
    }
    assert len(groups) == 4
