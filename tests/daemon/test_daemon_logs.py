"""The log: its formats, its file, and what it contains."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    formatEvent,
    globalLogPublisher,
)
from twisted.python.failure import Failure

from udprelay.config import LogFormat, LogRules
from udprelay.logs import EventLog, open_log
from udprelay.logs import Log as RelayLog
from udprelay.logs.lines import events_only, json_line, text_line
from udprelay.logs.outputs import LogFile
from udprelay.relay import events
from udprelay.relay.event_stream import EventStream

TIMEOUT = 60.0
TIME = datetime(2026, 2, 3, 4, 5, 6, 78, timezone.utc).timestamp()
JOINED = events.MemberJoined(
    room="lobby", member="guest-1", kind="plain", address="10.0.0.1:5000", listener="main"
)


class TestJSON:
    def test_a_line_is_one_object_with_time_level_event_and_the_fields(self) -> None:
        assert json_line(JOINED, "info", TIME) == (
            '{"time":"2026-02-03T04:05:06.000078Z","level":"info","event":"member.joined",'
            '"room":"lobby","member":"guest-1","kind":"plain","address":"10.0.0.1:5000",'
            '"listener":"main"}\n'
        )

    def test_fields_keep_their_types(self) -> None:
        stopped = events.RelayStopped(
            uptime=1.5, members=2, datagrams=3, bytes=4, deliveries=5, dropped={"kicked": 6}
        )
        line = json.loads(json_line(stopped, "info", TIME))
        assert line.items() >= stopped.fields().items()

    def test_the_time_always_has_microseconds(self) -> None:
        line = json.loads(json_line(events.RelayStopping(), "info", 0.0))
        assert line["time"] == "1970-01-01T00:00:00.000000Z"


class TestText:
    def test_a_line_has_the_time_the_level_the_event_and_its_human_form(self) -> None:
        assert text_line(JOINED, "info", TIME) == (
            "2026-02-03T04:05:06.000078Z info  member.joined: "
            "guest-1 (plain 10.0.0.1:5000) joined lobby\n"
        )

    def test_a_traceback_follows_indented(self) -> None:
        event = events.Diagnostic(source="x", message="failed", traceback="one\n  two\x1b\n")
        assert text_line(event, "error", TIME).split("\n")[1:] == [
            "    one",
            r"      two\x1b",
            "",
        ]


NASTY = "\x1b[2J \x07 \r\n \x7f \x9b \u202e \u2028 \ud800"


@pytest.mark.parametrize("line", [text_line, json_line])
def test_texts_of_peers_are_printable(line: Callable[..., str]) -> None:
    relayed = events.DatagramRelayed(
        room="lobby", member="guest-1", address="10.0.0.1:5000", bytes=9, payload=NASTY
    )
    failed = events.Diagnostic(source=NASTY, message=NASTY, traceback="")
    for event in (relayed, failed):
        text = line(event, "info", TIME)
        assert text.endswith("\n")
        assert text[:-1].isprintable()


def test_json_preserves_texts() -> None:
    event = events.Diagnostic(source="x", message=NASTY, traceback="")
    assert json.loads(json_line(event, "warn", TIME))["message"] == NASTY


class Log:
    """An observer and what it has written."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        form = events_only(json_line)

        def observe(logged: LogEvent) -> None:
            if line := form(logged):
                self._lines.append(line)

        self.observer = cast(ILogObserver, observe)
        self.logger = Logger(namespace="some.library", observer=self.observer)

    def written(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines]


@pytest.fixture
def log() -> Log:
    return Log()


def publish(*published: events.Event) -> None:
    """Publish events to a log that has started."""
    stream = EventStream(lambda name: None)
    EventLog(stream).start()
    for event in published:
        stream.publish(event)


class TestEvents:
    @pytest.fixture
    def published(self, log: Log) -> Iterator[Callable[[events.Event], dict[str, Any]]]:
        def published(event: events.Event) -> dict[str, Any]:
            publish(event)
            (written,) = log.written()
            return written

        globalLogPublisher.addObserver(log.observer)
        yield published
        globalLogPublisher.removeObserver(log.observer)

    def test_pass_through_twisteds_log(self, published: Callable[..., dict[str, Any]]) -> None:
        written = published(JOINED)
        assert written.items() >= {"event": "member.joined", "level": "info"}.items()

    def test_keep_their_level(self, published: Callable[..., dict[str, Any]]) -> None:
        written = published(
            events.MemberRejected(room="lobby", address="a", listener="main", reason="kicked")
        )
        assert written["level"] == "warn"

    def test_an_error_is_logged_as_an_error(
        self, published: Callable[..., dict[str, Any]], logged_errors: list[str]
    ) -> None:
        written = published(
            events.ListenerFailed(listener="main", interface="::", port=1, error="denied")
        )
        assert written["level"] == "error"
        logged_errors.clear()

    def test_are_readable_in_twisteds_own_log(self) -> None:
        seen: list[LogEvent] = []
        note = cast(ILogObserver, seen.append)
        globalLogPublisher.addObserver(note)
        publish(JOINED)
        globalLogPublisher.removeObserver(note)
        text = "member.joined: guest-1 (plain 10.0.0.1:5000) joined lobby"
        assert formatEvent(seen[-1]) == text

    def test_wait_until_the_log_is_started(self, log: Log) -> None:
        stream = EventStream(lambda name: None)
        event_log = EventLog(stream)
        globalLogPublisher.addObserver(log.observer)
        stream.publish(JOINED)
        assert log.written() == []
        event_log.start()
        stream.publish(events.RelayStopping())
        globalLogPublisher.removeObserver(log.observer)
        assert [line["event"] for line in log.written()] == ["member.joined", "relay.stopping"]


