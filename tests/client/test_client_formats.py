from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.client import notices
from udprelay.client.formats import JSONFormat, TextFormat
from udprelay.client.notices import RejectedError
from udprelay.core.endpoint import MAX_PAYLOAD

NOW = datetime(2026, 1, 2, 3, 4, 5, 60, timezone.utc)
TIME = "2026-01-02T03:04:05.000060Z"


@pytest.fixture
def form() -> JSONFormat:
    return JSONFormat(lambda: NOW)


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
    assert TextFormat(escape=False).message(payload) == line


def test_on_a_terminal_control_characters_are_escaped() -> None:
    assert TextFormat(escape=True).message(b"a\nb\x1b[2J\xff\n") == rb"a\nb\x1b[2J\xff"


@given(payload=st.binary())
def test_a_message_is_never_more_than_one_line(payload: bytes) -> None:
    for escape in (True, False):
        line = TextFormat(escape).message(payload)
        assert b"\n" not in line
        assert b"\r" not in line
    assert b"\n" not in JSONFormat().message(payload)


def test_a_message_as_json_has_its_text_and_length(form: JSONFormat) -> None:
    assert form.message("hé\n".encode()) == (
        b'{"time": "%s", "event": "message", "text": "h\\u00e9\\n", "bytes": 4}' % TIME.encode()
    )


def test_a_message_that_is_not_text_has_its_exact_bytes_too(form: JSONFormat) -> None:
    assert json.loads(form.message(b"a\xff")) == {
        "time": TIME,
        "event": "message",
        "text": "a\\xff",
        "bytes": 2,
        "base64": "Yf8=",
    }


def test_a_notice_as_json_has_its_fields_and_what_people_read(form: JSONFormat) -> None:
    rejected = notices.too_long(70_000, MAX_PAYLOAD)
    assert json.loads(form.notice(notices.line_rejected(rejected, 3))) == {
        "time": TIME,
        "event": "line.rejected",
        "line": 3,
        "reason": "too-long",
        "bytes": 70_000,
        "detail": "line 3 not sent: a message of 70000 bytes (at most 65507)",
    }


@given(payload=st.binary(min_size=1))
def test_what_was_received_as_json_can_be_sent_on_unchanged(payload: bytes) -> None:
    form = JSONFormat()
    assert form.payload(form.message(payload)) == payload


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_can_be_said_as_json(text: str) -> None:
    for ascii_only in (True, False):
        line = json.dumps({"text": text}, ensure_ascii=ascii_only).encode()
        assert JSONFormat().payload(line) == text.encode()


def test_a_line_has_room_for_the_largest_message_in_its_longest_spelling() -> None:
    line = json.dumps({"text": "\x01" * MAX_PAYLOAD})
    assert len(line) <= JSONFormat.longest_line


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
    ],
)
def test_a_line_that_is_not_a_message_is_rejected(
    form: JSONFormat, line: bytes, explanation: str
) -> None:
    with pytest.raises(RejectedError) as raised:
        form.payload(line)
    assert str(raised.value).startswith(explanation)
    assert (raised.value.reason, raised.value.length) == ("invalid", len(line))


@given(line=st.binary())
def test_no_line_of_input_fails_in_another_way(line: bytes) -> None:
    try:
        JSONFormat().payload(line)
    except RejectedError as rejected:
        assert rejected.reason == "invalid"  # noqa: PT017
