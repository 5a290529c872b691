"""
A way out of the machine: two network namespaces, and a veth between them.

The relay runs in one, the load program in the other. What the relay sends to members goes to a
gateway whose link address nobody has: the kernel drops it on arrival, before it looks for a
receiver. So the receivers' side of the kernel is not in the relay's CPU.

Each namespace is held by a process that ends when its standard input does. With the last process
in it the kernel removes the namespace, and the veth with it, however this process ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

RELAY = "10.99.0.1"
MEMBERS = "10.98.0.0"
"""Members have the addresses after this one."""
DEVICE = "udprelay"
"""The name of both ends."""

_GATEWAY = "10.99.0.2"
_RELAY_LINK, _LOAD_LINK, _NOBODYS_LINK = (f"02:00:00:00:00:0{n}" for n in (1, 2, 3))
_TIMEOUT = 10


class CannotMakeError(Exception):
    """The namespaces or the veth cannot be made."""


@dataclass(frozen=True)
class Veth:
    """
    What the two ends do with a message that has ``UDP_SEGMENT``: segment it, or pass it on.

    :param passes_out: the relay's end passes it on, as a network card does that has
        tx-udp-segmentation; else the kernel segments it on the relay's core.
    :param passes_in: the load's end passes it on: a relay that reads with ``UDP_GRO`` gets its
        datagrams in one piece.
    """

    passes_out: bool
    passes_in: bool


@dataclass(frozen=True)
class Namespaces:
    """The two network namespaces: commands that enter them."""

    relay: list[str]
    load: list[str]


def missing() -> str:
    """Return why there can be no such way; "" if there can."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [name for name in ("ip", "nsenter", "unshare") if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    try:
        with opened(Veth(passes_out=True, passes_in=True)):
            return ""
    except CannotMakeError as error:
        return str(error)


@contextmanager
def opened(veth: Veth) -> Iterator[Namespaces]:
    """
    Make both namespaces and the veth; remove them at the end.

    :raises CannotMakeError: if the kernel, or a container, does not permit it.
    """
    with ExitStack() as stack:
        relay, load = (stack.enter_context(namespace()) for _ in range(2))
        names = Namespaces(entering(relay), entering(load))
        ip(
            names.relay,
            f"link add {DEVICE} address {_RELAY_LINK} type veth "
            f"peer name {DEVICE} address {_LOAD_LINK} netns {load}",
        )
        for inside, address, passes in (
            (names.relay, RELAY, veth.passes_out),
            (names.load, _GATEWAY, veth.passes_in),
        ):
            # Without a link-local address of IPv6 there is no traffic but ours.
            ip(inside, f"link set {DEVICE} addrgenmode none")
            ip(inside, f"address add {address}/24 dev {DEVICE}")
            ip(inside, "link set lo up")
            ip(inside, f"link set {DEVICE} up")
            setting = "on" if passes else "off"
            feature = str(Path(__file__).with_name("device_feature.py"))
            run([*inside, sys.executable, feature, DEVICE, "tx-udp-segmentation", setting])
        ip(names.relay, f"neighbour add {_GATEWAY} lladdr {_NOBODYS_LINK} dev {DEVICE}")
        ip(names.relay, f"route add {MEMBERS}/16 via {_GATEWAY}")
        ip(names.load, f"neighbour add {RELAY} lladdr {_RELAY_LINK} dev {DEVICE}")
        ip(names.load, f"route add local {MEMBERS}/16 dev lo")
        yield names


@contextmanager
def namespace() -> Iterator[int]:
    """Make a namespace; yield the number of the process that holds it."""
    process = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo made; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # ^C must not end it before those that run in it.
        start_new_session=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        if not process.stdout.readline():
            raise CannotMakeError(process.stderr.read().decode(errors="replace").strip())
        try:
            yield process.pid
        finally:
            process.stdin.close()


def entering(process: int) -> list[str]:
    """Return the command that enters the namespace of a process."""
    return ["nsenter", f"--net=/proc/{process}/ns/net"]


def ip(inside: Sequence[str], arguments: str) -> None:
    """Run ``ip`` with these arguments in a namespace."""
    run([*inside, "ip", *arguments.split()])


def run(command: Sequence[str]) -> None:
    """
    Run a command.

    :raises CannotMakeError: if it fails.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotMakeError(str(error)) from error
    if done.returncode:
        last = (done.stderr.strip() or "failed").splitlines()[-1]
        raise CannotMakeError(f"{' '.join(command[2:])}: {last}")
