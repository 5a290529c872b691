"""
``twistd udprelay`` and ``twist udprelay``: flags and the service that they describe.

The rest of the relay is imported when it is used: that takes as long as the start of Twisted, and
signals are handled before it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from attrs import evolve
from twisted.application.service import IService
from twisted.python import usage

from udprelay import __version__, pid_file

if TYPE_CHECKING:
    from udprelay.config import Config, LogRules, Problem
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
        from udprelay.config import ConfigError, load
        from udprelay.machine import look_up_names

        program: Any = self.parent or {}
        check = bool(self["check"])
        problems = _problems_with(program, bool(self["console"]), check)
        try:
            # Names are looked up for --check alone: a start does not wait for a name server. The
            # start itself tries a log that is a FIFO.
            asked: Any = {"look_up": look_up_names, "try_fifo": True} if check else {}
            self.config = load(self["config"], self, bool(self["console"]), **asked)
        except ConfigError as error:
            problems += error.problems
        else:
            problems += _problems_of_a_daemon(program, self.config)
        if problems:
            _exit("\n".join(f"udprelay: {problem}" for problem in problems))
        if check:
            print(self.config.summary())  # noqa: T201
            raise SystemExit(0)
        try:
            pid_file.settle(program, in_foreground(program), sys.argv[1:])
        except OSError as error:
            _exit(f"udprelay: --pidfile {program['pidfile']}: {error.strerror}")


def in_foreground(program: Mapping[str, Any]) -> bool:
    """
    Return whether the process keeps its terminal.

    :param program: the options of what runs the service. ``twistd`` becomes a daemon without
        ``-n``; ``twist`` and others, which have no such option, do not.
    """
    return bool(program.get("nodaemon", True) or program.get("debug"))


def _problems_with(program: Mapping[str, Any], console: bool, check: bool) -> list[Problem]:
    """Return which options of ``twistd`` cannot work."""
    from udprelay.config import Problem, log_file_problem

    problems, file = [], program.get("logfile") or ""
    if console and not in_foreground(program):
        problems.append(Problem("", 0, "--console", "needs a terminal: run twistd -n"))
    if program.get("logger") or program.get("syslog") or not file:
        return problems
    if file != "-":
        why = log_file_problem(file, try_fifo=check)
    else:
        why = "" if in_foreground(program) else "a daemon has no standard output: run twistd -n"
    return [*problems, Problem("", 0, f"--logfile {file}", why)] if why else problems


def _problems_of_a_daemon(program: Mapping[str, Any], config: Config) -> list[Problem]:
    from udprelay.config import Problem, log_file_problem

    if any(program.get(option) for option in ("logger", "syslog", "logfile")):
        return []
    file = _rules_of_log(program, config).file
    why = "" if file == config.log.file else log_file_problem(file)
    return [Problem("", 0, "", f"the log {file} {why}; choose one by --logfile")] if why else []


def _rules_of_log(program: Mapping[str, Any], config: Config) -> LogRules:
    if config.log.file or in_foreground(program):
        return config.log
    # A daemon has no standard output; twistd's own log has this name, too.
    return evolve(config.log, file="twistd.log")


def makeService(options: Options) -> IService:
    """Return the service for ``options``."""
    from udprelay.service import RelayService

    program: Any = options.parent or {}
    config = evolve(options.config, log=_rules_of_log(program, options.config))
    return RelayService(
        config,
        _log(config.log, program),
        in_foreground(program),
        program.get("pidfile"),
        handle_signals=options.parent is not None,
    )


def _log(rules: LogRules, program: Any) -> Log | None:
    """Return the log, also for the options of ``twistd``; ``None`` leaves it to Twisted."""
    from udprelay.config import log_file_problem
    from udprelay.logs import open_log, open_twistd_log

    file = program.get("logfile")
    if program.get("logger") or program.get("logFile", sys.stdout) is not sys.stdout:
        # A class of somebody else, or "twist --log-file".
        return None
    try:
        if program.get("syslog") or file:
            name = "" if program.get("syslog") else file
            return open_twistd_log(name, program.get("prefix", ""), rules)
        log = open_log(rules)
        if "fileLogObserverFactory" in program:
            # Of twist, which does not ask the application for its log.
            program["fileLogObserverFactory"] = lambda _: log
        return log
    except OSError as error:
        option = f"--logfile {file}" if file else f"[log] file = {rules.file}"
        why = log_file_problem(file or rules.file, try_fifo=True)
        _exit(f"udprelay: {option}: {why or f'cannot be opened: {error.strerror}'}")


def _survive_signals() -> None:
    """Let no signal that is meant for the running relay end it while it starts."""
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        # A handler and not SIG_IGN, which stands for nohup.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda *_: None)


def _exit(message: str) -> NoReturn:
    print(message, file=sys.__stderr__, flush=True)
    raise SystemExit(1)
