"""The Dockerfiles, as far as they can be proven without a container engine: sources are there, pins are whole, and each
program starts from nothing but what its image gets.
"""

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.markers import Marker

ROOT = Path(__file__).resolve().parents[2]
PINS = ("router", "controlplane", "worker", "build")
SLIM = ("router", "controlplane")
DOCKERFILES = {path.suffix[1:]: path for path in sorted((ROOT / "docker").glob("Dockerfile.*"))}
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)", re.MULTILINE)


def instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    """(INSTRUCTION, rest), continued lines joined."""
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE))
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        yield word, rest


def pins(name: str) -> dict[str, str]:
    """Those that hold for this interpreter."""
    found = {}
    for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        if pin := PIN.match(line):
            _, _, marker = line.rstrip("\\ ").partition(";")
            if not marker or Marker(marker.strip()).evaluate():
                found[pin["name"]] = pin["version"]
    return found


def let_through(path: str) -> bool:
    """Whether .dockerignore sends this file or folder to the builder: the last pattern that matches decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and (fnmatch(path, pattern) or fnmatch(path.partition("/")[0], pattern)):
            sent = line.startswith("!")
    return sent


@pytest.mark.parametrize("name", DOCKERFILES)
class TestDockerfile:
    def test_sources_are_there_and_reach_the_builder(self, name: str) -> None:
        copied = [
            rest.split()[:-1] for word, rest in instructions(DOCKERFILES[name]) if word == "COPY" and "--from" not in rest
        ]
        sources = {source for group in copied for source in group} - {"."}
        assert f"requirements/{name}.txt" in sources
        assert all((ROOT / source).is_file() and let_through(source) for source in sources)

    def test_installs_only_pinned_files_or_our_own_wheel(self, name: str) -> None:
        steps = [step for word, rest in instructions(DOCKERFILES[name]) if word == "RUN" for step in rest.split("&&")]
        installs = [step for step in steps if "pip install" in step and "ray" not in step]
        assert len(installs) == 3
        for step in installs:
            assert "--no-deps" in step
            assert "/wheel/" in step or ("--require-hashes" in step and "--only-binary=:all:" in step)

    def test_runs_as_nobody_in_particular(self, name: str) -> None:
        users = [rest for word, rest in instructions(DOCKERFILES[name]) if word == "USER"]
        assert users[-1] == "65532:65532"
        assert ("FROM", "worker") not in instructions(DOCKERFILES[name]) or users[0] == "65532:65532"

    def test_starts_a_program_that_there_is(self, name: str) -> None:
        (entry,) = [rest for word, rest in instructions(DOCKERFILES[name]) if word == "ENTRYPOINT"]
        program = entry.strip("[]").split(", ")[-1].strip('"')
        assert (ROOT / program / "__main__.py").is_file()


def test_the_builder_gets_everything_that_the_wheel_is_made_of() -> None:
    assert all(
        let_through(path)
        for path in ("router", "workers", "controlplane", "training", "cli", "proto", "pyproject.toml", "README.md", "LICENSE")
    )
    assert not any(let_through(path) for path in (".git", ".venv", ".cache", "tests", "helm", "requirements/vllm-shim"))


@pytest.mark.parametrize("name", PINS)
class TestPins:
    def test_every_file_has_digests(self, name: str) -> None:
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        entries = re.split(r"\n(?=[a-z])", text)[1:]
        assert len(entries) == len(PIN.findall(text)) > 0
        assert all("--hash=sha256:" in entry for entry in entries)

    def test_versions_are_those_that_the_tests_run_with(self, name: str) -> None:
        tested = {pin["name"]: pin["version"] for pin in PIN.finditer((ROOT / "requirements" / "dev.txt").read_text())}
        assert {package: version for package, version in pins(name).items() if tested.get(package) != version} == {}

    def test_no_address_is_in_it(self, name: str) -> None:
        assert "://" not in (ROOT / "requirements" / f"{name}.txt").read_text()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


def environment_of(name: str, wheel: Path, folder: Path) -> Path:
    """What the image's environment holds: the pinned distributions, here as links to the installed ones, and our wheel."""
    for package in pins(name):
        installed = distribution(package)
        for file in installed.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                link = folder / file
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(Path(str(installed.locate_file(file))))
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.mark.parametrize("program", SLIM)
def test_the_program_starts_from_its_own_packages_alone(program: str, wheel: Path, tmp_path: Path) -> None:
    packages = environment_of(program, wheel, tmp_path)
    # -S: not the packages of the environment that the tests run in.
    command = [sys.executable, "-S", "-m", program, "--help"]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(packages)}, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--config" in done.stdout
