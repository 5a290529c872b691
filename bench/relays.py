"""The measured relays: how each is started, and when it is not available."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.veth import MEMBERS
from bench.works import BEFORE, Work

PEERS = Path(__file__).parent / "peers"
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
OURS = "udprelay"
NO_LIMITS = """\
[limits]
output = 0
[room:*]
member_rate = 0
member_bandwidth = 0
member_output = 0
room_output = 0
control_rate = 0
"""
"""Lifts what a saturating load would meet; the accounting stays on. Ends with [room:*]."""


@dataclass(frozen=True)
class Launch:
    """
    How to start one relay for one workload.

    :param ports: its ports; empty if it reports each in a ``listener.opened`` line.
    :param checkout: the working directory, which Python imports from; None for the current one.
    :param environment: variables that it gets besides ours.
    """

    command: list[str]
    ports: tuple[int, ...] = ()
    checkout: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Relay:
    """
    One relay.

    :param launch: makes its files in a directory; the third argument is that of the C programs.
    :param missing: returns why the relay is not available, "" if it is.
    :param many_rooms: whether it can serve more than one room.
    :param sessions: whether its members use the session protocol.
    :param always: whether it also runs under works that name their peers.
    :param compared: the relay of ours whose figures are divided by its figures.
    """

    name: str
    title: str
    launch: Callable[[Work, Path, Path], Launch]
    missing: Callable[[], str] = lambda: ""
    many_rooms: bool = True
    sessions: bool = False
    quick: bool = False
    always: bool = False
    compared: str = OURS

    def runs(self, work: Work) -> bool:
        """Return whether it is measured under ``work``."""
        if work.veth is not None and self.sessions:
            return False  # nobody receives the answers with which they join
        if work.rooms > 1 and not self.many_rooms:
            return False
        return self.always or not work.peers or self.name in work.peers


def configuration(work: Work, batch: bool, limits: str = NO_LIMITS) -> str:
    """Return the INI file that ``work`` needs; "" if the defaults are enough."""
    lines = limits.splitlines()
    if work.rooms > 1:
        for i in range(work.rooms):
            lines += [f"[listener:port{i}]", "port = 0", f"room = room{i}"]
            lines += [] if batch else ["batch = no"]
        lines += [f"[room:room{i}]" for i in range(work.rooms)]
    elif not batch or work.veth:
        lines.append("[listener:main]")
        lines += [] if batch else ["batch = no"]
        # Behind a router, they are no neighbours.
        lines += [f"plain_networks = {MEMBERS}/16"] if work.veth else []
    if work.members > 1000:
        lines += ["[udprelay]", f"max_members = {work.members}"]
        lines += ["[room:lobby]", f"max_members = {work.members}"]
    return "\n".join([*lines, ""]) if lines else ""


def _udprelay(work: Work, directory: Path, batch: bool = True, limits: str = NO_LIMITS) -> Launch:
    # twistd writes the shared plugin cache, or warns that it cannot: harmless.
    command = [*TWISTD, "-n", "--pidfile=", "udprelay", "--log-format", "json"]
    text = configuration(work, batch, limits)
    if text:
        file = directory / "udprelay.ini"
        file.write_text(text)
        command += ["--config", str(file)]
    if work.rooms == 1:
        command += ["--port", "0"]
    return Launch(command)


def _own(work: Work, directory: Path, programs: Path) -> Launch:
    return _udprelay(work, directory)


def _stock(work: Work, directory: Path, programs: Path) -> Launch:
    return _udprelay(work, directory, batch=False)


def _python(name: str) -> Callable[[Work, Path, Path], Launch]:
    def launch(work: Work, directory: Path, programs: Path) -> Launch:
        script = str(PEERS / name)
        return Launch([sys.executable, script, "--host", work.host, "--ports", str(work.rooms)])

    return launch


def _program(name: str, *more: str) -> Callable[[Work, Path, Path], Launch]:
    def launch(work: Work, directory: Path, programs: Path) -> Launch:
        command = [str(programs / name), "--host", work.host, "--ports", str(work.rooms)]
        return Launch([*command, *more])

    return launch


def _ncat(work: Work, directory: Path, programs: Path) -> Launch:
    family = socket.AF_INET6 if ":" in work.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as free:
        free.bind((work.host, 0))
        port = free.getsockname()[1]
    return Launch(["ncat", "-u", "-l", "--broker", work.host, str(port)], (port,))


def _no_ncat() -> str:
    if shutil.which("ncat") is None:
        return "not installed"
    work = Work("", "", 2)
    probe = subprocess.Popen(
        _ncat(work, PEERS, PEERS).command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    try:
        _, errors = probe.communicate(timeout=0.5)
    except subprocess.TimeoutExpired:
        probe.kill()
        probe.communicate()
        return ""
    return errors.decode(errors="replace").split("\n")[0].removeprefix("Ncat: ")


RELAYS = (
    Relay(OURS, "udprelay", _own, quick=True, always=True),
    Relay("udprelay-session", "udprelay, session members", _own, sessions=True, always=True),
    Relay("udprelay-stock", "udprelay, batch = no", _stock),
    Relay("twisted", "Twisted: transport.write loop", _python("twisted_loop.py"), quick=True),
    Relay("asyncio", "asyncio: transport.sendto loop", _python("asyncio_loop.py")),
    Relay("socket", "Python: blocking socket loop", _python("socket_loop.py"), many_rooms=False),
    Relay("c-sendto", "C: recvfrom, sendto loop", _program("c_sendto"), quick=True),
    Relay("c-mmsg-gso", "C: recvmmsg, sendmmsg, GSO", _program("c_mmsg_gso"), quick=True),
    Relay(
        "c-mmsg-gro",
        "C: the same, and UDP_GRO",
        _program("c_mmsg_gso", "--gro", "1"),
    ),
    Relay("ncat", "ncat --broker -u", _ncat, _no_ncat, many_rooms=False),
)


def before(checkout: Path, revision: str) -> tuple[Relay, Relay]:
    """Return an earlier commit of ours as peers: with plain members, and with sessions."""

    def launch(work: Work, directory: Path, programs: Path) -> Launch:
        # Commits without these limits do not know the options.
        knows = (checkout / "udprelay" / "relay" / "allowance.py").exists()
        limits = NO_LIMITS if knows else ""
        return replace(_udprelay(work, directory, limits=limits), checkout=checkout)

    title = f"udprelay of {revision}"
    return (
        Relay(BEFORE, title, launch, always=True),
        Relay(
            f"{BEFORE}-session",
            f"{title}, session members",
            launch,
            sessions=True,
            always=True,
            compared=f"{OURS}-session",
        ),
    )


def flood(members: int, programs: Path) -> Launch:
    """Return the program that floods ``members``, to measure the load side's own limit."""
    return Launch([str(programs / "c_mmsg_gso"), "--flood", str(members)])
