"""``--check`` and a start agree on what cannot work on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from system_processes import Start

pytest_plugins = ("system_fixtures",)

NETWORK = """
ip link set lo up
ip link add d0 type veth peer name d1
ip addr add 10.9.0.1/24 brd + dev d0
ip link set d0 up
ip link set d1 up
ip route add prohibit 10.7.0.0/16
exec "$@"
"""
IN_NETWORK = ("unshare", "--net", "sh", "-ec", NETWORK, "sh")


def _can_make_networks() -> bool:
    if os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("ip")):
        return False
    return subprocess.run([*IN_NETWORK, "true"], capture_output=True, check=False).returncode == 0


needs_network = pytest.mark.skipif(
    not _can_make_networks(), reason="only root, with iproute2, can make a network of its own"
)
needs_capabilities = pytest.mark.skipif(
    os.geteuid() == 0 and not shutil.which("setpriv"), reason="setpriv is missing"
)


@needs_network
@pytest.mark.parametrize("check", [("--check",), ()], ids=["check", "start"])
def test_addresses_that_never_work(start: Start, check: tuple[str, ...]) -> None:
    config = start.config(
        "[listener:main]\nport = 6000\n"
        "[listener:b]\nport = 6001\ninterface = 10.9.0.255\n"
        "[room:lobby]\ntargets = 10.9.0.255:5, 10.9.0.1:6000,\n  10.9.0.7:5, 10.9.0.1:5\n"
    )
    process = start.twistd("-n", "udprelay", *config, *check, before=IN_NETWORK)
    assert process.status() == 1
    file = start.place / "udprelay.ini"
    assert process.stderr.lines == [
        f"udprelay: {file}:{line}"
        for line in (
            (
                "5: [listener:b] interface = 10.9.0.255: is a broadcast address, not one of this "
                "machine"
            ),
            (
                "7: [room:lobby] targets = 10.9.0.255:5: is a broadcast address; write the "
                "address of one machine"
            ),
            "7: [room:lobby] targets = 10.9.0.1:6000: is the relay itself (listener main)",
        )
    ]


@needs_network
def test_addresses_that_do_not_work_now(start: Start) -> None:
    config = start.config(
        "[listener:main]\ninterface = 10.9.0.2\nport = 6000\n"
        "[listener:b]\ninterface = fe80::1%d9\nport = 6000\n"
        "[room:lobby]\ntargets = 10.9.0.7:5, 10.8.0.1:5, 10.7.0.1:5, nowhere.invalid:5\n"
    )
    process = start.twistd("-n", "udprelay", *config, "--check", before=IN_NETWORK)
    assert process.status() == 0
    file = start.place / "udprelay.ini"
    warnings = [line for line in process.stdout.lines if line.startswith("warning: ")]
    assert warnings[:4] == [
        f"warning: {file}:{line}"
        for line in (
            "2: [listener:main] interface = 10.9.0.2: is not an address of this machine now",
            "5: [listener:b] interface = fe80::1%d9: is not an address of this machine now",
            (
                "8: [room:lobby] targets = 10.8.0.1:5: cannot be reached now: "
                "Network is unreachable"
            ),
            "8: [room:lobby] targets = 10.7.0.1:5: cannot be reached now: Permission denied",
        )
    ]
    (name,) = warnings[4:]
    assert f"{file}:8: [room:lobby] targets = nowhere.invalid:5: the name " in name


@needs_capabilities
def test_rights_that_are_missing(start: Start, unprivileged: tuple[str, ...]) -> None:
    config = start.config("[listener:main]\nport = 1\nreceive_buffer = 1 GiB\n")
    process = start.twistd("-n", "udprelay", *config, "--check", before=unprivileged)
    assert process.status() == 0
    port, size = (
        line.partition(": [listener:main] ")[2]
        for line in process.stdout.lines
        if line.startswith("warning: ")
    )
    assert port.startswith("port = 1: ports below ")
    assert port.endswith(" need root or CAP_NET_BIND_SERVICE")
    assert size.startswith("receive_buffer = 1 GiB: the kernel grants net.core.rmem_max = ")
    assert size.endswith(" bytes without CAP_NET_ADMIN")


@needs_capabilities
def test_a_log_that_this_user_cannot_write(start: Start, unprivileged: tuple[str, ...]) -> None:
    directory = start.place / "logs"
    directory.mkdir(0o500)
    config = start.config(f"[log]\nfile = {directory}/relay.log\n")
    process = start.twistd("-n", "udprelay", *config, "--check", before=unprivileged)
    assert process.status() == 1
    why = f"cannot be opened: this user may not write to {directory}"
    file = start.place / "udprelay.ini"
    assert process.stderr.lines == [
        f"udprelay: {file}:2: [log] file = {directory}/relay.log: {why}"
    ]
