"""The programs and files of a test cluster: what they are made from, and where they lie once `make kube` has made them.

They lie outside the tree, in `${XDG_CACHE_HOME:-~/.cache}/headgate/kube/KEY`, so that every clone on a machine shares them. KEY
stands for all pinned versions: a changed pin gets a folder of its own, and whoever works with the old one is not disturbed.
"""

import hashlib
import os
import platform
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
VERSIONS = HERE / "versions.toml"
UNAVAILABLE = HERE.parent.parent / ".cache" / "kube-unavailable"
BUILT = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "kuberay-operator")
FETCHED = ("kubectl", "helm")


@dataclass(frozen=True)
class Kit:
    """One set of programs (`bin/NAME`) and other projects' CRDs (`crds/PROJECT/*.yaml`)."""

    folder: Path

    def program(self, name: str) -> Path:
        return self.folder / "bin" / name

    def crds(self, project: str) -> Path:
        return self.folder / "crds" / project

    def missing(self) -> list[Path]:
        """What is still to be made. Each path appears whole or not at all, so that a cut-off run is continued, not repeated."""
        wanted = [*map(self.program, FETCHED), *map(self.crds, self.versions["crds"]), *map(self.program, BUILT)]
        return [path for path in wanted if not path.exists()]

    @cached_property
    def versions(self) -> dict[str, Any]:
        return tomllib.loads(VERSIONS.read_text())


def kit() -> Kit:
    """The kit of the versions that are pinned now, whether it has been made or not."""
    return Kit(cache() / key())


def cache() -> Path:
    """The folder of all kits, and of what making them needs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headgate" / "kube"


def key() -> str:
    digest = hashlib.sha256(platform.machine().encode())
    for file in (VERSIONS, *sorted(HERE.glob("*/go.mod")), *sorted(HERE.glob("*/go.sum"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def why_missing() -> str:
    """Why no test cluster can be started here, as far as its programs go; empty where they are all there."""
    if not kit().missing():
        return ""
    if UNAVAILABLE.exists():
        return f"the test cluster could not be prepared: {UNAVAILABLE.read_text().strip()}"
    return "the test cluster's programs are not there: run make kube"