class TestOtherSources:
    def test_information_is_not_logged(self, log: Log) -> None:
        log.logger.debug("starting factory")
        log.logger.info("starting factory")
        assert log.written() == []

    def test_a_warning_is_a_diagnostic(self, log: Log) -> None:
        log.logger.warn("{what} is deprecated", what="something")
        (written,) = log.written()
        del written["time"]
        assert written == {
            "level": "warn",
            "event": "diagnostic",
            "source": "some.library",
            "message": "something is deprecated",
            "traceback": "",
        }

    def test_an_error_keeps_its_level(self, log: Log) -> None:
        log.logger.error("no more memory")
        log.logger.critical("no more memory")
        assert [line["level"] for line in log.written()] == ["error", "critical"]

    @pytest.mark.parametrize(
        ("text", "message"), [("a timer failed", "a timer failed: why"), ("", "why")]
    )
    def test_a_failure_has_its_traceback(self, log: Log, text: str, message: str) -> None:
        try:
            raise ValueError("why")
        except ValueError:
            log.logger.failure(text)
        (written,) = log.written()
        assert (written["event"], written["message"]) == ("diagnostic", message)
        assert "Traceback" in written["traceback"]
        assert "ValueError: why" in written["traceback"]

    def test_an_entry_without_a_source_has_an_empty_one(self, log: Log) -> None:
        log.observer({"log_level": LogLevel.warn, "log_time": TIME, "log_format": "x"})
        assert log.written()[0]["source"] == ""

    def test_an_entry_without_a_level_is_information(self, log: Log) -> None:
        log.observer({"log_time": TIME, "log_format": "x"})
        assert log.written() == []

    def test_an_entry_that_cannot_be_formatted_is_logged(self, log: Log) -> None:
        log.observer(
            {
                "log_level": LogLevel.critical,
                "log_time": TIME,
                "log_format": "{missing}",
                "log_failure": Failure(ValueError("why")),
            }
        )
        assert "why" in log.written()[0]["message"]


def write(log: RelayLog, event: events.Event = JOINED) -> None:
    """Write an event, and wait until it is written."""
    log({"log_level": LogLevel.info, "log_time": TIME, "udprelay": event})
    assert log.writer.flush(TIMEOUT)


def kept(count: int) -> list[str]:
    return ["relay.log", *(f"relay.log.{number}" for number in range(1, count + 1))]


