"""Everything the chart can make is valid for every Kubernetes version that it claims, by that version's own schemas."""

import functools
import json

import kubernetes_validate
import pytest
import yaml

from tests.helm.chart import CHART, NEWEST, ChartFailed, render
from tests.helm.variants import VARIANTS

pytestmark = pytest.mark.requires("helm")

OLDEST_MINOR, NEWEST_MINOR = 31, 37
# Their CRDs say what is valid; the real API server checks them in tests/kube.
OTHERS = ("headgate.dev/", "cert-manager.io/", "monitoring.coreos.com/")


@functools.cache  # variants have most objects in common
def judge(thing: str, minor: int) -> None:
    kubernetes_validate.validate(json.loads(thing), f"1.{minor}", strict=True)


def test_a_wrong_object_is_found() -> None:
    with pytest.raises(kubernetes_validate.ValidationError, match="one"):
        judge(json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": "one"}}), NEWEST_MINOR)


def test_the_newest_schemas_are_used() -> None:
    assert kubernetes_validate.latest_version() == NEWEST
    assert int(NEWEST.split(".")[1]) == NEWEST_MINOR


@pytest.mark.parametrize("minor", range(OLDEST_MINOR, NEWEST_MINOR + 1))
@pytest.mark.parametrize("name", VARIANTS)
def test_valid(name: str, minor: int) -> None:
    judged = [thing for thing in render(VARIANTS[name]).objects if not thing["apiVersion"].startswith(OTHERS)]
    assert len(judged) >= 14
    for thing in judged:
        judge(json.dumps(thing, sort_keys=True), minor)


@pytest.mark.parametrize("minor", range(OLDEST_MINOR, NEWEST_MINOR))
def test_each_version_gets_the_same_objects(minor: int) -> None:
    password = {"redis": {"existingSecret": "redis"}}  # or Helm would make one up each time
    assert render(password, kube=f"1.{minor}.0").objects == render(password).objects


def test_an_older_kubernetes_is_refused() -> None:
    assert f">=1.{OLDEST_MINOR}." in yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    with pytest.raises(ChartFailed, match="incompatible with Kubernetes"):
        render(kube=f"1.{OLDEST_MINOR - 1}.14")
