"""A ModelPool with `runtime: RayService` through its life: real KubeRay, real Rays at the pods' addresses, a real router."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.kube.cluster.cluster import Cluster
from tests.kube.cluster.programs import Program, free_ports
from tests.kube.cluster.waiting import eventually
from tests.kube.ray_network import RayNetwork
from tests.kube.ray_nodes import RayNodes
from tests.kube.stack.pools import CRDS, PLURALS, View, pool
from tests.kube.stack.processes import control_plane, router
from tests.kube.test_end_to_end import Site, Traffic

pytestmark = [pytest.mark.requires("kube", "ray"), pytest.mark.slow, pytest.mark.timeout(900)]
PLURALS.setdefault("RayService", "/apis/ray.io/v1")
PLURALS.setdefault("RayCluster", "/apis/ray.io/v1")
RAY_START_S = 240.0


@dataclass
class RaySite(Site):
    nodes: RayNodes

    def service(self) -> dict[str, Any]:
        return self.view.get("RayService", "llama") or {}

    def active_cluster(self) -> str:
        return str(self.service().get("status", {}).get("activeServiceStatus", {}).get("rayClusterName", ""))


@contextmanager
def kuberay(cluster: Cluster, namespace: str, proxy: str, folder: Path) -> Iterator[Program]:
    cluster.install_crds("ray")
    ports = free_ports()
    environment = [f"HTTP_PROXY={proxy}", f"KUBECONFIG={cluster.admin_kubeconfig}", f"PATH={os.environ['PATH']}"]
    arguments = [f"--metrics-addr=127.0.0.1:{next(ports)}", f"--health-probe-bind-address=127.0.0.1:{next(ports)}"]
    arguments += ["--enable-leader-election=false", f"--watch-namespace={namespace}"]
    line = ["/usr/bin/env", "-i", *environment, str(cluster.kit.program("kuberay-operator")), *arguments]
    operator = Program("kuberay-operator", line, folder / "kuberay.log")
    operator.start()
    try:
        yield operator
    finally:
        operator.kill()


@pytest.fixture
def here(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[RaySite]:
    cluster.install_crds_from(CRDS)
    with (
        RayNetwork(cluster) as network,
        kuberay(cluster, namespace, network.url, tmp_path),
        RayNodes(cluster, namespace, tmp_path / "pods") as nodes,
        control_plane(tmp_path / "controlplane", cluster.admin_kubeconfig, [namespace]) as controller,
        router(tmp_path / "router", controller.addresses["grpc"]) as running,
    ):
        yield RaySite(View(cluster, namespace), controller, running, None, nodes)  # type: ignore[arg-type]


def test_from_creation_over_changes_and_rays_death_to_deletion(here: RaySite) -> None:
    here.view.apply(pool("llama", replicas=2, runtime="RayService"))
    eventually(lambda: here.ready("llama") == 2, "the router to know both replicas", RAY_START_S)
    eventually(lambda: here.view.is_available("llama"), "the pool to be available", RAY_START_S)
    assert here.ask("llama")["choices"][0]["message"]["content"]
    a_change_of_replicas_stays_in_the_cluster(here)
    a_change_of_the_engine_moves_to_a_new_cluster(here)
    a_dead_ray_is_told(here)
    nothing_is_left(here)


def a_change_of_replicas_stays_in_the_cluster(here: RaySite) -> None:
    before = eventually(here.active_cluster, "KubeRay to say which cluster serves", 60)
    with Traffic(here, "llama") as traffic:
        eventually(lambda: traffic.answered > 5, "traffic")
        here.view.patch("ModelPool", "llama", {"spec": {"replicas": 1}})
        eventually(lambda: here.ready("llama") == 1, "one replica to go", 120)
        the_autoscaler_takes_the_idle_pod(here)
        eventually(lambda: here.view.is_available("llama"), "the pool to be available", 120)
        seen = traffic.answered
        eventually(lambda: traffic.answered > seen + 5, "traffic afterwards")
    assert traffic.failed == []
    assert here.active_cluster() == before


def the_autoscaler_takes_the_idle_pod(here: RaySite) -> None:
    """What Ray's autoscaler would do, which does not run here: fewer pods, and those without a replica go."""
    eventually(lambda: len(here.view.ready_pods("llama")) == 1, "the pod without a replica to be unready", 60)
    ready = {pod["metadata"]["name"] for pod in here.view.ready_pods("llama")}
    [idle] = {pod["metadata"]["name"] for pod in here.view.pods("llama")} - ready
    path = f"/apis/ray.io/v1/namespaces/{here.view.namespace}/rayclusters/{here.active_cluster()}"
    change = [
        {"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": 1},
        {"op": "add", "path": "/spec/workerGroupSpecs/0/scaleStrategy", "value": {"workersToDelete": [idle]}},
    ]
    here.view.cluster.rest("PATCH", path, change, "application/json-patch+json")
    eventually(lambda: len(here.view.pods("llama")) == 1, "the idle pod to go", 60)


def a_change_of_the_engine_moves_to_a_new_cluster(here: RaySite) -> None:
    before = eventually(here.active_cluster, "KubeRay to say which cluster serves", 60)
    with Traffic(here, "llama") as traffic:
        eventually(lambda: traffic.answered > 5, "traffic")
        here.view.patch("ModelPool", "llama", {"spec": {"engine": {"args": {"max_running": 32}}}})
        eventually(lambda: here.active_cluster() not in ("", before), "KubeRay to move", RAY_START_S)
        eventually(lambda: here.view.get("RayCluster", before) is None, "the old cluster to go", RAY_START_S)
        eventually(lambda: here.view.is_available("llama") and here.ready("llama") == 1, "the pool to be available", 120)
        seen = traffic.answered
        eventually(lambda: traffic.answered > seen + 5, "traffic afterwards")
    assert traffic.failed == []


def a_dead_ray_is_told(here: RaySite) -> None:
    here.nodes.kill(here.active_cluster())
    eventually(lambda: here.view.condition("llama", "Degraded")[:2] == ("True", "RayNotAnswering"), "the pool to say so", 120)
    assert here.service()["status"]["serviceStatus"] == "Running"  # KubeRay's view has frozen


def nothing_is_left(here: RaySite) -> None:
    here.view.delete("ModelPool", "llama")
    kinds = ("RayService", "RayCluster", "Pod", "ControllerRevision", "PodDisruptionBudget")
    eventually(lambda: not any(here.view.all(kind) for kind in kinds), "everything to go", 120)
    assert here.view.all("Service") == []
