"""The challenge: an address proves that it receives datagrams by sending back a code."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from relay_driver import ANNA, SECRET, UNTRUSTED, Relay, read_endpoint, with_room

from udprelay.relay import challenge
from udprelay.relay.events import MemberJoined
from udprelay.relay.rules import Limits, ListenerRules, RelayRules

HELLO = b"hello, is anybody here?\n"
CODE = re.compile(rb"\b\d[a-zA-Z][0-9a-zA-Z]{6}\b")
SIZES = {"whole sentence": 15, "short sentence": 8, "send": 5, "code alone": 3}


def challenged(relay: Relay, payload: bytes = HELLO, source: str = UNTRUSTED) -> bytes:
    """Send a payload from an untrusted address; return the challenge."""
    relay.receive(source, payload)
    ((to, reply),) = relay.replies()
    assert to == source
    return reply


def code_in(reply: bytes) -> bytes:
    code: bytes
    (code,) = CODE.findall(reply)
    return code


def is_member(relay: Relay, payload: bytes, source: str = UNTRUSTED) -> bool:
    """Send a payload; return whether its source is a member then."""
    relay.receive(source, payload)
    return source in relay.members()


def test_a_challenge_is_one_line_with_instructions() -> None:
    reply = challenged(Relay())
    assert re.fullmatch(rb"udprelay: to join, send this code: \d[a-z][0-9a-z]{6}\n", reply)


def test_a_challenge_is_smaller_than_three_times_its_datagram() -> None:
    for size in range(3, 201):
        reply = challenged(Relay(), b"x" * size)
        assert len(reply) < 3 * size
        assert code_in(reply)


@pytest.mark.parametrize("payload", [b"x", b"x\n"])
def test_one_or_two_bytes_get_no_challenge(payload: bytes) -> None:
    relay = Relay()
    relay.receive(UNTRUSTED, payload)
    assert relay.replies() == []
    assert relay.dropped() == {"challenge-too-short": 1}


@pytest.mark.parametrize(
    ("size", "form"),
    [
        (3, rb"[0-9A-Z]{8}"),
        (4, rb"[0-9A-Z]{8}"),
        (5, rb"send [0-9a-z]{8}\n"),
        (7, rb"send [0-9a-z]{8}\n"),
        (8, rb"to join send [0-9a-z]{8}\n"),
        (14, rb"to join send [0-9a-z]{8}\n"),
        (15, rb"udprelay: to join, send this code: [0-9a-z]{8}\n"),
    ],
)
def test_the_size_of_the_datagram_decides_the_form_of_the_challenge(
    size: int, form: bytes
) -> None:
    assert re.fullmatch(form, challenged(Relay(), b"x" * size))


def test_an_empty_datagram_gets_no_challenge() -> None:
    relay = Relay()
    relay.receive(UNTRUSTED, b"")
    assert relay.replies() == []


def as_typed(code: bytes) -> list[bytes]:
    """Return the forms in which people type a code."""
    upper = code.upper()
    misread = upper.replace(b"0", b"O").replace(b"1", b"I")
    return [
        code,
        code + b"\n",
        code + b"\r\n",
        b" " + code + b" \n",
        upper + b"\n",
        misread + b"\n",
        misread.lower() + b"\n",
        code.replace(b"1", b"l") + b"\n",
        code.replace(b"1", b"L").replace(b"0", b"o"),
    ]


@pytest.mark.parametrize("form", range(9))
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_code_admits_in_every_form_in_which_it_is_typed(size: int, form: int) -> None:
    relay = Relay()
    code = code_in(challenged(relay, b"x" * size)).lower()
    assert is_member(relay, as_typed(code)[form])


def test_a_code_admits_with_letters_in_place_of_similar_digits() -> None:
    """Few codes have a 0 or a 1, so many are tried."""
    relay = Relay(with_room(max_members=100))
    sources = [f"203.0.113.{n}:1000" for n in range(1, 101)]
    confusing = 0
    for source in sources:
        code = code_in(challenged(relay, source=source))
        confusing += any(digit in b"01" for digit in code)
        typed = code.upper().replace(b"0", b"O").replace(b"1", b"I") + b"\n"
        assert is_member(relay, typed, source)
    assert confusing > 10


def test_codes_have_no_letters_that_look_like_digits() -> None:
    relay = Relay()
    codes = {code_in(challenged(relay, source=f"203.0.{n}.1:1000")) for n in range(200)}
    assert not set("iloILO") & set(b"".join(codes).decode())
    assert len(codes) == 200


def test_a_code_is_not_relayed() -> None:
    relay = Relay()
    relay.join(ANNA)
    assert is_member(relay, code_in(challenged(relay)) + b"\n")
    assert relay.inboxes == {}
    relay.receive(UNTRUSTED, b"thanks")
    assert relay.inboxes == {ANNA: [b"thanks"]}


def test_a_challenged_payload_is_not_relayed() -> None:
    relay = Relay()
    relay.join(ANNA)
    challenged(relay, b"a payload before the code")
    assert relay.inboxes == {}


def test_a_code_makes_its_source_a_plain_member() -> None:
    relay = Relay()
    relay.receive(UNTRUSTED, code_in(challenged(relay)))
    (joined,) = relay.events(MemberJoined)
    assert (joined.kind, joined.address, joined.listener) == ("plain", UNTRUSTED, "main")


class TestValidity:
    @pytest.mark.parametrize("asked_at", [0.0, 1.0, 59.0, 59.999])
    def test_a_code_is_valid_in_its_bucket_and_the_next(self, asked_at: float) -> None:
        for waited, valid in ((0, True), (60, True), (120, False)):
            relay = Relay()
            relay.now = 6000 + asked_at
            code = code_in(challenged(relay))
            relay.now += waited
            assert is_member(relay, code) is valid

    def test_a_code_is_valid_for_at_least_60_seconds(self) -> None:
        relay = Relay()
        relay.now = 6059.999
        code = code_in(challenged(relay))
        relay.now = 6119.999
        assert is_member(relay, code)

    def test_one_bucket_has_one_code(self) -> None:
        relay = Relay()
        relay.now = 6000.0
        first = challenged(relay)
        relay.now = 6059.0
        assert challenged(relay) == first

    @pytest.mark.parametrize(
        "other", ["203.0.113.8:9000", "203.0.113.9:9001", "[2001:db8::9]:9000"]
    )
    def test_a_code_is_valid_for_one_address(self, other: str) -> None:
        relay = Relay()
        assert not is_member(relay, code_in(challenged(relay)), other)

    def test_a_code_is_valid_for_one_listener(self) -> None:
        relay = Relay(RelayRules(listeners={"main": ListenerRules(), "side": ListenerRules()}))
        relay.receive(UNTRUSTED, code_in(challenged(relay)), listener="side")
        assert relay.members("side") == set()

    def test_a_code_depends_on_the_secret_of_the_run(self) -> None:
        codes = {
            challenge.code(secret, "main", read_endpoint(UNTRUSTED), 1000.0)
            for secret in (SECRET, bytes(32), bytes(reversed(SECRET)))
        }
        assert len(codes) == 3


class TestReflection:
    """A challenge is never answered with a challenge, and its echo admits no address."""

    @pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
    def test_an_echoed_challenge_is_neither_accepted_nor_answered(self, size: int) -> None:
        relay = Relay()
        reply = challenged(relay, b"x" * size)
        assert not is_member(relay, reply)
        assert relay.replies() == []
        assert relay.dropped() == {"challenged": 1, "challenge-echo": 1}

    @pytest.mark.parametrize("end", [b"\n", b"\r\n"])
    @pytest.mark.parametrize("size", [5, 8, 15])
    def test_an_echo_with_another_line_break_is_not_accepted(self, size: int, end: bytes) -> None:
        relay = Relay()
        assert not is_member(relay, challenged(relay, b"x" * size).rstrip() + end)
        assert relay.replies() == []

    @pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
    def test_the_challenge_of_another_relay_is_not_answered(self, size: int) -> None:
        for number in range(50):
            other = challenge.code(bytes(32), "main", read_endpoint(ANNA), 60.0 * number)
            relay = Relay()
            payload = challenge.challenge(other, size)
            assert payload is not None
            relay.receive(UNTRUSTED, payload)
            assert relay.replies() == []
            assert relay.dropped() == {"challenge-echo": 1}

    @given(st.binary(min_size=3, max_size=100))
    def test_two_relays_exchange_at_most_one_challenge(self, payload: bytes) -> None:
        """One relay receives a datagram with the other's address as its source."""
        here, there = Relay(), Relay()
        sent = 0
        here.receive(UNTRUSTED, payload)
        while replies := here.replies():
            sent += len(replies)
            for _, reply in replies:
                there.receive(UNTRUSTED, reply)
            here, there = there, here
        assert sent <= 1

    def test_a_wrong_code_is_challenged_again(self) -> None:
        relay = Relay()
        code = code_in(challenged(relay))
        wrong = b"9" + code[1:] if code[:1] != b"9" else b"8" + code[1:]
        for typed in (wrong + b"\n", wrong.upper() + b"\n"):
            assert not is_member(relay, typed)
            ((_, reply),) = relay.replies()
            assert code_in(reply) == code

    def test_a_code_with_other_text_is_not_accepted(self) -> None:
        """Otherwise a reflector that adds bytes would be admitted."""
        relay = Relay()
        code = code_in(challenged(relay))
        assert not is_member(relay, code + b" hello everybody\n")
        assert not is_member(relay, b"code " + code)


