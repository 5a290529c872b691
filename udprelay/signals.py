"""What the relay does on each signal that people send: none ends it without a farewell."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from udprelay.relay.events import Event, SignalReceived

_REOPEN, _STATISTICS, _STOP, _NONE = "reopen-log", "statistics", "stop", "none"


class Signals:
    """
    Handles signals in the reactor's thread, also those that come before the reactor runs.

    :param publish: is called with every event.
    :param reopen_log: opens the log file again.
    :param statistics: publishes the counters.
    """

    def __init__(
        self,
        reactor: Any,
        publish: Callable[[Event], object],
        reopen_log: Callable[[], object],
        statistics: Callable[[], object],
    ) -> None:
        self._reactor = reactor
        self._publish = publish
        self._reopen_log = reopen_log
        self._statistics = statistics
        self._stopping = False
        # Ignored from the start by nohup: the terminal may be closed.
        hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        self._terminals = [n for n in (0, 1, 2) if hangs_up and os.isatty(n)]

    def handle(self) -> None:
        """Handle the signals that Twisted leaves alone; from now on they do not kill."""
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self._received)
        # Ignored from the start: by a shell that runs us in the background.
        if signal.getsignal(signal.SIGQUIT) is not signal.SIG_IGN:
            signal.signal(signal.SIGQUIT, self._received)

    def handle_twisteds(self) -> None:
        """Handle also those of Twisted, which logs an error if a second one comes; it runs now."""
        for number in (signal.SIGTERM, signal.SIGINT):
            # A debugger has a handler of its own.
            if signal.getsignal(number) in (self._reactor.sigTerm, self._reactor.sigInt):
                signal.signal(number, self._received)

    def _received(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._act, signal.Signals(number))

    def _act(self, number: signal.Signals) -> None:
        action = self._action(number)
        if action == _REOPEN:
            # The event is the first in the new file.
            self._reopen_log()
        if not self._stopping:
            self._publish(SignalReceived(signal=number.name, action=action))
        if action == _STATISTICS:
            self._statistics()
        elif action == _STOP and not self._stopping:
            self._stopping = True
            if number is signal.SIGQUIT:
                # The exit status 0: by the signal itself there would be a core dump.
                self._reactor.stop()
            else:
                # Stops, and lets twistd end by the signal.
                self._reactor.sigTerm(number)

    def _action(self, number: signal.Signals) -> str:
        if number is signal.SIGHUP:
            # From the kernel, if a terminal is gone.
            return _REOPEN if all(map(os.isatty, self._terminals)) else _STOP
        if number is signal.SIGUSR1:
            return _STATISTICS
        return _NONE if number is signal.SIGUSR2 else _STOP
