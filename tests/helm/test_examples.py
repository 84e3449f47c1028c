"""What stands in examples/kubernetes/ is right: values that the chart takes, resources that the control plane takes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.resources.routing_policy import RoutingPolicySpec
from controlplane.resources.tenant import TenantSpec
from tests.helm.chart import ROOT, Object, lint, render
from workers.config import OpenAIHttpEngine, VllmEngine

EXAMPLES = ROOT / "examples" / "kubernetes"
FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/values.yaml"))
SPECS = {"ModelPool": ModelPoolSpec, "Tenant": TenantSpec, "RoutingPolicy": RoutingPolicySpec}
KEYS = {"pools": "ModelPool", "tenants": "Tenant", "policies": "RoutingPolicy"}


def values_of(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "values.yaml").read_text()) or {}


def resources_of(folder: Path) -> Iterator[Object]:
    """What is applied by hand, and what the values declare."""
    for path in sorted(folder.glob("*.yaml")):
        if path.name != "values.yaml":
            yield from yaml.safe_load_all(path.read_text())
    for key, kind in KEYS.items():
        yield from (
            {"kind": kind, "metadata": {"name": one["name"]}, "spec": one["spec"]} for one in values_of(folder).get(key, [])
        )


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
class TestExample:
    def test_its_resources_are_valid(self, folder: Path) -> None:
        found = list(resources_of(folder))
        assert found
        for thing in found:
            SPECS[thing["kind"]].model_validate(thing["spec"])

    def test_engines_take_its_arguments(self, folder: Path) -> None:
        for thing in resources_of(folder):
            if thing["kind"] == "ModelPool":
                engine = ModelPoolSpec.model_validate(thing["spec"]).engine
                if engine.kind == "openai_http":
                    OpenAIHttpEngine(model="m", base_url=engine.url, **engine.args)
                else:
                    VllmEngine(model="m", **engine.args)

    def test_what_names_another_finds_it(self, folder: Path) -> None:
        found = list(resources_of(folder))
        policies = {thing["metadata"]["name"] for thing in found if thing["kind"] == "RoutingPolicy"}
        assert {thing["spec"]["policy"] for thing in found if "policy" in thing["spec"]} <= policies
        readable = set(values_of(folder).get("controlplane", {}).get("rbac", {}).get("secretNames", []))
        tenants = {thing["metadata"]["name"]: thing["spec"] for thing in found if thing["kind"] == "Tenant"}
        assert {spec["parent"] for spec in tenants.values() if "parent" in spec} <= tenants.keys()
        keys = [key for spec in tenants.values() for key in spec.get("keys", [])]
        assert {key["secret"]["name"] for key in keys if "secret" in key} == readable

    @pytest.mark.requires("helm")
    def test_the_chart_takes_its_values(self, folder: Path) -> None:
        lint(values_of(folder))
        assert len(render(values_of(folder)).objects) > 10


def test_every_example_is_in_the_list() -> None:
    page = (EXAMPLES / "README.md").read_text()
    assert [folder.name for folder in FOLDERS if f"[{folder.name}]({folder.name}/)" not in page] == []
    assert len(FOLDERS) == 4
