"""The chart, rendered by the real Helm without a cluster, as plain objects."""

import functools
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.kube.kit import kit

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm"
RELEASE = "edge"
NAMESPACE = "serving"
NEWEST = "1.37.0"

Object = dict[str, Any]


class ChartFailed(Exception):
    """Helm refused; the text is what it said."""


class Rendered:
    """What one set of values makes. Objects are found by kind and the end of their name."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self.objects = tuple(objects)

    def all(self, kind: str) -> list[Object]:
        return [thing for thing in self.objects if thing["kind"] == kind]

    def one(self, kind: str, name: str = "", namespace: str = NAMESPACE) -> Object:
        """The only one whose name is the release's stem and `name`."""
        (found,) = [
            thing
            for thing in self.all(kind)
            if thing["metadata"]["name"].endswith(f"headgate{name and '-'}{name}")
            and thing["metadata"].get("namespace", namespace) == namespace
        ]
        return found

    def settings(self, program: str) -> Any:
        """The settings file that the program will read."""
        return yaml.safe_load(self.one("ConfigMap", program)["data"][f"{program}.yaml"])

    def pods(self) -> Iterator[tuple[str, Object]]:
        """Every pod specification of the chart's own, with the name of what holds it."""
        for thing in self.objects:
            if thing["kind"] == "Pod":
                yield thing["metadata"]["name"], thing["spec"]
            elif "template" in thing.get("spec", {}) and thing["apiVersion"] in ("apps/v1", "batch/v1"):
                yield thing["metadata"]["name"], thing["spec"]["template"]["spec"]

    def templates(self) -> Iterator[tuple[str, Object]]:
        """Pod templates of what is rolled when they change."""
        for thing in (*self.all("Deployment"), *self.all("StatefulSet")):
            yield thing["metadata"]["name"], thing["spec"]["template"]

    def container(self, kind: str, name: str) -> Object:
        (only,) = self.one(kind, name)["spec"]["template"]["spec"]["containers"]
        assert isinstance(only, dict)
        return only


def helm(*arguments: str, stdin: str = "") -> str:
    """Runs the pinned Helm; raises ChartFailed with what it said."""
    command = [str(kit().program("helm")), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise ChartFailed(done.stdout + done.stderr)
    return done.stdout


def render(values: Mapping[str, Any] | None = None, *, chart: Path = CHART, kube: str = NEWEST) -> Rendered:
    """Rendered once for the same values: read it, don't change it."""
    return _rendered(yaml.safe_dump(dict(values or {})), chart, kube)


@functools.cache
def _rendered(values: str, chart: Path, kube: str) -> Rendered:
    options = ("--namespace", NAMESPACE, "--kube-version", kube, "--values", "-")
    text = helm("template", RELEASE, str(chart), *options, stdin=values)
    return Rendered([thing for thing in yaml.safe_load_all(text) if thing])


def lint(values: Mapping[str, Any]) -> str:
    """What `helm lint` says of these values; raises ChartFailed."""
    return helm("lint", str(CHART), "--strict", "--values", "-", stdin=yaml.safe_dump(dict(values)))
