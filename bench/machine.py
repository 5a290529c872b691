"""The machine and the versions that are needed to compare figures."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench import build
from bench.relays import TWISTD
from bench.run import Cores


def facts(cores: Cores, missing: dict[str, str]) -> dict[str, Any]:
    """Return the facts; ``missing`` has what is left out, and why."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "relay_core": cores.relay,
        "load_core": cores.load,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("twisted", "cffi", "attrs")},
        "compiler": build.compiler(),
        "udprelay": _output([*TWISTD[:2], "import udprelay; print(udprelay.__file__)"]),
        "commit": _output(["git", "describe", "--always", "--dirty"]),
        "left_out": missing,
        "loadavg_start": os.getloadavg(),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip()


def show(facts: dict[str, Any], options: argparse.Namespace) -> None:
    """Print the facts and the options."""
    print(f"{facts['date']}  {facts['cpu']}, {facts['cores']} cores, Linux {facts['kernel']}")
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    print(f"Python {facts['python']}, {versions}, {facts['compiler']}")
    print(f"{facts['udprelay']} ({facts['commit']})")
    print(
        f"relay on core {facts['relay_core']}, load on core {facts['load_core']}; "
        f"{options.rounds} rounds of {options.seconds:g} s after {options.warm:g} s"
    )
    for name, why in facts["left_out"].items():
        print(f"left out: {name}: {why}")