class TestFile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "relay.log"

    def test_it_gets_the_lines_in_place_of_standard_output(
        self, path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        write(open_log(LogRules(file=str(path))))
        assert path.read_text("utf-8") == text_line(JOINED, "info", TIME)
        assert capfd.readouterr().out == ""

    def test_it_is_in_the_configured_format(self, path: Path) -> None:
        write(open_log(LogRules(file=str(path), format=LogFormat.JSON)))
        assert json.loads(path.read_text("utf-8"))["event"] == "member.joined"

    def test_other_users_cannot_read_it(self, path: Path) -> None:
        before = os.umask(0)
        open_log(LogRules(file=str(path)))
        os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640

    def test_its_group_can_read_it_whatever_the_umask(self, path: Path) -> None:
        before = os.umask(0o077)
        open_log(LogRules(file=str(path)))
        os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640

    def test_the_mode_of_a_device_stays(self) -> None:
        before = os.stat("/dev/null").st_mode
        write(open_log(LogRules(file="/dev/null")))
        assert os.stat("/dev/null").st_mode == before

    def test_lines_are_appended_to_an_existing_file(self, path: Path) -> None:
        path.write_text("before\n")
        write(open_log(LogRules(file=str(path))))
        assert path.read_text("utf-8").startswith("before\n2026")

    def test_a_large_file_is_rotated_and_old_ones_deleted(self, path: Path) -> None:
        log = open_log(LogRules(file=str(path), rotate_size=10, rotate_keep=2))
        for _ in range(6):
            write(log)
        files = sorted(path.parent.iterdir())
        assert [file.name for file in files] == kept(2)
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o640}

    def test_lines_that_are_written_together_are_rotated_too(self, path: Path) -> None:
        line = len(text_line(JOINED, "info", TIME))
        log = open_log(LogRules(file=str(path), rotate_size=2 * line, rotate_keep=9))
        for _ in range(6):
            log({"log_level": LogLevel.info, "log_time": TIME, "udprelay": JOINED})
        assert log.writer.flush(TIMEOUT)
        assert {file.name: file.stat().st_size for file in path.parent.iterdir()} == dict.fromkeys(
            kept(2), 2 * line
        )

    def test_with_a_size_of_zero_it_is_not_rotated(self, path: Path) -> None:
        log = open_log(LogRules(file=str(path), rotate_size=0))
        for _ in range(6):
            write(log)
        assert len(list(path.parent.iterdir())) == 1

    def test_a_file_that_cannot_be_opened_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            open_log(LogRules(file=str(tmp_path / "missing" / "relay.log")))

    def test_a_renamed_file_is_used_until_it_is_reopened(self, path: Path) -> None:
        log = open_log(LogRules(file=str(path)))
        old = path.replace(path.with_name("old"))
        write(log)
        assert not path.exists()
        log.writer.reopen()
        assert log.writer.flush(TIMEOUT)
        assert path.read_text() == ""
        write(log)
        assert (old.read_text(), path.read_text()) == (text_line(JOINED, "info", TIME),) * 2

    def test_a_renamed_file_is_not_rotated(self, path: Path) -> None:
        log = open_log(LogRules(file=str(path), rotate_size=10))
        write(log)
        path.replace(path.with_name("old"))
        write(log)
        assert sorted(file.name for file in path.parent.iterdir()) == ["old", "relay.log"]

    def test_a_deleted_file_is_created_again(self, path: Path) -> None:
        log = open_log(LogRules(file=str(path)))
        write(log)
        path.unlink()
        write(log)
        assert path.read_text() == text_line(JOINED, "info", TIME)

    def test_lines_wait_for_a_directory_that_was_removed(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "logs" / "relay.log"
        path.parent.mkdir()
        log = open_log(LogRules(file=str(path), format=LogFormat.JSON))
        shutil.rmtree(path.parent)
        log({"log_level": LogLevel.info, "log_time": TIME, "udprelay": JOINED})
        assert not log.writer.flush(TIMEOUT)
        path.parent.mkdir()
        assert log.writer.flush(TIMEOUT)
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        assert [entry["event"] for entry in entries] == ["member.joined", "log.failed"]
        assert entries[1]["error"] == "No such file or directory"
        assert capfd.readouterr().err == (
            f"udprelay: the log {path} cannot be written: No such file or directory\n"
        )

    def test_the_log_goes_on_in_a_file_that_cannot_be_reopened(self, tmp_path: Path) -> None:
        path = tmp_path / "logs" / "relay.log"
        path.parent.mkdir()
        log = open_log(LogRules(file=str(path)))
        path.parent.rename(tmp_path / "old")
        log.writer.reopen()
        write(log)
        lines = (tmp_path / "old" / "relay.log").read_text().splitlines()
        assert [line.split()[2] for line in lines] == ["member.joined:", "log.failed:"]

    def test_the_log_goes_on_in_a_file_that_cannot_be_renamed(self, path: Path) -> None:
        log = open_log(LogRules(file=str(path), rotate_size=10, rotate_keep=1))
        # A directory in the place of the first old file.
        path.with_name("relay.log.1").mkdir()
        for _ in range(3):
            write(log)
        assert path.read_text() == 3 * text_line(JOINED, "info", TIME)

    def test_a_full_disk_is_reported_and_what_is_lost_is_counted(self) -> None:
        log = RelayLog(LogFile("/dev/full", 0, 1), events_only(text_line), 1000)
        for _ in range(100):
            log({"log_level": LogLevel.info, "log_time": TIME, "udprelay": JOINED})
        assert not log.writer.flush(TIMEOUT)
        assert log.writer.lost > 80


class TestStandardOutput:
    def test_has_the_log_without_a_file(self, capfd: pytest.CaptureFixture[str]) -> None:
        write(open_log(LogRules()))
        assert capfd.readouterr().out == text_line(JOINED, "info", TIME)

    def test_nothing_is_lost_when_it_is_slow(self) -> None:
        """A console shares the terminal and makes it non-blocking."""
        payload = "x" * 10_000
        event = events.DatagramRelayed(
            room="lobby", member="guest-1", address="a", bytes=10_000, payload=payload
        )
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        with os.fdopen(read_end, "rb") as reader, ThreadPoolExecutor() as threads:
            received = threads.submit(reader.read)
            with os.fdopen(write_end, "wb"):
                log = open_log(LogRules(format=LogFormat.JSON), write_end)
                for _ in range(100):
                    log({"log_level": LogLevel.info, "log_time": TIME, "udprelay": event})
                assert log.writer.flush(TIMEOUT)
            lines = received.result().decode().splitlines()
        assert [json.loads(line)["payload"] for line in lines] == [payload] * 100
