from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from udprelay.client.channel import IncomingMessage, OutgoingMessage, RejectedError, Sender
from udprelay.client.formats import JSONFormat, TextFormat
from udprelay.client.notices import Notice
from udprelay.session_client.pieces import MAX_MESSAGE

BOB = Sender("lobby", 7, "bob", private=False, reliable=True, sealed=False)
NOW = datetime(2026, 1, 2, 3, 4, 5, 60, timezone.utc)
TIME = "2026-01-02T03:04:05.000060Z"


@pytest.fixture
def form() -> JSONFormat:
    return JSONFormat(lambda _: NOW)


@pytest.mark.parametrize(
    ("payload", "line"),
    [
        (b"hello", b"hello"),
        (b"hello\n", b"hello"),
        (b"hello\r\n", b"hello"),
        (b"hello\n\n", rb"hello\n"),
        (b"a\nb\r\nc\rd", rb"a\nb\r\nc\rd"),
        (b"\x00\x1b[2J\xff", b"\x00\x1b[2J\xff"),
        (b"\n", b""),
    ],
)
def test_in_a_pipe_a_message_is_one_line_of_its_bytes(payload: bytes, line: bytes) -> None:
    assert TextFormat(escape=False).message(IncomingMessage(payload)) == line


@pytest.mark.parametrize(
    ("sender", "line"),
    [
        (BOB, b"bob: hi"),
        (evolve(BOB, private=True), b"bob (private): hi"),
        (evolve(BOB, nick=None), b"member 7: hi"),
        (evolve(BOB, nick="b\x1b[2J\n"), rb"b\x1b[2J\n: hi"),
    ],
)
def test_a_message_in_a_room_begins_with_the_name_of_its_sender(
    sender: Sender, line: bytes
) -> None:
    for escape in (True, False):
        assert TextFormat(escape).message(IncomingMessage(b"hi\n", sender)) == line


def test_on_a_terminal_control_characters_are_escaped() -> None:
    assert (
        TextFormat(escape=True).message(IncomingMessage(b"a\nb\x1b[2J\xff\n"))
        == rb"a\nb\x1b[2J\xff"
    )


@given(payload=st.binary())
def test_a_message_is_never_more_than_one_line(payload: bytes) -> None:
    for escape in (True, False):
        line = TextFormat(escape).message(IncomingMessage(payload, BOB))
        assert b"\n" not in line
        assert b"\r" not in line
    assert b"\n" not in JSONFormat().message(IncomingMessage(payload, BOB))


def test_a_message_as_json_has_its_text_and_length(form: JSONFormat) -> None:
    assert form.message(IncomingMessage("hé\n".encode())) == (
        b'{"time": "%s", "event": "message", "text": "h\\u00e9\\n", "bytes": 4}' % TIME.encode()
    )


def test_a_message_in_a_room_has_its_sender_and_properties(form: JSONFormat) -> None:
    sender = Sender("games", 7, None, private=True, reliable=False, sealed=True)
    assert json.loads(form.message(IncomingMessage(b"hi", sender))) == {
        "time": TIME,
        "event": "message",
        "room": "games",
        "member": 7,
        "nick": None,
        "private": True,
        "reliable": False,
        "sealed": True,
        "text": "hi",
        "bytes": 2,
    }


def test_a_line_may_name_a_receiver_and_be_unreliable() -> None:
    line = b'{"text": "hi", "to": "bob", "private": true, "reliable": false, "other": null}'
    assert JSONFormat().parse(line) == OutgoingMessage(b"hi", to="bob", reliable=False)


def test_a_message_that_is_not_utf_8_has_its_exact_bytes_too(form: JSONFormat) -> None:
    assert json.loads(form.message(IncomingMessage(b"a\xff"))) == {
        "time": TIME,
        "event": "message",
        "text": "a\\xff",
        "bytes": 2,
        "base64": "Yf8=",
    }


def test_a_notice_as_json_has_its_fields_and_the_line_for_people(form: JSONFormat) -> None:
    rejected = Notice.of(
        "line.rejected", line=3, reason="too-long", bytes=70_000, cause="a message of 70000 bytes"
    )
    assert json.loads(form.notice(rejected)) == {
        "time": TIME,
        "event": "line.rejected",
        "line": 3,
        "reason": "too-long",
        "bytes": 70_000,
        "detail": "line 3 not sent: a message of 70000 bytes",
    }


@given(payload=st.binary(min_size=1))
def test_a_received_message_can_be_forwarded_unchanged(payload: bytes) -> None:
    form = JSONFormat()
    assert form.parse(form.message(IncomingMessage(payload))) == OutgoingMessage(payload)
    assert form.parse(form.message(IncomingMessage(payload, BOB))) == OutgoingMessage(payload)


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_can_be_sent_as_json(text: str) -> None:
    for ascii_only in (True, False):
        line = json.dumps({"text": text}, ensure_ascii=ascii_only).encode()
        assert JSONFormat().parse(line) == OutgoingMessage(text.encode())


def test_the_longest_line_holds_the_largest_message_with_all_bytes_escaped() -> None:
    line = json.dumps({"text": "\x01" * MAX_MESSAGE})
    assert len(line) <= JSONFormat.max_line


@pytest.mark.parametrize(
    ("line", "explanation"),
    [
        (b"hello", "not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"\xff", "not UTF-8"),
        (b"[" * 200_000, "not JSON: maximum recursion depth exceeded"),
        (b'"text"', "not a JSON object"),
        (b"{}", "neither 'text' nor 'base64'"),
        (b'{"text": 1}', "'text' is not a string"),
        (b'{"text": "a", "base64": null}', "'base64' is not a string"),
        (b'{"base64": "YQ"}', "'base64': Incorrect padding"),
        (b'{"text": "\\ud800"}', "'text': 'utf-8' codec can't encode"),
        (b'{"text": "a", "to": 7}', "'to' is not a string"),
        (b'{"text": "a", "reliable": "no"}', "'reliable' is not true or false"),
        (b'{"text": "a", "private": true}', "'private' without 'to'"),
    ],
)
def test_a_line_that_is_not_a_message_is_rejected(
    form: JSONFormat, line: bytes, explanation: str
) -> None:
    with pytest.raises(RejectedError) as raised:
        form.parse(line)
    assert str(raised.value).startswith(explanation)
    assert (raised.value.reason, raised.value.length) == ("invalid", len(line))


@given(line=st.binary())
def test_any_line_is_parsed_or_rejected(line: bytes) -> None:
    try:
        JSONFormat().parse(line)
    except RejectedError as rejected:
        assert rejected.reason == "invalid"  # noqa: PT017
