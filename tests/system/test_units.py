"""The systemd unit is valid and restrictive, and the relay works in it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from system_processes import TIMEOUT

from udprelay.config import Config

if TYPE_CHECKING:
    from installation import Installation

ETC = Path(__file__).parents[2] / "etc"
UNIT = ETC / "udprelay.service"
SANDBOX = Path(__file__).with_name("sandbox.py")
INSTALLED = "/opt/udprelay/bin/twistd"
CONFIGURED = "/etc/udprelay/udprelay.ini"

CONFIGURATION = """
[listener:main]
interface = 127.0.0.1
port = 0
[log]
format = json
"""

FORBIDDEN = """
import mmap, os, socket
for attempt in (
    lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    lambda: mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_WRITE | mmap.PROT_EXEC),
    lambda: os.chown("/nowhere", 0, 0),
):
    try:
        attempt()
    except OSError as error:
        print(error.strerror)
"""


def setting(name: str) -> str:
    (value,) = re.findall(rf"(?m)^{name}=(.*)$", UNIT.read_text())
    return str(value)


# Read by systemd

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze"
)


def systemd_analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ("systemd-analyze", "--no-pager", *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def verifiable(tmp_path: Path) -> Path:
    """The unit with another program, one that exists here."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(f"={INSTALLED} ", f"={shutil.which('true')} "))
    return unit


def assert_clean(unit: Path) -> None:
    verified = systemd_analyze("verify", "--man=no", unit)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


@needs_systemd
def test_unit_is_valid(verifiable: Path) -> None:
    assert_clean(verifiable)


@needs_systemd
def test_exposure_of_the_unit_is_at_most_1_1() -> None:
    rated = systemd_analyze("security", "--offline=true", "--threshold=11", UNIT)
    assert rated.returncode == 0, rated.stdout


def test_memory_of_the_unit_is_a_quarter_more_than_the_maximum_of_the_defaults() -> None:
    assert setting("MemoryMax") == f"{Config().max_memory() * 5 // 4 // 2**20}M"


def test_programs_outside_the_interpreter_and_ports_other_than_udp_are_denied() -> None:
    names = ("NoExecPaths", "SocketBindDeny", "SocketBindAllow")
    assert [setting(name) for name in names] == ["/", "any", "udp"]
    assert setting("ExecPaths").split()[0] == INSTALLED.removesuffix("/bin/twistd")


@pytest.fixture
def low_port(verifiable: Path) -> Path:
    """The unit with the drop-in from its comment for ports below 1024."""
    (comment,) = re.findall(r"(?m)^#\n#   \[Service\]\n(?:#   .*\n)+", UNIT.read_text())
    drop_in = verifiable.with_name(f"{UNIT.name}.d") / "low-port.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(re.sub(r"(?m)^#(   )?", "", comment))
    return verifiable


@needs_systemd
def test_drop_in_for_a_low_port_is_valid(low_port: Path) -> None:
    assert_clean(low_port)


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="needs systemd-sysusers")
def test_fixed_user_can_be_created(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    rules = ETC / "sysusers.d" / "udprelay.conf"
    subprocess.run(("systemd-sysusers", f"--root={tmp_path}", rules), check=True)
    assert "udprelay:" in (tmp_path / "etc/passwd").read_text()


# Run as by systemd


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "udprelay.ini"
    path.write_text(CONFIGURATION)
    return path


@pytest.fixture
def without_plugin_cache(installation: Installation) -> Iterator[None]:
    """Remove the plugin cache, and make its directory unwritable."""
    plugins = installation.site_packages / "twisted" / "plugins"
    (plugins / "dropin.cache").unlink(missing_ok=True)
    mode = plugins.stat().st_mode
    plugins.chmod(0o555)
    yield
    plugins.chmod(mode)


def command(name: str, installation: Installation, configuration: Path) -> list[str]:
    """Return a command line of the unit for this installation and configuration."""
    line = setting(name)
    replaced = line.replace(INSTALLED, str(installation.twistd))
    return shlex.split(replaced.replace(CONFIGURED, str(configuration)))


def sandboxed(*command: str) -> tuple[str, ...]:
    return (sys.executable, str(SANDBOX), str(UNIT), *command)


@pytest.fixture
def service(
    installation: Installation,
    configuration: Path,
    without_plugin_cache: None,
    unprivileged: tuple[str, ...],
) -> Iterator[subprocess.Popen[str]]:
    """The relay under the restrictions of the unit."""
    start = command("ExecStart", installation, configuration)
    process = subprocess.Popen(
        (*unprivileged, *sandboxed(*start)),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.terminate()
        process.wait(TIMEOUT)


def wait_for(event: str, service: subprocess.Popen[str]) -> dict[str, Any]:
    assert service.stdout is not None
    lines = []
    for line in service.stdout:
        lines.append(line)
        fields: dict[str, Any] = json.loads(line)
        if fields["event"] == event:
            return fields
    assert service.stderr is not None
    raise AssertionError(f"no {event} in {lines}; {service.stderr.read()}")


def member(port: int) -> socket.socket:
    """Return the socket of a plain member."""
    program = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    program.settimeout(TIMEOUT)
    program.connect(("127.0.0.1", port))
    program.send(b"")
    return program


@needs_systemd
def test_sandbox_of_these_tests_applies_the_restrictions_of_the_unit() -> None:
    refused = subprocess.check_output(sandboxed(sys.executable, "-c", FORBIDDEN), text=True)
    expected = [os.strerror(97), os.strerror(1), os.strerror(1)]
    assert refused.splitlines() == expected


@needs_systemd
def test_names_are_resolved_in_the_unit() -> None:
    code = "import socket; print(socket.getaddrinfo('localhost', 6000)[0][4])"
    resolved = subprocess.check_output(sandboxed(sys.executable, "-c", code), text=True)
    assert "6000" in resolved


@needs_systemd
def test_relay_relays_in_the_unit(service: subprocess.Popen[str]) -> None:
    port = wait_for("listener.opened", service)["port"]
    with member(port) as receiver:
        wait_for("member.joined", service)
        with member(port) as sender:
            sender.send(b"hello")
            assert receiver.recv(100) == b"hello"


@needs_systemd
def test_relay_stops_on_the_signal_of_the_unit(service: subprocess.Popen[str]) -> None:
    wait_for("listener.opened", service)
    service.send_signal(getattr(signal, setting("KillSignal")))
    service.communicate(timeout=TIMEOUT)
    # twistd ends itself by the signal that it received; for systemd both are clean exits.
    assert service.returncode in {0, -signal.SIGTERM}


@needs_systemd
def test_an_unwritable_plugin_cache_is_not_logged(service: subprocess.Popen[str]) -> None:
    wait_for("listener.opened", service)
    service.terminate()
    output, errors = service.communicate(timeout=TIMEOUT)
    assert "plugin cache" not in output + errors


def test_unit_checks_the_configuration_that_it_runs() -> None:
    assert setting("ExecStartPre") == f"{setting('ExecStart')} --check"


def test_check_of_the_unit_accepts_a_valid_configuration(
    installation: Installation, configuration: Path
) -> None:
    check = command("ExecStartPre", installation, configuration)
    assert subprocess.run(check, cwd="/", capture_output=True, check=False).returncode == 0


def test_check_of_the_unit_reports_errors(installation: Installation, configuration: Path) -> None:
    configuration.write_text("[listener:main]\nport = seven\n")
    check = command("ExecStartPre", installation, configuration)
    checked = subprocess.run(check, cwd="/", capture_output=True, text=True, check=False)
    assert checked.returncode == 1
    assert "seven" in checked.stdout + checked.stderr
