"""The wheel carries the programs and the wire, typed, and claims no other name in a user's environment."""

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("router", "workers", "controlplane", "training", "cli")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built as pip would, but with the installed hatchling: no network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True, capture_output=True
    )
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_top_level_names(wheel: zipfile.ZipFile) -> None:
    names = {name.partition("/")[0] for name in wheel.namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {*PROGRAMS, "headgate"}


@pytest.mark.parametrize("package", PROGRAMS)
def test_packages_are_typed(wheel: zipfile.ZipFile, package: str) -> None:
    assert f"{package}/py.typed" in wheel.namelist()


def test_every_module_is_in_it(wheel: zipfile.ZipFile) -> None:
    sources = {str(file.relative_to(ROOT)) for package in PROGRAMS for file in (ROOT / package).rglob("*.py")}
    sources |= {
        str(file.relative_to(ROOT / "proto")) for file in (ROOT / "proto" / "headgate").rglob("*.py*") if file.suffix != ".pyc"
    }
    sources |= {str(file.relative_to(ROOT)) for file in (ROOT / "router").rglob("*.lua")}
    assert sources <= set(wheel.namelist())


def test_nothing_but_code_is_in_it(wheel: zipfile.ZipFile) -> None:
    kinds = {Path(name).suffix for name in wheel.namelist() if ".dist-info/" not in name}
    assert kinds <= {".py", ".pyi", ".typed", ".proto", ".yaml", ".json", ".lua"}


def test_metadata(wheel: zipfile.ZipFile) -> None:
    (folder,) = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    commands = configparser.ConfigParser()
    commands.read_string(wheel.read(f"{folder}/entry_points.txt").decode())
    assert dict(commands["console_scripts"]) == {"headgate": "cli.__main__:main"}
    assert b"Apache License" in wheel.read(f"{folder}/licenses/LICENSE")
    assert "License-Expression: Apache-2.0" in wheel.read(f"{folder}/METADATA").decode()
