"""
Run a program under some restrictions of a systemd unit, without systemd.

    python sandbox.py UNIT COMMAND ARGUMENT...

It applies SystemCallFilter=, RestrictAddressFamilies= and MemoryDenyWriteExecute= of the unit:
those that a program can violate by itself.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import subprocess
import sys
from pathlib import Path

ALLOW = 0x7FFF0000
REFUSE = 0x00050000  # with an errno in the lower half
EQUAL, MASKED_EQUAL = 4, 7

# From <sys/socket.h>.
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
ALL_FAMILIES = range(64)


class Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp``: a condition on one argument of a system call."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class Filter:
    """A seccomp filter under construction."""

    def __init__(self, default: int) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(default))

    def add(self, action: int, call: str, *conditions: Comparison) -> None:
        number = self._library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:  # of another architecture, or newer than the library
            return
        array = (Comparison * len(conditions))(*conditions)
        self._check(
            self._library.seccomp_rule_add_array(
                self._context, action, number, len(conditions), array
            )
        )

    def load(self) -> None:
        self._check(self._library.seccomp_load(self._context))

    @staticmethod
    def _check(result: int) -> None:
        if result != 0:
            raise OSError(-result, os.strerror(-result))


def settings(unit: Path, name: str) -> list[str]:
    """Return the values of a setting in a unit."""
    lines = unit.read_text().splitlines()
    return [line.split("=", 1)[1] for line in lines if line.startswith(f"{name}=")]


def system_calls(group: str) -> set[str]:
    """Return all system calls of a group like ``@system-service``."""
    if not group.startswith("@"):
        return {group}
    command = ("systemd-analyze", "--no-pager", "syscall-filter", group)
    listing = subprocess.check_output(command, text=True).splitlines()[1:]
    names = [line.strip() for line in listing if line.strip() and "#" not in line]
    return {call for name in names for call in system_calls(name)}


def allowed_system_calls(unit: Path) -> set[str]:
    allowed = system_calls("@default")
    for value in settings(unit, "SystemCallFilter"):
        calls = {call for group in value.lstrip("~").split() for call in system_calls(group)}
        allowed = allowed - calls if value.startswith("~") else allowed | calls
    return allowed


def restrict(unit: Path) -> None:
    """Restrict this process permanently."""
    allowed = allowed_system_calls(unit)

    (families,) = settings(unit, "RestrictAddressFamilies")
    sockets = Filter(ALLOW)
    for family in ALL_FAMILIES:
        if family not in {FAMILIES[name] for name in families.split()}:
            refusal = REFUSE | errno.EAFNOSUPPORT
            sockets.add(refusal, "socket", Comparison(0, EQUAL, family))

    memory = Filter(ALLOW)
    if settings(unit, "MemoryDenyWriteExecute") == ["yes"]:
        both = mmap.PROT_WRITE | mmap.PROT_EXEC
        refusal = REFUSE | errno.EPERM
        memory.add(refusal, "mmap", Comparison(2, MASKED_EQUAL, both, both))
        for call in ("mprotect", "pkey_mprotect"):
            executable = Comparison(2, MASKED_EQUAL, mmap.PROT_EXEC, mmap.PROT_EXEC)
            memory.add(refusal, call, executable)

    calls = Filter(REFUSE | errno.EPERM)
    for call in sorted(allowed):
        calls.add(ALLOW, call)

    # The last one may forbid loading another.
    for restriction in (sockets, memory, calls):
        restriction.load()


if __name__ == "__main__":
    restrict(Path(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
