"""Lines that a thread writes: in order, bounded, and nobody waits for them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from threading import Event, Thread
from unittest.mock import Mock

import pytest

from udprelay.line_writer import Descriptor, LineWriter

TIMEOUT = 60.0


class Gate:
    """An output that blocks, fails, or writes few bytes, as a test wants."""

    name = "gate"

    def __init__(self) -> None:
        self.written = b""
        self.opened = 0
        self.error: OSError | None = None
        self.most = 1 << 20
        self.blocked = Event()
        self.open = Event()
        self.open.set()
        self.deleted = False

    def prepare(self, at_line_start: bool) -> bool:
        deleted, self.deleted = self.deleted, False
        return deleted

    def write(self, data: bytes) -> int:
        self.blocked.set()
        assert self.open.wait(TIMEOUT)
        if self.error is not None:
            raise self.error
        self.written += data[: self.most]
        return len(data[: self.most])

    def reopen(self) -> None:
        if self.error is not None:
            raise self.error
        self.opened += 1


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def errors() -> list[OSError]:
    return []


@pytest.fixture
def writer(gate: Gate, errors: list[OSError]) -> LineWriter:
    """A writer of at most 100 bytes."""

    def lost(count: int, since: float) -> bytes:
        assert since > 1e9
        return b"(lost %d)\n" % count

    return LineWriter(gate, lost, errors.append, limit=100)


def block(gate: Gate, writer: LineWriter) -> None:
    """Write a line that blocks the thread."""
    gate.blocked.clear()
    gate.open.clear()
    writer.start()
    writer.write(b"blocks\n")
    assert gate.blocked.wait(TIMEOUT)


def lines(first: int, last: int) -> bytes:
    return b"".join(b"%08d\n" % number for number in range(first, last))


def test_lines_wait_until_the_thread_is_started(gate: Gate, writer: LineWriter) -> None:
    writer.write(b"early\n")
    assert (gate.written, writer.waiting) == (b"", 1)
    writer.start()
    assert writer.flush(TIMEOUT)
    assert (gate.written, writer.waiting) == (b"early\n", 0)


def test_nothing_is_started_to_flush_nothing(gate: Gate, writer: LineWriter) -> None:
    assert writer.flush(TIMEOUT)
    assert not gate.blocked.is_set()


def test_a_process_that_ends_before_the_start_writes_its_lines(
    gate: Gate, writer: LineWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since 3.12 Python starts no thread then."""
    refused = Mock(side_effect=RuntimeError("can't create new thread at interpreter shutdown"))
    monkeypatch.setattr(Thread, "start", refused)
    gate.most = 3
    writer.write(b"why it ends\n")
    assert writer.flush(TIMEOUT)
    assert gate.written == b"why it ends\n"


def test_lines_are_written_in_order(gate: Gate, writer: LineWriter) -> None:
    block(gate, writer)
    for number in range(10):
        writer.write(b"%d\n" % number)
    gate.open.set()
    assert writer.flush(TIMEOUT)
    assert gate.written == b"blocks\n" + b"".join(b"%d\n" % number for number in range(10))


def test_a_line_is_written_completely_by_an_output_that_takes_little(
    gate: Gate, writer: LineWriter
) -> None:
    gate.most = 3
    writer.write(b"one line\n")
    writer.write(b"another\n")
    assert writer.flush(TIMEOUT)
    assert gate.written == b"one line\nanother\n"


def test_what_does_not_fit_is_counted_and_said_in_its_place(
    gate: Gate, writer: LineWriter
) -> None:
    block(gate, writer)
    for number in range(50):
        writer.write(b"%08d\n" % number)
    assert (writer.waiting, writer.lost) == (11, 39)
    gate.open.set()
    assert writer.flush(TIMEOUT)
    writer.write(b"later\n")
    assert writer.flush(TIMEOUT)
    assert gate.written == b"blocks\n" + lines(0, 11) + b"(lost 39)\nlater\n"


def test_a_line_that_never_fits_is_lost(gate: Gate, writer: LineWriter) -> None:
    writer.write(b"x" * 101)
    assert writer.flush(TIMEOUT)
    assert gate.written == b"(lost 1)\n"


def test_each_loss_is_said_once(gate: Gate, writer: LineWriter) -> None:
    for _ in range(2):
        block(gate, writer)
        for _ in range(20):
            writer.write(b"x" * 10)
        gate.open.set()
        assert writer.flush(TIMEOUT)
    assert gate.written.count(b"(lost 10)\n") == 2
    assert writer.lost == 20


def test_a_flush_gives_up_on_an_output_that_blocks(gate: Gate, writer: LineWriter) -> None:
    block(gate, writer)
    assert not writer.flush(0.01)
    gate.open.set()
    assert writer.flush(TIMEOUT)


