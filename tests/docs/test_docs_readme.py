"""The commands and examples of the README work."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest
from docs_sources import DOCS, PAGES, README, ROOT, code_blocks, relay, text, wait_for

from udprelay.tap import Options


def commands() -> list[list[str]]:
    """Return the commands of the README, each split at ``&&``."""
    blocks = code_blocks(README, "sh")
    assert all(block.count("\n") == 1 for block in blocks)
    return [block.strip().split(" && ") for block in blocks]


def example() -> str:
    (program,) = code_blocks(README, "python")
    return program


@contextmanager
def running(program: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    program = program.replace("6000", str(port))
    command = (sys.executable, "-c", program)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def member(port: int, host: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.settimeout(60)
        opened.bind((host, 0))
        opened.connect(("127.0.0.1", port))
        opened.send(b"")
        yield opened


# The two commands


def test_there_are_two_commands() -> None:
    assert len(commands()) == 2


def test_the_first_command_runs_the_relay() -> None:
    environment, install, run = commands()[0]
    assert environment == "python3 -m venv .venv"
    assert install == ".venv/bin/pip install ."
    program, *flags = shlex.split(run)
    assert program == ".venv/bin/twistd"
    assert flags[:2] == ["-n", "udprelay"]
    options = Options()
    options.parseOptions(flags[2:])
    assert options.config.rules.listeners["main"].port == 6000


def test_the_second_command_runs_the_tests() -> None:
    environment, install, run = commands()[1]
    assert environment == "python3 -m venv .venv"
    installed = re.fullmatch(r"\.venv/bin/pip install -e '\.\[(\w+)\]'", install)
    assert installed is not None
    assert run == ".venv/bin/python -m pytest"
    setup = ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    assert installed[1] in setup["options.extras_require"]


# The ten lines of Python


def test_example_has_ten_lines() -> None:
    assert len(example().splitlines()) == 10


def test_example_communicates_with_the_room(tmp_path: Path) -> None:
    with relay(cwd=tmp_path) as (port, events), member(port, "127.0.0.1") as other:
        wait_for("member.joined", events)
        with running(example(), port) as process:
            assert other.recv(100) == b"hello from Python\n"
            # One line a message, whether or not its sender has ended the line.
            for payload in (b"good day\n", b"good", b"day", b"\n", b"the end"):
                other.send(payload)
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(5)]
            assert lines == [b"good day\n", b"good\n", b"day\n", b"\n", b"the end\n"]


def test_example_joins_from_an_untrusted_network(tmp_path: Path) -> None:
    (ini,) = (block for block in code_blocks(README, "ini") if "127.0.0.2" in block)
    (tmp_path / "untrusted.ini").write_text(ini)
    with (
        relay("--config", "untrusted.ini", cwd=tmp_path) as (port, events),
        member(port, "127.0.0.2") as other,
    ):
        assert wait_for("member.joined", events)["address"].startswith("127.0.0.2:")
        with running(example(), port) as process:
            assert wait_for("member.rejected", events)["reason"] == "challenged"
            assert wait_for("member.joined", events)["address"].startswith("127.0.0.1:")
            other.send(b"good day\n")
            assert process.stdout is not None
            assert process.stdout.readline() == b"good day\n"


# The first minute


def test_another_machine_is_told_what_to_type() -> None:
    assert re.search(r"\$ nc -u 192\.168\.\d+\.\d+ 6000\n", text(README))
    assert "ufw allow 6000/udp" in text(README)


def test_the_relays_of_the_page_can_run_beside_each_other() -> None:
    flags = re.findall(r"twistd -n udprelay ([^`\n]*)", text(README))
    (ini,) = (block for block in code_blocks(README, "ini") if "127.0.0.2" in block)
    ports = [
        re.search(r"port[ =]+(\d+)", ini if "challenge.ini" in flag else flag) for flag in flags
    ]
    assert all(ports)
    assert len({found[1] for found in ports if found}) == len(flags) == 3


def test_clients_of_the_page_are_readable_for_programs_that_print_payloads() -> None:
    sending = re.findall(
        r"\$ (?:echo hello \| )?\.venv/bin/udprelay-client (?!--plain)(.*)", text(README)
    )
    said = [flags for flags in sending if "/dev/null" not in flags and "--bridge" not in flags]
    assert said
    assert all("--newline" in flags for flags in said)


# Markup


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_linked_files_exist(page: Path) -> None:
    for target in re.findall(r"`[^`]+ <([^`]+)>`_|\.\. (?:image|include):: (\S+)", text(page)):
        (linked,) = filter(None, target)
        assert (page.parent / linked).exists(), linked


def test_readme_is_valid_without_sphinx() -> None:
    core = pytest.importorskip("docutils.core")
    settings = {"report_level": 1, "halt_level": 1, "file_insertion_enabled": False}
    core.publish_string(text(README), writer="html", settings_overrides=settings)


def test_picture_is_well_formed() -> None:
    assert ElementTree.parse(DOCS / "group.svg").getroot().tag.endswith("svg")
