"""Starts and stops the parts of the relay in order."""

from __future__ import annotations

import atexit
import os
import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from twisted.application.service import IServiceCollection, Service
from twisted.internet.defer import Deferred
from twisted.internet.stdio import StandardIO
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.reflect import qual

from udprelay import __version__, systemd
from udprelay.clock import clock_of
from udprelay.config import Config, LogFormat, console_room
from udprelay.console import Console
from udprelay.logs import EventLog, Log
from udprelay.net.relay import CannotOpenError, Relay
from udprelay.net.targets import Targets, install_resolver
from udprelay.relay import events
from udprelay.relay.event_stream import EventStream
from udprelay.signals import Signals

FLUSH_TIMEOUT = 2.0
"""Seconds that the end of the process waits for a slow reader of the log."""


class RelayService(Service):
    """
    A relay with its targets and console, as a Twisted service.

    :param log: None leaves the log to Twisted.
    :param foreground: whether the process is not a daemon. If a listener cannot be opened, it
        prints one line and exits.
    :param pid_file: was written by ``twistd``; is removed in that case.
    :param handle_signals: whether the process is the relay's own.
    """

    name = "udprelay"
    _log = Logger()

    def __init__(
        self,
        config: Config,
        log: Log | None = None,
        foreground: bool = True,
        pid_file: str | None = None,
        handle_signals: bool = False,
    ) -> None:
        self._config = config
        self._own_log = log
        self._handle_signals = handle_signals
        self._foreground = foreground
        self._pid_file = pid_file
        self._relay: Relay | None = None
        self._targets: Targets | None = None
        self._console: Console | None = None
        self._signals: Signals | None = None
        self._events = EventStream(self._consumer_failed)
        self._publish = self._events.publish
        self._event_log = EventLog(self._events)

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """Join the application and replace its log, also under a plain ``twistd -n``."""
        if self._own_log is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._own_log)
            # A process that ends before the reactor has run says why.
            atexit.register(self._flush_log)
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """Bind the listeners while the process has the privilege for any port."""
        from twisted.internet import reactor

        super().privilegedStartService()
        # twistd has forked by now.
        if self._own_log is not None:
            self._own_log.writer.start()
            reactor.addSystemEventTrigger("after", "shutdown", self._flush_log)
        if self._handle_signals:
            self._signals = Signals(
                reactor, self._publish, self._reopen_log, self._publish_statistics
            )
            self._signals.handle()
        self._publish(events.RelayStarted(version=__version__, reactor=qual(reactor.__class__)))
        if self._config.exposed:
            self._publish(events.ConfigExposed(file=self._config.exposed))
        for problem in self._config.warnings:
            self._publish(events.ConfigWarning(problem=problem))
        relay = Relay(
            self._config.rules,
            reactor,
            secrets.token_bytes(32),
            self._publish,
            self._config.log.statistics,
        )
        try:
            relay.open()
        except CannotOpenError as error:
            self._report(error.event)
            if not self._foreground:
                # twistd reports the error to the waiting parent; a traceback would be logged.
                sys.excepthook = lambda *_: None
                raise
            raise SystemExit(1) from None
        self._relay = relay
        relay.hub.census.add("events.waiting", self._events.waiting)
        relay.hub.census.add("events.lost", self._events.lost)
        if self._own_log is not None:
            writer = self._own_log.writer
            relay.hub.census.add("log.waiting", lambda: writer.waiting)
            relay.hub.census.add("log.lost", lambda: writer.lost)

    def startService(self) -> None:
        """Add targets and the console when the reactor runs."""
        if self._relay is None:
            # twist starts services without it.
            self.privilegedStartService()
        super().startService()
        if self._relay is not None:
            self._relay.reactor.callWhenRunning(self._start_members)

    def _start_members(self) -> None:
        # Not before the reactor runs: a program may send a signal when it reads that a listener
        # is open, and the signal would kill the process silently.
        if self._signals is not None:
            self._signals.handle_twisteds()
        # Programs get all events.
        is_text = self._config.log.format is LogFormat.TEXT
        clock = clock_of(self._relay.reactor) if self._relay is not None and is_text else None
        self._event_log.start(clock)
        if self._relay is None:
            return
        install_resolver(self._relay.reactor)
        self._targets = Targets(self._relay)
        self._targets.start()
        if self._config.console:
            self._start_console(self._relay)
        systemd.notify(b"READY=1")

    def _reopen_log(self) -> None:
        if self._own_log is not None:
            self._own_log.writer.reopen()

    def _flush_log(self) -> None:
        if self._own_log is not None:
            self._own_log.end(FLUSH_TIMEOUT)

    def _publish_statistics(self) -> None:
        if self._relay is not None:
            self._relay.publish_statistics()

    def _consumer_failed(self, name: str) -> None:
        self._log.failure("a consumer of events failed: {name}", name=name)

    def _report(self, failed: events.ListenerFailed) -> None:
        log = self._own_log
        # On a terminal with a text log the line below is enough.
        if log is None or not log.is_shown or self._config.log.format is LogFormat.JSON:
            self._publish(failed)
            self._event_log.start()
        if self._foreground:
            print(f"udprelay: {failed.human()}", file=sys.__stderr__, flush=True)
            # twistd removes the file only if the reactor has run.
            if self._pid_file:
                with suppress(OSError):
                    os.unlink(self._pid_file)

    def _start_console(self, relay: Relay) -> None:
        # A JSON log needs standard output for itself.
        json = self._config.log.format is LogFormat.JSON and not self._config.log.file
        output = 2 if json else 1
        self._console = Console(relay, console_room(self._config.rules))
        # StandardIO makes the terminal non-blocking; the shell uses it afterwards.
        relay.reactor.addSystemEventTrigger(
            "after", "shutdown", _set_blocking, {d: os.get_blocking(d) for d in (0, output)}
        )
        StandardIO(self._console, stdin=0, stdout=output)  # type: ignore[call-arg]

    def stopService(self) -> Deferred[Any] | None:
        """Stop reading and emit the totals; the Deferred fires when all sockets are closed."""
        super().stopService()
        relay, self._relay = self._relay, None
        if relay is None:
            return None
        self._publish(events.RelayStopping())
        if self._targets is not None:
            self._targets.stop()
        if self._console is not None:
            self._console.stop()
        relay.send_farewell()
        systemd.notify(b"STOPPING=1")
        closed = relay.close()
        relay.hub.close(relay.now())
        for event in relay.hub.drain_events():
            self._publish(event)
        return closed


def _set_blocking(modes: Mapping[int, bool]) -> None:
    for descriptor, blocking in modes.items():
        # The console closes its descriptor if the terminal is closed.
        with suppress(OSError):
            os.set_blocking(descriptor, blocking)
