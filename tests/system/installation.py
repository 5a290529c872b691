"""The distributions, built and installed once for all system tests."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import attrs
import pytest

CHECKOUT = Path(__file__).parents[2]

# Measures the coverage of a process. twistd ends by sending itself the signal that stopped it,
# so coverage has to be saved before.
MEASURED = """
import os

import coverage

coverage.process_startup()
kill = os.kill

def save_and_kill(process, number):
    measurement = coverage.Coverage.current()
    if process == os.getpid() and measurement is not None:
        measurement.save()
    kill(process, number)

os.kill = save_and_kill
"""


@attrs.frozen
class Installation:
    """A virtual environment with the wheel."""

    bin: Path

    @property
    def python(self) -> Path:
        return self.bin / "python"

    @property
    def twistd(self) -> Path:
        return self.bin / "twistd"

    @property
    def client(self) -> Path:
        return self.bin / "udprelay-client"

    @property
    def site_packages(self) -> Path:
        (found,) = self.bin.parent.glob("lib/python3*/site-packages")
        return found

    def pip(self, *arguments: str | Path) -> None:
        # The one of the tests, so that the environment needs none.
        pip = (sys.executable, "-m", "pip", "--python", self.python, "--quiet")
        run(*pip, "--disable-pip-version-check", *arguments)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The first test waits for the wheel and its dependencies.
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(300))


def run(*command: str | Path) -> None:
    """Run a tool of Python without measuring its coverage."""
    environment = {name: v for name, v in os.environ.items() if not name.startswith("COVERAGE_")}
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=True)


def copy_checkout(destination: Path) -> Path:
    """Copy the files that git would commit, so that a build does not change the checkout."""
    listing = ["git", "-c", "safe.directory=*", "ls-files", "-coz", "--exclude-standard"]
    if not (CHECKOUT / ".git").exists():  # an unpacked sdist
        built = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
        return Path(shutil.copytree(CHECKOUT, destination, ignore=built))
    for name in filter(None, subprocess.check_output(listing, cwd=CHECKOUT).split(b"\0")):
        source = CHECKOUT / os.fsdecode(name)
        if source.is_file():  # a deleted file is still listed
            target = destination / os.fsdecode(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return destination


def build(source: Path, place: Path, *options: str, result: str) -> Path:
    # A build changes its source directory.
    copied = shutil.copytree(source, place / "source")
    run(sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", place, copied)
    (built,) = place.glob(result)
    return built


def install(place: Path, *requirements: str | Path) -> Installation:
    """Install into a fresh environment from the index."""
    installation = fresh_environment(place)
    installation.pip("install", *requirements)
    return installation


def fresh_environment(place: Path) -> Installation:
    run(sys.executable, "-m", "venv", "--without-pip", place)
    return Installation(place / "bin")


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Path]) -> Path:
    """Make something in the first test process that asks for it; return its path."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    place, made = shared / f"shared-{name}", shared / f"shared-{name}.txt"
    with (shared / f"shared-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            place.mkdir()
            made.write_text(str(make(place)))
    return Path(made.read_text())


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of this checkout, as they are when the tests start."""
    return once(tmp_path_factory, "source", lambda place: copy_checkout(place / "udprelay"))


@pytest.fixture(scope="session")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""

    def make(place: Path) -> Path:
        return build(source, place, "--wheel", result="*.whl")

    return once(tmp_path_factory, "wheel", make)


@pytest.fixture(scope="session")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of this checkout, next to a wheel built from it."""

    def make(place: Path) -> Path:
        return build(source, place, result="*.tar.gz")

    return once(tmp_path_factory, "sdist", make)


@pytest.fixture(scope="session")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """
    The wheel, installed with its declared dependencies only.

    With ``pytest --cov`` its processes are measured too, if they get this process's environment.
    """

    def make(place: Path) -> Path:
        installation = install(place / "venv", wheel)
        if "COVERAGE_PROCESS_CONFIG" in os.environ:
            installation.pip("install", f"coverage=={version('coverage')}")
            module = installation.site_packages / "udprelay_measured.py"
            module.write_text(MEASURED)
            module.with_suffix(".pth").write_text(f"import {module.stem}\n")
        return installation.bin

    return Installation(once(tmp_path_factory, "installation", make))


@pytest.fixture(scope="session")
def editable_installation(
    source: Path, installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """A copy of the checkout, installed with ``pip install -e``; its dependencies are linked."""

    def make(place: Path) -> Path:
        copied = shutil.copytree(source, place / "source")
        made = fresh_environment(place / "venv")
        others = shutil.ignore_patterns("udprelay*", "dropin.cache")
        dependencies = installation.site_packages
        shutil.copytree(
            dependencies,
            made.site_packages,
            ignore=others,
            copy_function=os.link,
            dirs_exist_ok=True,
        )
        made.pip("install", "--no-compile", "--no-deps", "--editable", copied)
        script = installation.twistd.read_text()
        made.twistd.write_text(script.replace(str(installation.bin), str(made.bin)))
        made.twistd.chmod(0o755)
        return made.bin

    return Installation(once(tmp_path_factory, "editable", make))


@pytest.fixture(scope="session")
def unprivileged() -> tuple[str, ...]:
    """The command prefix that drops the privileges of root."""
    if os.geteuid() != 0:
        return ()
    none = ("--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs")
    return ("setpriv", *none)
