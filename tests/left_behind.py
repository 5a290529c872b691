"""What holds for every test: signals that processes receive, and nothing left behind."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from typing import cast

import pytest
from twisted.internet import reactor
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher

from udprelay.clock import clock_of

# Python ignores these itself, and subprocess restores them in its children.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def handle_ignored_signals() -> None:
    """
    Let the processes that tests start receive each signal.

    A shell starts background jobs with SIGINT ignored, ``nohup`` its command with SIGHUP ignored.
    ``exec`` keeps an ignored signal ignored, but resets a handled one to its default.
    """
    for number in signal.valid_signals():
        if number not in _IGNORED_BY_PYTHON and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture
def logged_errors() -> list[str]:
    """Return the errors logged so far; a test that expects some clears the list."""
    return []


@pytest.fixture(autouse=True)
def nothing_left_behind(logged_errors: list[str]) -> Iterator[None]:
    """Fail a test that leaves delayed calls, readers, writers, or logged errors behind."""
    errors = logged_errors
    # What is there already is most of the heap, and no garbage of this test.
    gc.freeze()

    def note(event: LogEvent) -> None:
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            failure = event.get("log_failure")
            errors.append(failure.getTraceback() if failure else str(event.get("log_format")))

    readers = set(reactor.getReaders())
    clocks = (reactor, clock_of(reactor))
    calls = {call for clock in clocks for call in clock.getDelayedCalls()}
    observer = cast(ILogObserver, note)
    globalLogPublisher.addObserver(observer)
    yield
    # An unhandled Deferred says so when it is collected.
    gc.collect()
    globalLogPublisher.removeObserver(observer)
    now_pending = [call for clock in clocks for call in clock.getDelayedCalls()]
    left = [call for call in now_pending if call not in calls]
    for call in left:
        call.cancel()
    open_readers = [r for r in reactor.getReaders() if r not in readers and _is_ours(r)]
    for reader in open_readers:
        reactor.removeReader(reader)
    assert not left, f"delayed calls left behind: {left}"
    assert not open_readers, f"readers left behind: {open_readers}"
    assert not reactor.getWriters(), "writers left behind"
    assert not errors, "errors logged:\n" + "\n".join(map(str, errors))


def _is_ours(reader: object) -> bool:
    """
    Return whether a reader is not one that the reactor opens for itself at its first run.

    Nor an alarm: it is open as long as a call of its clock is pending, or in progress.
    """
    wakers = ("_UnixWaker", "_SIGCHLDWaker", "_Waker", "_FDWaker", "DescriptorAlarm")
    return type(reader).__name__ not in wakers
