"""``twistd udprelay``: command-line flags and the service that they describe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, ClassVar

from attrs import evolve
from twisted.application.service import IService
from twisted.python import usage

from udprelay import __version__
from udprelay.config import Config, ConfigError, load
from udprelay.logs import observer
from udprelay.machine import look_up_names
from udprelay.service import RelayService


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
        try:
            # Names are looked up for --check alone: a start does not wait for a name server.
            look_up = {"look_up": look_up_names} if self["check"] else {}
            self.config = load(self["config"], self, bool(self["console"]), **look_up)
        except ConfigError as error:
            _exit("\n".join(f"udprelay: {problem}" for problem in error.problems))
        if self["check"]:
            print(self.config.summary())  # noqa: T201
            raise SystemExit(0)


def makeService(options: Options) -> IService:
    """Return the service for ``options``."""
    config = options.config
    twistd: Any = options.parent or {}
    foreground = bool(twistd.get("nodaemon", True))
    if not foreground and not config.log.file:
        # A daemon has no standard output; twistd's own log has this name, too.
        config = evolve(config, log=evolve(config.log, file="twistd.log"))
    own_log = None
    if not twistd.get("logfile") and not twistd.get("syslog"):
        try:
            own_log = observer(config.log)
        except OSError as error:
            _exit(f"udprelay: [log] file = {config.log.file}: cannot be opened: {error.strerror}")
    return RelayService(config, own_log, foreground, twistd.get("pidfile"))


def _exit(message: str) -> None:
    print(message, file=sys.__stderr__, flush=True)
    raise SystemExit(1)
