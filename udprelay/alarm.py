"""Alarms: they wake the reactor at a time of the monotonic clock."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from threading import Condition, Thread
from time import CLOCK_MONOTONIC, monotonic
from typing import Any, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

# struct itimerspec: the interval, then the first expiration, each in seconds and nanoseconds.
_ITIMERSPEC = struct.Struct("@4l")


class Alarm(Protocol):
    """Calls a function in the reactor's thread."""

    def set(self, due: float) -> None:
        """Call it at ``due``, instead of at the time set before."""

    def close(self) -> None:
        """Do not call it any more."""


def open_alarm(reactor: Any, ring: Callable[[], object]) -> Alarm:
    """Return an alarm that calls ``ring``."""
    # Without Linux or a free descriptor.
    with suppress(OSError, AttributeError):
        return DescriptorAlarm(reactor, ring)
    return ThreadAlarm(reactor, ring)


@implementer(IReadDescriptor)
class DescriptorAlarm:
    """
    An alarm of the kernel that any reactor reads like a socket (``timerfd_create(2)``).

    :raises OSError: if the kernel gives none; AttributeError: if it has none.
    """

    def __init__(self, reactor: Any, ring: Callable[[], object]) -> None:
        self._reactor = reactor
        self._ring = ring
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._descriptor = _checked(_libc().timerfd_create(CLOCK_MONOTONIC, flags))
        reactor.addReader(self)

    def set(self, due: float) -> None:
        if self._descriptor < 0:
            return
        # Not the absolute time, which libfaketime(1) takes for the time of day. An expiration of 0
        # would disarm it.
        delay = max(1, int((due - monotonic()) * 1e9))
        spec = _ITIMERSPEC.pack(0, 0, *divmod(delay, 1_000_000_000))
        _checked(_libc().timerfd_settime(self._descriptor, 0, spec, None))

    def close(self) -> None:
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "alarm"

    def doRead(self) -> None:
        # Set again since the reactor has polled, it has nothing to read.
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return
        self._ring()

    def connectionLost(self, reason: Failure) -> None:
        """Close: the reactor has stopped."""
        self.close()


class ThreadAlarm:
    """An alarm for systems without ``timerfd``: a thread that sleeps."""

    def __init__(self, reactor: Any, ring: Callable[[], object]) -> None:
        self._reactor = reactor
        self._ring = ring
        self._changed = Condition()
        self._due: float | None = None
        self._closed = False
        Thread(target=self._sleep, name="alarm", daemon=True).start()

    def set(self, due: float) -> None:
        with self._changed:
            self._due = due
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _sleep(self) -> None:
        with self._changed:
            while not self._closed:
                if self._due is None:
                    self._changed.wait()
                elif self._due > (now := monotonic()):
                    self._changed.wait(self._due - now)
                else:
                    self._due = None
                    self._reactor.callFromThread(self._wake)

    def _wake(self) -> None:
        if not self._closed:
            self._ring()


@cache
def _libc() -> ctypes.CDLL:
    # Python has these calls itself since 3.13.
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
