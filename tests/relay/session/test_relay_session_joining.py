"""JOIN: how a client becomes a session member."""

from __future__ import annotations

from relay_driver import ANNA, BERT, CARL
from relay_session import Client, SessionRelay, joined, session_rules

from udprelay.protocol import keys
from udprelay.protocol.wire.entries import JoinEntry, LeaveEntry
from udprelay.protocol.wire.joining import Hello, Welcome
from udprelay.protocol.wire.members import MemberKind
from udprelay.protocol.wire.sequenced import Entry
from udprelay.relay.events import MemberJoined, MemberLeft
from udprelay.relay.rules import Label, Limits, Protocol


class TestJoin:
    def test_adds_a_member(self) -> None:
        relay = SessionRelay()
        client = Client(relay)
        welcome = client.join()
        session = client.session
        assert (session.name, session.source, session.room.name) == ("anna", ANNA, "lobby")
        assert welcome == Welcome(
            nonce=client.last_nonce,
            session_id=session.id,
            number=1,
            tag=relay.room_log().tag,
            newest=1,
            first=2,
            nick="anna",
            keepalive=10_000,
            idle=45_000,
            largest=1200,
            allowance=(10_000, 16 * 2**20),
            next_own=(1, 1),
            newest_private=0,
            members=(relay.room_log().record(session),),
            history=(852, 64),
        )

    def test_has_an_event(self) -> None:
        relay = SessionRelay()
        Client(relay).join()
        assert relay.events(MemberJoined) == [
            MemberJoined(
                room="lobby", member="anna", kind="session", address=ANNA, listener="main"
            )
        ]

    def test_is_an_entry_for_the_other_members(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        bert = Client(relay, BERT, "bert")
        bert.join(own=(7, 1))
        (entry,) = anna.drain(Entry)
        assert (entry.sequence, entry.number) == (2, 2)
        assert entry.body == JoinEntry("bert", MemberKind.SESSION, bert.identity, 6, b"")
        assert bert.drain() == []

    def test_the_options_of_the_room_are_in_the_welcome(self) -> None:
        room = {"session_timeout": 8.0, "member_rate": 0.5, "member_bandwidth": 1000}
        welcome = Client(SessionRelay(session_rules(room=room))).join()
        assert (welcome.keepalive, welcome.idle) == (2000, 8000)
        assert welcome.allowance == (1, 1000)

    def test_the_members_are_in_the_welcome_without_targets(self) -> None:
        relay = SessionRelay()
        relay.receive(CARL)
        relay.target("192.0.2.7:2055")
        relay.console()
        welcome = Client(relay).join()
        assert [(m.number, m.nick, m.kind) for m in welcome.members] == [
            (1, "guest-1", MemberKind.PLAIN),
            (3, "console", MemberKind.CONSOLE),
            (4, "anna", MemberKind.SESSION),
        ]

    def test_a_long_roster_is_continued_by_roster_requests(self) -> None:
        relay = SessionRelay()
        for number in range(200):
            relay.receive(f"10.1.0.1:{1000 + number}")
        welcome = Client(relay).join()
        assert welcome.more_from == len(welcome.members) + 1

    def test_the_nick_is_normalised(self) -> None:
        assert Client(SessionRelay(), nick="  Anna ").join().nick == "Anna"

    def test_a_wrong_cookie_is_not_answered(self) -> None:
        relay = SessionRelay()
        client = Client(relay)
        assert client.try_to_join(cookie=b"wrong") is None
        assert relay.dropped() == {"cookie": 1}

    def test_the_cookie_of_another_address_is_invalid(self) -> None:
        relay = SessionRelay()
        stolen = Client(relay, BERT).hello()
        assert Client(relay, ANNA).try_to_join(cookie=stolen.cookie) is None

    def test_a_cookie_expires(self) -> None:
        relay = SessionRelay()
        client = Client(relay)
        join = client.join_datagram()
        relay.wait(60)
        client.send(join.encode())
        assert client.drain() == []
        assert relay.dropped() == {"cookie": 1}

    def test_two_clients_at_one_address_are_two_members(self) -> None:
        relay = SessionRelay()
        assert Client(relay, ANNA, "anna").join().number == 1
        assert Client(relay, ANNA, "bert").join().number == 2

    def test_the_plain_member_at_the_address_is_replaced(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.receive(BERT, b"plain")
        Client(relay, BERT, "bert").join()
        assert relay.members() == set()
        assert [event.reason for event in relay.events(MemberLeft)] == ["replaced"]
        bodies = [entry.body for entry in anna.drain(Entry)]
        assert bodies[1] == LeaveEntry("replaced")
        assert [type(body) for body in bodies] == [JoinEntry, LeaveEntry, JoinEntry]

    def test_a_plain_listener_relays_session_datagrams_as_payloads(self) -> None:
        relay = SessionRelay(session_rules(protocol=Protocol.PLAIN))
        relay.join(BERT)
        hello = Hello(bytes(8), "lobby").encode()
        relay.receive(ANNA, hello)
        assert relay.inboxes == {BERT: [hello]}

    def test_a_session_listener_drops_plain_datagrams(self) -> None:
        relay = SessionRelay(session_rules(protocol=Protocol.SESSION))
        relay.receive(CARL, b"plain")
        assert Client(relay).join().number == 1
        assert relay.members() == set()
        assert relay.dropped() == {"session-only": 1}


def test_session_ids_and_tags_are_unique() -> None:
    relay = SessionRelay(
        session_rules(Limits(source_rooms=0, source_members=0, join_burst=10_000))
    )
    ids = {client.id for client in joined(relay, *(f"n{n}" for n in range(50)))}
    tags = {Client(relay, nick=f"x{n}", room=f"room-{n}").join().tag for n in range(50)}
    assert len(ids | tags) == 100
    assert not any(keys.identity(bytes(16))[:8] == one for one in ids)


def test_a_reopened_room_has_another_tag() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    before = anna.welcome.tag
    relay.wait(46)
    assert anna.join().tag != before


def test_session_members_get_no_labels() -> None:
    relay = SessionRelay(session_rules(room={"label": Label.NICK}))
    anna, bert = joined(relay, "anna", "bert")
    relay.receive(CARL, b"plain")
    anna.send_data(b"hello")
    assert [one.payload for one in bert.drain() if not isinstance(one, Entry)] == [
        b"plain",
        b"hello",
    ]
    assert relay.inboxes[CARL] == [b"anna: hello"]
