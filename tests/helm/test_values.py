"""Values are documented, and a wrong one is refused by its path before anything reaches a cluster."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from controlplane.config import ControlPlaneConfig, LeaseSettings, PlatformSettings
from router.config import RouterConfig
from tests.helm.chart import CHART, ChartFailed, lint, render
from tests.helm.variants import VARIANTS
from tools import chart_values

VALUES = (CHART / "values.yaml").read_text()
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
# What the chart sets by itself, so that users need not and cannot.
ROUTER_OWN = {"topology", "http", "grpc", "tls"}
CONTROLPLANE_OWN = {"namespaces", "listen", "http", "tls"}
LEASE_OWN = {"name", "namespace"}
PLATFORM_OWN = {"worker_image", "image_pull_policy", "image_pull_secrets", "worker_service_account", "worker_tls_secret"}


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return SCHEMA["definitions"][reference.removeprefix("#/definitions/")] if reference else schema


def property_paths(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, below in schema.get("properties", {}).items():
        yield prefix + key
        yield from property_paths(resolve(below), f"{prefix}{key}.")


def value_paths(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, below in values.items():
        yield prefix + key
        if isinstance(below, dict):
            yield from value_paths(below, f"{prefix}{key}.")


def strangers(values: Any, schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Paths that only the values or only the schema knows. What is empty by default is the schema's word alone."""
    known = resolve(schema).get("properties")
    if known and isinstance(values, dict) and values:
        yield from (prefix + key for key in values.keys() ^ known.keys())
        for key in values.keys() & known.keys():
            yield from strangers(values[key], known[key], f"{prefix}{key}.")


def in_schema(path: str) -> dict[str, Any]:
    node = SCHEMA
    for key in path.split("."):
        node = resolve(node["properties"][key])
    return node


@pytest.mark.requires("helm")
class TestLint:
    @pytest.mark.parametrize("name", VARIANTS)
    def test_good_values(self, name: str) -> None:
        assert "1 chart(s) linted, 0 chart(s) failed" in lint(VARIANTS[name])

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            ({"router": {"replicas": "two"}}, "'/router/replicas': got string, want integer"),
            ({"router": {"replica": 2}}, "'/router': additional properties 'replica' not allowed"),
            ({"router": {"config": {"topology": {"address": "a:1"}}}}, "'/router/config': additional properties 'topology'"),
            ({"router": {"config": {"limit": {}}}}, "'/router/config': additional properties 'limit'"),
            ({"router": {"config": {"choosers": {"a": "acme"}}}}, "'/router/config/choosers/a'"),
            ({"router": {"predictor": {"configMap": "a", "key": "../b"}}}, "'/router/predictor/key'"),
            ({"router": {"predictor": {"existingClaim": "a", "path": "/b"}}}, "'/router/predictor/path'"),
            ({"router": {"predictor": {"existingClaim": "a", "path": "b/../../c"}}}, "'/router/predictor/path'"),
            ({"router": {"predictor": {"file": "a"}}}, "'/router/predictor': additional properties 'file'"),
            ({"router": {"service": {"httpPort": 0}}}, "'/router/service/httpPort': minimum: got 0, want 1"),
            ({"router": {"image": {"digest": "latest"}}}, "'/router/image/digest'"),
            ({"router": {"resources": {"limit": {}}}}, "'/router/resources': additional properties 'limit'"),
            (
                {"controlplane": {"config": {"lease": {"name": "mine"}}}},
                "'/controlplane/config/lease': additional properties 'name'",
            ),
            ({"namespaces": "team-a"}, "'/namespaces'"),
            ({"namespaces": ["*", "team-a"]}, "'/namespaces'"),
            ({"namespaces": ["Team_A"]}, "'/namespaces/0'"),
            ({"tls": {"mode": "on"}}, "'/tls/mode': value must be one of"),
            ({"tls": {"certManager": {"issuerRef": {"kind": "ClusterIssuer"}}}}, "'/tls/certManager/issuerRef'"),
            ({"redis": {"external": {"url": "redis://user:secret@host:6379"}}}, "'/redis/external/url'"),
            ({"redis": {"persistence": {"size": "8 GB"}}}, "'/redis/persistence/size'"),
            (
                {"networkPolicy": {"clients": [{"namespace": "a"}]}},
                "'/networkPolicy/clients/0': additional properties 'namespace'",
            ),
            ({"tests": {"apiKeySecret": {"name": "keys"}}}, "'/tests/apiKeySecret'"),
            ({"pools": [{"spec": {}}]}, "'/pools/0': missing property 'name'"),
            ({"pools": [{"name": "a", "spek": {}}]}, "'/pools/0': additional properties 'spek'"),
            ({"autoscaling": True}, "additional properties 'autoscaling' not allowed"),
        ],
    )
    def test_bad_values_are_refused_by_their_path(self, values: dict[str, Any], said: str) -> None:
        with pytest.raises(ChartFailed) as refused:
            lint(values)
        assert said in str(refused.value)

    def test_what_no_schema_can_say_is_refused_by_the_templates(self) -> None:
        with pytest.raises(ChartFailed, match=r"tls\.existing\.router must name a Secret"):
            render({"tls": {"mode": "existing"}})
        with pytest.raises(ChartFailed, match="pools in other namespaces need a ClusterIssuer"):
            render({"namespaces": ["team-a"], "tls": {"mode": "cert-manager"}})


class TestSchema:
    def test_knows_every_value_and_no_other(self) -> None:
        assert set(strangers(yaml.safe_load(VALUES), SCHEMA)) == {"global"}  # Helm's own, for charts that hold this one

    def test_is_closed(self) -> None:
        """An object either names its keys, or is one that Kubernetes or the program itself checks."""
        for path in ("", *property_paths(SCHEMA)):
            node = in_schema(path) if path else SCHEMA
            if "properties" in node:
                assert node["additionalProperties"] is False, path

    @pytest.mark.parametrize(
        ("path", "fields", "own"),
        [
            ("router.config", RouterConfig.model_fields, ROUTER_OWN),
            ("controlplane.config", ControlPlaneConfig.model_fields, CONTROLPLANE_OWN),
            ("controlplane.config.lease", LeaseSettings.model_fields, LEASE_OWN),
            ("controlplane.config.platform", PlatformSettings.model_fields, PLATFORM_OWN),
        ],
    )
    def test_passes_on_what_the_programs_know(self, path: str, fields: dict[str, object], own: set[str]) -> None:
        assert in_schema(path)["properties"].keys() == fields.keys() - own


class TestDocuments:
    def test_the_readme_has_the_values_as_they_are(self) -> None:
        page = (CHART / "README.md").read_text()
        assert page == chart_values.with_table(page, VALUES)

    def test_every_value_is_documented(self) -> None:
        documented = {value.path for value in chart_values.documented(VALUES)}
        leaves = {path for path in value_paths(yaml.safe_load(VALUES)) if not _has_children(path)}
        assert {leaf for leaf in leaves if not any(leaf == d or leaf.startswith(f"{d}.") for d in documented)} == set()


def _has_children(path: str) -> bool:
    node: Any = yaml.safe_load(VALUES)
    for key in path.split("."):
        node = node[key]
    return isinstance(node, dict) and bool(node)
