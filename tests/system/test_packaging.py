"""The distributions are complete and need nothing but their declared dependencies."""

from __future__ import annotations

import stat
import subprocess
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from zipfile import ZipFile

import udprelay

if TYPE_CHECKING:
    from installation import Installation

IMPORT_EVERYTHING = """
import importlib, pkgutil, udprelay
for module in pkgutil.walk_packages(udprelay.__path__, "udprelay."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
        print(module.name)
"""


def content(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def modules(source: Path) -> set[str]:
    return {str(path.relative_to(source)) for path in (source / "udprelay").rglob("*.py")}


def output(*command: str | Path) -> str:
    return subprocess.check_output(command, text=True)


# The wheel


def test_wheel_has_every_module(wheel: Path, source: Path) -> None:
    assert modules(source) <= content(wheel).keys()


def test_wheel_has_the_plugin_of_twistd(wheel: Path) -> None:
    assert "twisted/plugins/udprelay_plugin.py" in content(wheel)


def test_wheel_is_marked_as_typed(wheel: Path) -> None:
    assert "udprelay/py.typed" in content(wheel)


def test_wheel_adds_only_the_plugin_to_the_packages_of_twisted(wheel: Path) -> None:
    in_twisted = {name for name in content(wheel) if name.startswith("twisted/")}
    assert in_twisted == {"twisted/plugins/udprelay_plugin.py"}


def test_wheel_has_no_other_packages(wheel: Path) -> None:
    metadata = f"udprelay_twisted-{udprelay.__version__}.dist-info"
    tops = {PurePosixPath(name).parts[0] for name in content(wheel)}
    assert tops == {"udprelay", "twisted", metadata}


# The source distribution


def test_sdist_builds_the_same_wheel(sdist: Path, wheel: Path) -> None:
    (built_from_sdist,) = sdist.parent.glob("*.whl")
    assert content(built_from_sdist) == content(wheel)


def test_sdist_has_everything_but_the_files_of_git_and_ci(sdist: Path, source: Path) -> None:
    files = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    expected = {
        str(path) for path in files if not str(path).startswith(".") and path.name != ".gitignore"
    }
    with tarfile.open(sdist) as archive:
        assert expected - {name.partition("/")[2] for name in archive.getnames()} == set()


# Installed


def test_twistd_lists_udprelay(installation: Installation) -> None:
    assert "  udprelay  " in output(installation.twistd, "--help")


def test_twistd_lists_udprelay_of_an_editable_installation(
    editable_installation: Installation,
) -> None:
    assert "  udprelay  " in output(editable_installation.twistd, "--help")


def test_declared_dependencies_are_enough_for_every_module(
    installation: Installation, source: Path
) -> None:
    imported = output(installation.python, "-c", IMPORT_EVERYTHING).split()
    importable = {name for name in modules(source) if not name.endswith("/__main__.py")}
    assert len(imported) == len(importable - {"udprelay/__init__.py"})
    installation.pip("check")


def test_client_prints_the_version_of_the_package(installation: Installation) -> None:
    assert output(installation.client, "--version").split()[-1] == udprelay.__version__


def test_metadata_has_the_version_of_the_package(installation: Installation) -> None:
    code = "from importlib.metadata import version; print(version('udprelay-twisted'))"
    assert output(installation.python, "-c", code).strip() == udprelay.__version__


def test_client_is_executable_for_all_users(installation: Installation) -> None:
    assert installation.client.stat().st_mode & stat.S_IXOTH
