"""
``twistd udprelay``: command-line flags and the service that they describe.

The rest of the relay is imported when it is used: that takes as long as the start of Twisted, and
signals are handled before it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from attrs import evolve
from twisted.application.service import IService
from twisted.python import usage

from udprelay import __version__, pid_file

if TYPE_CHECKING:
    from udprelay.config import Config, LogRules
    from udprelay.logs import Log


class Options(usage.Options):
    """
    The flags of ``twistd udprelay``.

    :ivar config: the configuration, once the flags are parsed.
    """

    synopsis = "[options]"
    longdesc = (
        "A relay for UDP: it forwards each datagram to all other programs in the room. "
        "Flags override the configuration file, the file overrides the defaults."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["config", "c", None, "INI file"],
        ["port", "p", None, "UDP port of the listener main; 0 is any free port [default: 6000]"],
        ["interface", "i", None, "address to bind; :: is IPv4 and IPv6 [default: ::]"],
        ["room", None, None, "room of the listener main [default: lobby]"],
        ["log-format", None, None, "text or json [default: text]"],
    ]
    optFlags: ClassVar[list[list[str | None]]] = [
        ["console", None, "make this terminal a member of the room"],
        ["check", None, "check the configuration, print a summary, and exit"],
    ]
    compData = usage.Completions(
        optActions={
            "config": usage.CompleteFiles("*.ini"),
            "log-format": usage.CompleteList(["text", "json"]),
        }
    )
    config: Config

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse the flags; an invalid one ends the process with status 1."""
        if self.parent is not None:
            _survive_signals()
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            _exit(f"udprelay: {error}\nudprelay: twistd udprelay --help lists the flags")

    def opt_version(self) -> None:
        """Show the version of udprelay and exit."""
        print(f"udprelay {__version__}")  # noqa: T201
        raise SystemExit(0)

    def postOptions(self) -> None:
        """Read the configuration; an invalid one ends the process with status 1."""
        from udprelay.config import ConfigError, Problem, load
        from udprelay.machine import look_up_names

        try:
            # Names are looked up for --check alone: a start does not wait for a name server.
            look_up = {"look_up": look_up_names} if self["check"] else {}
            self.config = load(self["config"], self, bool(self["console"]), **look_up)
            problems = []
        except ConfigError as error:
            problems = error.problems
        twistd: Any = self.parent
        if self["console"] and twistd and not (twistd.get("nodaemon") or twistd.get("debug")):
            problems = [Problem("", 0, "--console", "needs a terminal: run twistd -n"), *problems]
        if problems:
            _exit("\n".join(f"udprelay: {problem}" for problem in problems))
        if self["check"]:
            print(self.config.summary())  # noqa: T201
            raise SystemExit(0)
        if twistd is not None:
            try:
                pid_file.settle(twistd, sys.argv[1:])
            except OSError as error:
                _exit(f"udprelay: --pidfile {twistd['pidfile']}: {error.strerror}")


def makeService(options: Options) -> IService:
    """Return the service for ``options``."""
    from udprelay.service import RelayService

    config = options.config
    twistd: Any = options.parent or {}
    foreground = bool(twistd.get("nodaemon", True) or twistd.get("debug"))
    if not foreground and not config.log.file:
        # A daemon has no standard output; twistd's own log has this name, too.
        config = evolve(config, log=evolve(config.log, file="twistd.log"))
    return RelayService(
        config,
        _log(config.log, twistd, foreground),
        foreground,
        twistd.get("pidfile"),
        handle_signals=options.parent is not None,
    )


def _log(rules: LogRules, twistd: Any, foreground: bool) -> Log | None:
    """Return the log, also for the options of ``twistd``; ``None`` leaves it to Twisted."""
    from udprelay.logs import open_log, open_twistd_log

    file = twistd.get("logfile")
    if twistd.get("logger") or (file == "-" and not foreground):
        # A class of somebody else, or an error that twistd reports.
        return None
    try:
        if twistd.get("syslog") or file:
            name = "" if twistd.get("syslog") else file
            return open_twistd_log(name, twistd.get("prefix", ""), rules)
        return open_log(rules)
    except OSError as error:
        option = f"--logfile {file}" if file else f"[log] file = {rules.file}"
        _exit(f"udprelay: {option}: cannot be opened: {error.strerror}")


def _survive_signals() -> None:
    """Let no signal that is meant for the running relay end it while it starts."""
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        # A handler and not SIG_IGN, which stands for nohup.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda *_: None)


def _exit(message: str) -> NoReturn:
    print(message, file=sys.__stderr__, flush=True)
    raise SystemExit(1)