@given(st.binary(max_size=40))
def test_only_a_code_is_accepted(payload: bytes) -> None:
    endpoint = read_endpoint(UNTRUSTED)
    codes = [challenge.code(SECRET, "main", endpoint, then) for then in (940.0, 1000.0)]
    allowed = f"{string.ascii_letters}{string.digits}".encode()
    assume(bytes(b for b in payload if b in allowed).lower().decode() not in codes)
    assert not challenge.proves(SECRET, "main", endpoint, payload, 1000.0)


class TestLimit:
    def test_a_source_gets_a_burst_of_challenges_and_then_a_rate(self) -> None:
        relay = Relay(RelayRules(limits=Limits(challenge_rate=0.5, challenge_burst=3)))
        relay.receive(UNTRUSTED, *[HELLO] * 9)
        assert len(relay.replies()) == 3
        relay.now += 4
        relay.receive(UNTRUSTED, *[HELLO] * 9)
        assert len(relay.replies()) == 2
        assert relay.dropped() == {"challenged": 5, "challenge-limit": 13}

    @pytest.mark.parametrize(
        ("first", "second", "shared"),
        [
            ("203.0.113.9:1", "203.0.113.9:2", True),
            ("203.0.113.9:1", "203.0.113.8:1", False),
            ("[2001:db8:0:1::1]:1", "[2001:db8:0:ff:9::9]:1", True),
            ("[2001:db8:0:100::1]:1", "[2001:db8:0:200::1]:1", False),
            ("203.0.113.9:1", "[::ffff:203.0.113.9]:1", True),
        ],
    )
    def test_an_ipv4_address_or_an_ipv6_56_has_one_budget(
        self, first: str, second: str, shared: bool
    ) -> None:
        relay = Relay(RelayRules(limits=Limits(challenge_burst=1)))
        relay.receive(first, HELLO)
        relay.receive(second, HELLO)
        assert len(relay.replies()) == (1 if shared else 2)

    def test_a_rate_of_zero_allows_only_the_burst(self) -> None:
        relay = Relay(RelayRules(limits=Limits(challenge_rate=0, challenge_burst=1)))
        for _ in range(3):
            relay.receive(UNTRUSTED, HELLO)
            relay.now += 1e6
        assert len(relay.replies()) == 1

    def test_a_code_is_accepted_when_the_budget_is_used_up(self) -> None:
        relay = Relay(RelayRules(limits=Limits(challenge_burst=1)))
        code = code_in(challenged(relay))
        relay.receive(UNTRUSTED, HELLO)
        assert relay.replies() == []
        assert is_member(relay, code)

    def test_a_datagram_without_a_challenge_consumes_no_budget(self) -> None:
        relay = Relay(RelayRules(limits=Limits(challenge_burst=1)))
        relay.receive(UNTRUSTED, b"", b"x", b"xx", b"send 0abcdefg\n")
        assert challenged(relay)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_full_room_sends_no_challenge(size: int) -> None:
    relay = Relay(with_room(max_members=1))
    relay.join(ANNA)
    relay.receive(UNTRUSTED, b"x" * size)
    assert relay.replies() == []
    assert relay.dropped() == {"room-full": 1}


def test_a_full_room_accepts_no_code() -> None:
    relay = Relay(with_room(max_members=1))
    code = code_in(challenged(relay))
    relay.join(ANNA)
    assert not is_member(relay, code)
    assert relay.dropped() == {"challenged": 1, "room-full": 1}


def test_no_event_has_a_code() -> None:
    relay = Relay(RelayRules(log_payloads=True))
    code = code_in(challenged(relay))
    assert is_member(relay, code)
    relay.hub.close(relay.now)
    assert code.decode() not in repr(relay.drain_events())
