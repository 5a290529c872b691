"""The command line of ``twistd udprelay`` and its service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import syslog
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import Application, IService
from twisted.logger import ILogObserver, Logger
from twisted.python import usage
from zope.interface.verify import verifyObject

from udprelay import __version__
from udprelay.config import Config, LogFormat, LogRules
from udprelay.logs import Log
from udprelay.relay.rules import ListenerRules, RelayRules
from udprelay.tap import Options, makeService

TIMEOUT = 60.0


def parsed(*arguments: str, **twistd: Any) -> Options:
    options = Options()
    if twistd:
        options.parent = usage.Options()
        options.parent.update(twistd)
    options.parseOptions(list(arguments))
    return options


def ended(
    capfd: pytest.CaptureFixture[str], *arguments: str, **twistd: Any
) -> tuple[int, str, str]:
    """Parse arguments that end the process; return its status and what it prints."""
    with pytest.raises(SystemExit) as end:
        parsed(*arguments, **twistd)
    printed = capfd.readouterr()
    assert isinstance(end.value.code, int)
    return end.value.code, printed.out, printed.err


class TestFlags:
    def test_without_flags_there_are_the_defaults(self) -> None:
        assert parsed().config == Config()

    def test_all_flags(self, tmp_path: Path) -> None:
        file = tmp_path / "relay.ini"
        file.write_text("[listener:main]\nport = 1\nroom = attic\n[room:attic]\n")
        flags = "--port 7000 --interface ::1 --room cellar --log-format json --console --config"
        main = ListenerRules(interface="::1", port=7000, room="cellar")
        config = parsed(*flags.split(), str(file)).config
        assert config.rules.listeners == {"main": main}
        assert set(config.rules.rooms) == {"attic"}
        assert config.log == LogRules(format=LogFormat.JSON)
        assert config.console

    def test_short_flags(self, tmp_path: Path) -> None:
        file = tmp_path / "relay.ini"
        file.write_text("")
        config = parsed("-p", "0", "-i", "127.0.0.1", "-c", str(file)).config
        main = ListenerRules(interface="127.0.0.1", port=0)
        assert config == Config(RelayRules(listeners={"main": main}))

    @pytest.mark.parametrize("arguments", [["--colour"], ["--port"], ["stray"]])
    def test_invalid_flags_end_with_status_1_and_a_hint(
        self, capfd: pytest.CaptureFixture[str], arguments: list[str]
    ) -> None:
        status, out, err = ended(capfd, *arguments)
        assert (status, out) == (1, "")
        first, second, end = err.split("\n")
        assert first.startswith("udprelay: ")
        assert second == "udprelay: twistd udprelay --help lists the flags"
        assert end == ""

    def test_version(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert ended(capfd, "--version") == (0, f"udprelay {__version__}\n", "")

    def test_help_lists_all_flags(self, capfd: pytest.CaptureFixture[str]) -> None:
        status, out, _ = ended(capfd, "--help")
        assert status == 0
        flags = [option[0] for option in [*Options.optParameters, *Options.optFlags]]
        assert len(flags) == 7
        assert all(f"--{flag}" in out for flag in [*flags, "version", "help"])

    def test_each_flag_has_a_description(self) -> None:
        assert all(option[-1] for option in [*Options.optParameters, *Options.optFlags])

    def test_shells_can_complete_them(self) -> None:
        assert isinstance(Options.compData, usage.Completions)


class TestMistakes:
    def test_each_is_a_line_on_standard_error_and_the_status_is_1(
        self, capfd: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        file = tmp_path / "relay.ini"
        file.write_text("[listener:main]\nport = x\nplain = y\n[nothing]\n")
        status, out, err = ended(capfd, "--port", "z", "--config", str(file))
        assert (status, out) == (1, "")
        assert [line.split(": ")[:2] for line in err.splitlines()] == [
            ["udprelay", "--port z"],
            ["udprelay", f"{file}:2"],
            ["udprelay", f"{file}:3"],
            ["udprelay", f"{file}:4"],
        ]

    def test_a_missing_file_is_a_mistake(
        self, capfd: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        file = tmp_path / "missing.ini"
        status, _, err = ended(capfd, "--config", str(file))
        assert status == 1
        assert err == f"udprelay: {file}: cannot be read: No such file or directory\n"

    def test_a_log_that_cannot_be_opened_is_a_mistake(
        self, capfd: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        file, log = tmp_path / "relay.ini", tmp_path / "missing" / "relay.log"
        file.write_text(f"[log]\nfile = {log}\n")
        for flags in ("--config", str(file)), ("--config", str(file), "--check"):
            status, _, err = ended(capfd, *flags)
            assert status == 1
            assert err == (
                f"udprelay: {file}:2: [log] file = {log}: "
                f"cannot be opened: there is no directory {log.parent}\n"
            )

    @pytest.mark.parametrize("check", [(), ("--check",)])
    def test_what_a_daemon_cannot_do_is_reported_with_the_other_mistakes(
        self, capfd: pytest.CaptureFixture[str], check: tuple[str, ...]
    ) -> None:
        flags = ("--console", "--port", "x", *check)
        status, out, err = ended(capfd, *flags, nodaemon=False, logfile="-")
        assert (status, out) == (1, "")
        assert err.splitlines() == [
            "udprelay: --console: needs a terminal: run twistd -n",
            "udprelay: --logfile -: a daemon has no standard output: run twistd -n",
            "udprelay: --port x: must be a whole number from 0 to 65535",
        ]

    @pytest.mark.parametrize(
        "program", [{"nodaemon": True}, {"debug": True}, {"logFile": sys.stdout}]
    )
    def test_a_program_that_becomes_no_daemon_may_have_a_console(
        self, capfd: pytest.CaptureFixture[str], program: dict[str, Any]
    ) -> None:
        """``twistd -n``, ``twistd --debug``, and ``twist``, which has none of these options."""
        status, out, err = ended(capfd, "--console", "--check", **program)
        assert (status, err) == (0, "")
        assert out.endswith("console: room lobby\n")

    @pytest.mark.parametrize("check", [(), ("--check",)])
    def test_a_log_of_twistd_that_cannot_be_opened_is_reported_with_the_other_mistakes(
        self, capfd: pytest.CaptureFixture[str], tmp_path: Path, check: tuple[str, ...]
    ) -> None:
        file = tmp_path / "missing" / "x.log"
        status, out, err = ended(capfd, "--port", "x", *check, logfile=str(file))
        assert (status, out) == (1, "")
        assert err.splitlines() == [
            f"udprelay: --logfile {file}: cannot be opened: there is no directory {file.parent}",
            "udprelay: --port x: must be a whole number from 0 to 65535",
        ]

    @pytest.mark.parametrize("check", [(), ("--check",)])
    def test_a_daemon_that_cannot_write_its_default_log_is_a_mistake(
        self,
        capfd: pytest.CaptureFixture[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        check: tuple[str, ...],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "twistd.log").mkdir()
        status, out, err = ended(capfd, *check, nodaemon=False)
        assert (status, out) == (1, "")
        assert err == (
            "udprelay: the log twistd.log is a directory; write a file in it, as "
            f"{tmp_path}/twistd.log/udprelay.log; choose one by --logfile\n"
        )

    def test_a_log_that_has_become_impossible_is_a_mistake(
        self, capfd: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        file, log = tmp_path / "relay.ini", tmp_path / "logs" / "relay.log"
        log.parent.mkdir()
        file.write_text(f"[log]\nfile = {log}\n")
        options = parsed("--config", str(file))
        log.parent.rmdir()
        with pytest.raises(SystemExit) as end:
            makeService(options)
        assert end.value.code == 1
        assert capfd.readouterr().err == (
            f"udprelay: [log] file = {log}: cannot be opened: there is no directory {log.parent}\n"
        )


class TestCheck:
    def test_prints_the_summary_and_ends_with_status_0(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        status, out, err = ended(capfd, "--check", "--port", "7000", "--console")
        assert (status, err) == (0, "")
        assert out.splitlines() == [
            (
                "listener main: [::]:7000, room lobby, protocol auto, "
                "plain challenge (trusted: local)"
            ),
            "room lobby: at most 1000 members, idle after 5m",
            "memory: at most 336 MiB, 256 of them for members and what is kept",
            "log: text, standard output",
            "console: room lobby",
        ]

    def test_prints_mistakes_and_ends_with_status_1(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        status, out, err = ended(capfd, "--check", "--port", "x")
        assert (status, out) == (1, "")
        assert err.startswith("udprelay: --port x: ")

    def test_opens_no_log_file(self, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        file, log = tmp_path / "relay.ini", tmp_path / "relay.log"
        file.write_text(f"[log]\nfile = {log}\n")
        assert ended(capfd, "--check", "--config", str(file))[0] == 0
        assert not log.exists()


class TestService:
    def test_is_a_service_of_twisted(self) -> None:
        service = makeService(parsed())
        assert verifyObject(IService, service)
        assert service.name == "udprelay"
        assert not service.running

    def test_its_log_is_that_of_the_application(self) -> None:
        application = Application("udprelay")
        makeService(parsed()).setServiceParent(application)
        assert isinstance(application.getComponent(ILogObserver), Log)

    def test_the_log_file_of_twistd_takes_precedence(self, tmp_path: Path) -> None:
        application, file = Application("udprelay"), tmp_path / "x.log"
        makeService(parsed(logfile=str(file))).setServiceParent(application)
        log: Any = application.getComponent(ILogObserver)
        Logger(namespace="some.library", observer=log).info("as Twisted writes it")
        assert log.writer.flush(TIMEOUT)
        assert file.read_text().endswith(" [some.library#info] as Twisted writes it\n")

    def test_a_log_file_of_twistd_that_has_become_impossible_is_a_mistake(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "logs" / "x.log"
        file.parent.mkdir()
        options = parsed(logfile=str(file))
        file.parent.rmdir()
        with pytest.raises(SystemExit):
            makeService(options)
        assert capfd.readouterr().err == (
            f"udprelay: --logfile {file}: cannot be opened: there is no directory {file.parent}\n"
        )

    def test_a_fifo_without_a_reader_ends_the_start(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "fifo"
        os.mkfifo(file)
        with pytest.raises(SystemExit):
            makeService(parsed(logfile=str(file)))
        assert capfd.readouterr().err == (
            f"udprelay: --logfile {file}: cannot be opened: no program reads this FIFO; start one "
            "first\n"
        )

    def test_syslog_takes_precedence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sent: list[tuple[int, str]] = []
        monkeypatch.setattr(syslog, "syslog", lambda *message: sent.append(message))
        application = Application("udprelay")
        twistd = {"syslog": True, "prefix": "relay", "logfile": "ignored"}
        makeService(parsed(**twistd)).setServiceParent(application)
        log: Any = application.getComponent(ILogObserver)
        library = Logger(namespace="some.library", observer=log)
        library.warn("two\nlines, a \0 and a \udc80")
        library.info("one")
        assert log.writer.flush(TIMEOUT)
        assert sent == [
            (syslog.LOG_WARNING, "[some.library#warn] two"),
            (syslog.LOG_WARNING, "\tlines, a \\0 and a \\udc80"),
            (syslog.LOG_INFO, "[some.library#info] one"),
        ]

    @pytest.mark.parametrize(
        "program", [{"logger": print, "syslog": True}, {"logFile": sys.stderr}]
    )
    def test_the_log_is_left_to_the_program(self, program: dict[str, Any]) -> None:
        """A class of the user's own, or ``twist --log-file``."""
        application = Application("udprelay")
        makeService(parsed(**program)).setServiceParent(application)
        assert application.getComponent(ILogObserver) is None

    def test_a_daemon_logs_to_a_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        makeService(parsed(nodaemon=False))
        assert [file.name for file in tmp_path.iterdir()] == ["twistd.log"]

    def test_making_it_installs_no_reactor_and_opens_no_socket(self) -> None:
        """``twistd --reactor`` has its effect, and mistakes are found before a socket is bound."""
        program = """
import json, os, sys
from udprelay.tap import Options, makeService
options = Options()
options.parseOptions(["--port", "0"])
before = os.listdir("/proc/self/fd")
service = makeService(options)
after = os.listdir("/proc/self/fd")
print(json.dumps([before == after, "twisted.internet.reactor" in sys.modules]))
"""
        run = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, timeout=30
        )
        assert json.loads(run.stdout) == [True, False]

    def test_stopping_before_starting_does_nothing(self) -> None:
        assert makeService(parsed()).stopService() is None
