"""What every test is held to: nothing left behind."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from twisted.internet import reactor
from twisted.logger import LogLevel, globalLogPublisher


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

    def note(event):
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            failure = event.get("log_failure")
            errors.append(failure.getTraceback() if failure else event.get("log_format"))

    readers = set(reactor.getReaders())
    calls = set(reactor.getDelayedCalls())
    globalLogPublisher.addObserver(note)
    yield
    # An unhandled Deferred says so when it is collected.
    gc.collect()
    globalLogPublisher.removeObserver(note)
    left = [call for call in reactor.getDelayedCalls() if call not in calls]
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
    """Return whether a reader is not one that the reactor opens for itself at its first run."""
    return type(reader).__name__ not in ("_UnixWaker", "_SIGCHLDWaker", "_Waker", "_FDWaker")