def test_a_flush_gives_up_on_an_output_that_fails(
    gate: Gate, writer: LineWriter, errors: list[OSError]
) -> None:
    gate.error = OSError(errno.ENOSPC, "full")
    writer.write(b"line\n")
    assert not writer.flush(TIMEOUT)
    assert not writer.flush(TIMEOUT)
    assert errors == [gate.error]
    gate.error = None
    assert writer.flush(TIMEOUT)
    assert gate.written == b"line\n"


def test_each_trouble_is_reported(gate: Gate, writer: LineWriter, errors: list[OSError]) -> None:
    for error in (OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "broken")):
        gate.error = error
        writer.write(b"line\n")
        assert not writer.flush(TIMEOUT)
        gate.error = None
        assert writer.flush(TIMEOUT)
    assert [error.errno for error in errors] == [errno.ENOSPC, errno.EIO]


def test_a_bug_in_an_output_costs_the_lines_that_it_was_given(
    gate: Gate, writer: LineWriter, errors: list[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(gate, "write", Mock(side_effect=ValueError("embedded null")))
        writer.write(b"line\n")
        writer.flush(TIMEOUT)
    assert [error.strerror for error in errors] == ["ValueError('embedded null')"]
    writer.write(b"another\n")
    assert writer.flush(TIMEOUT)
    assert (gate.written, writer.lost) == (b"another\n", 1)


def test_it_reopens_without_a_line(gate: Gate, writer: LineWriter) -> None:
    writer.reopen()
    assert writer.flush(TIMEOUT)
    assert gate.opened == 1


def test_a_failed_reopening_is_reported_and_lines_are_written(
    gate: Gate, writer: LineWriter, errors: list[OSError]
) -> None:
    gate.error = OSError(errno.ENOENT, "no directory")
    writer.reopen()
    assert writer.flush(TIMEOUT)
    assert errors == [gate.error]
    gate.error = None
    writer.write(b"line\n")
    assert writer.flush(TIMEOUT)
    assert gate.written == b"line\n"


@pytest.mark.parametrize("how", ["reopened", "deleted"])
def test_a_line_begun_in_one_file_is_complete_in_the_next(
    gate: Gate, writer: LineWriter, how: str
) -> None:
    block(gate, writer)
    writer.write(b"first\n")
    writer.write(b"second\n")
    gate.most = 7
    gate.open.set()
    assert writer.flush(TIMEOUT)
    assert gate.written == b"blocks\nfirst\nsecond\n"
    # Blocked after "first\ns": the rest follows in another file.
    block(gate, writer)
    gate.written = b""
    writer.write(b"first\n")
    writer.write(b"second\n")

    class Stops(Gate):
        def write(self, data: bytes) -> int:
            if gate.written.endswith(b"s"):
                gate.written += b"|"
                if how == "reopened":
                    writer.reopen()
                else:
                    gate.deleted = True
                return 0
            return Gate.write(gate, data)

    gate.write = Stops().write  # type: ignore[method-assign]
    gate.open.set()
    assert writer.flush(TIMEOUT)
    assert gate.written == b"blocks\nfirst\ns|second\n"


def test_a_pipe_that_nobody_reads_blocks_no_caller() -> None:
    read_end, write_end = os.pipe()
    writer = LineWriter(
        Descriptor(write_end, "pipe"), lambda count, since: b"lost %d\n" % count, limit=300_000
    )
    writer.start()
    for number in range(10_000):
        writer.write(b"%099d\n" % number)
    assert not writer.flush(0.01)
    assert writer.lost
    with os.fdopen(read_end, "rb") as reader:
        received = [reader.readline()]
        while not received[-1].startswith(b"lost"):
            received.append(reader.readline())
        assert [int(line) for line in received[:-1]] == list(range(len(received) - 1))
        assert int(received[-1].split()[1]) == writer.lost == 10_000 - len(received) + 1
        os.close(write_end)


def test_lines_wait_for_a_pipe_whose_reader_has_left() -> None:
    read_end, write_end = os.pipe()
    errors: list[OSError] = []
    os.close(read_end)
    writer = LineWriter(Descriptor(write_end, "pipe"), lambda *lost: b"", errors.append)
    writer.write(b"line\n")
    assert not writer.flush(TIMEOUT)
    assert [error.errno for error in errors] == [errno.EPIPE]
    # The thread tries again until the line is written, and would write it to whatever has the
    # number after os.close: the terminal of another test.
    new_read_end, new_write_end = os.pipe()
    os.dup2(new_write_end, write_end)
    assert writer.flush(TIMEOUT)
    assert os.read(new_read_end, 100) == b"line\n"
    for descriptor in (new_read_end, new_write_end, write_end):
        os.close(descriptor)
