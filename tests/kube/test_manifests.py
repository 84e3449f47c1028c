"""Manifests on the real API server: it keeps what was applied, so that nothing is ever applied twice."""

import json
from pathlib import Path
from typing import Any

import pytest

from controlplane.cluster.writes import marked
from controlplane.manifests.children import Owner, children
from controlplane.manifests.superset import superset
from controlplane.names import API, FIELD_MANAGER
from controlplane.world import Object, Platform
from tests.controlplane.manifests.pools import PLAIN, POOLS, SIMULATED, VLLM, pool
from tests.controlplane.manifests.test_quantity import KEPT_AS
from tests.kube.cluster.cluster import Cluster

pytestmark = pytest.mark.requires("kube")
ROOT = Path(__file__).resolve().parents[2]
PLURALS = {
    "ControllerRevision": "controllerrevisions",
    "Deployment": "deployments",
    "InferencePool": "inferencepools",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "RayService": "rayservices",
    "Service": "services",
}
WRITTEN_BY_US_ALONE = {"ControllerRevision", "Service", "InferencePool", "RayService"}  # no controller of these runs here


@pytest.fixture(scope="module")
def equipped(cluster: Cluster) -> Cluster:
    cluster.install_crds("inference", "ray")
    cluster.install_crds_from(ROOT / "helm" / "crds")
    return cluster


def owner_of(cluster: Cluster, namespace: str, document: dict[str, Any]) -> Owner:
    """A real ModelPool: the garbage collector takes away what has an owner that is not there."""
    made = {"apiVersion": API, "kind": "ModelPool", "metadata": {"name": "chat"}, "spec": document}
    answer = cluster.rest("POST", f"/apis/{API}/namespaces/{namespace}/modelpools", made)
    return Owner(namespace, "chat", answer["metadata"]["uid"])


def wanted(owner: Owner, document: dict[str, Any], platform: Platform, size: tuple[int, int] = (1, 0)) -> list[Object]:
    """As the control plane applies them. `size`: replicas, and the seconds for which new ones must be ready."""
    return [marked(child) for child in children(owner, pool(document), platform, *size)]


def deployment(owner: Owner, document: dict[str, Any], size: tuple[int, int] = (1, 0)) -> Object:
    [found] = [child for child in wanted(owner, document, PLAIN, size) if child["kind"] == "Deployment"]
    return found


def path_of(child: Object) -> str:
    api, meta = child["apiVersion"], child["metadata"]
    root = f"/api/{api}" if api == "v1" else f"/apis/{api}"
    return f"{root}/namespaces/{meta['namespace']}/{PLURALS[child['kind']]}/{meta['name']}"


def applied(cluster: Cluster, child: Object) -> Any:
    """Server-side apply as the control plane does it; what the server says it has now."""
    path = f"{path_of(child)}?fieldManager={FIELD_MANAGER}&force=true&fieldValidation=Strict"
    return cluster.rest("PATCH", path, child, "application/apply-patch+yaml")


def written(seen: Any) -> tuple[Any, ...]:
    """What every write of ours moves. Other controllers write status, and only the resource version tells of those."""
    meta = seen["metadata"]
    ours = [{**entry, "time": ""} for entry in meta["managedFields"] if entry["manager"] == FIELD_MANAGER]
    version = meta["resourceVersion"] if seen["kind"] in WRITTEN_BY_US_ALONE else ""
    return version, meta.get("generation"), json.dumps(ours, sort_keys=True)


@pytest.mark.parametrize("size", [(2, 30), (0, 0)])
@pytest.mark.parametrize("name", POOLS)
def test_what_is_applied_reads_back(equipped: Cluster, namespace: str, name: str, size: tuple[int, int]) -> None:
    document, platform = POOLS[name]
    for child in wanted(owner_of(equipped, namespace, document), document, platform, size):
        first = applied(equipped, child)
        assert superset(first, child), child["kind"]
        assert superset(equipped.rest("GET", path_of(child)), child), child["kind"]
        again = applied(equipped, child)
        assert superset(again, child), child["kind"]
        assert written(again) == written(first), child["kind"]


@pytest.mark.parametrize(("before", "after"), [(VLLM, SIMULATED), (SIMULATED, VLLM)], ids=["less", "more"])
def test_a_changed_pool_leaves_nothing_of_the_old_one(
    equipped: Cluster, namespace: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Selectors, tolerations, volumes, variables, minReadySeconds: as if it had been made anew."""
    owner = owner_of(equipped, namespace, before)
    new = deployment(owner, after)
    assert not superset(applied(equipped, deployment(owner, before, (2, 30))), new)
    now = applied(equipped, new)
    assert superset(now, new)
    fresh = applied(equipped, {**new, "metadata": {**new["metadata"], "name": "fresh"}})
    assert now["spec"] == fresh["spec"]


@pytest.mark.parametrize("drops", ["nodeSelector", "tolerations", "sharedMemory"])
def test_a_dropped_field_alone_is_seen(equipped: Cluster, namespace: str, drops: str) -> None:
    owner = owner_of(equipped, namespace, VLLM)
    less = {**VLLM, "hardware": {key: value for key, value in VLLM["hardware"].items() if key != drops}}
    lean = deployment(owner, less)
    assert not superset(applied(equipped, deployment(owner, VLLM)), lean)
    assert superset(applied(equipped, lean), lean)


def test_somebody_elses_change_is_seen_and_taken_back(equipped: Cluster, namespace: str) -> None:
    child = deployment(owner_of(equipped, namespace, SIMULATED), SIMULATED)
    applied(equipped, child)
    meddled = equipped.rest("PATCH", path_of(child), {"spec": {"replicas": 7}}, "application/merge-patch+json")
    assert not superset(meddled, child)
    assert superset(applied(equipped, child), child)


def test_pods_come_up_as_written(equipped: Cluster, namespace: str) -> None:
    """Admission takes them, and the namespace demands the strictest of the Pod Security Standards."""
    level = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    equipped.rest("PATCH", f"/api/v1/namespaces/{namespace}", level, "application/merge-patch+json")
    for name in ("simulated", "openai-http"):
        document, platform = POOLS[name]
        child = deployment(Owner(namespace, "chat", "unused"), document)
        pod = {"apiVersion": "v1", "kind": "Pod", **child["spec"]["template"]}
        pod["metadata"] = {**pod["metadata"], "name": name}
        assert platform is PLAIN
        equipped.rest("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict", pod)


def test_quantities_are_kept_as_the_table_says(equipped: Cluster, namespace: str) -> None:
    for text, kept in KEPT_AS.items():
        # The server keeps the text itself where it finds it short enough, such as 1.500; what is sent is what the table says.
        assert memory_kept(equipped, namespace, text) in (kept, text)
        assert memory_kept(equipped, namespace, kept) == kept


def memory_kept(cluster: Cluster, namespace: str, text: str) -> str:
    container = {"name": "c", "image": "i", "resources": {"requests": {"memory": text}}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}
    answer = cluster.rest("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
    return str(answer["spec"]["containers"][0]["resources"]["requests"]["memory"])
