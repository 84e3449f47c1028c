"""The control plane on a real API server, scheduler and controllers: what people declare becomes true and stays so."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kube.cluster.cluster import Cluster
from tests.kube.cluster.waiting import eventually
from tests.kube.stack.pools import CRDS, View, pool, secret, tenant
from tests.kube.stack.processes import Daemon, control_plane

pytestmark = pytest.mark.requires("kube")


@pytest.fixture
def view(cluster: Cluster, namespace: str) -> View:
    cluster.install_crds_from(CRDS)
    return View(cluster, namespace)


@pytest.fixture
def controller(cluster: Cluster, namespace: str, view: View, tmp_path: Path) -> Iterator[Daemon]:
    with control_plane(tmp_path / "controlplane", cluster.admin_kubeconfig, [namespace]) as running:
        yield running


def test_a_pool_becomes_its_objects_and_says_so(controller: Daemon, view: View) -> None:
    view.apply(pool("llama", replicas=2))
    eventually(lambda: view.is_available("llama"), "the pool to be Available")
    deployment = view.get("Deployment", "llama")
    assert deployment is not None
    assert deployment["status"]["readyReplicas"] == 2
    owner = deployment["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("ModelPool", "llama", True)
    service = view.get("Service", "llama")
    assert service is not None
    assert service["spec"]["clusterIP"] == "None"
    assert view.get("PodDisruptionBudget", "llama") is not None
    line = view.cluster.kubectl("get", "mp", "llama", "-n", view.namespace, "--no-headers").split()
    assert line[:5] == ["llama", "small", "llama-model", "2/2", "2"]
    status = (view.get("ModelPool", "llama") or {})["status"]
    assert status["readyReplicas"] == 2
    assert status["observedGeneration"] == 1
    assert view.condition("llama", "Accepted")[0] == "True"


def test_nothing_to_do_makes_no_call(controller: Daemon, view: View) -> None:
    view.apply(pool("llama"))
    eventually(lambda: view.is_available("llama"), "the pool to be Available")
    eventually(lambda: controller.metric("headgate_controlplane_queue_depth") == 0, "the queue to be empty")
    calls, reconciles = (
        controller.metric("headgate_controlplane_writes_total"),
        controller.metric("headgate_controlplane_reconciles_total"),
    )
    for number in range(5):
        view.patch("ModelPool", "llama", {"metadata": {"annotations": {"some.one/else": str(number)}}})
    eventually(lambda: controller.metric("headgate_controlplane_reconciles_total") > reconciles, "another reconcile")
    assert controller.metric("headgate_controlplane_writes_total") == calls


def test_what_somebody_changes_or_deletes_is_mended(controller: Daemon, view: View) -> None:
    view.apply(pool("llama", replicas=2))
    eventually(lambda: view.is_available("llama"), "the pool to be Available")
    view.delete("Service", "llama")
    eventually(lambda: view.get("Service", "llama"), "the Service to be made anew")
    view.patch("Deployment", "llama", {"spec": {"replicas": 7}})
    eventually(lambda: (view.get("Deployment", "llama") or {})["spec"]["replicas"] == 2, "the replicas to be as wanted")
    view.delete("Deployment", "llama")
    eventually(lambda: view.get("Deployment", "llama"), "the Deployment to be made anew")


def test_scale_by_its_subresource(controller: Daemon, view: View) -> None:
    view.apply(pool("llama"))
    eventually(lambda: view.is_available("llama"), "the pool to be Available")
    view.cluster.kubectl("scale", "modelpool/llama", "--replicas=3", "-n", view.namespace)
    eventually(lambda: len(view.ready_pods("llama")) == 3, "three pods")
    selector = (view.get("ModelPool", "llama") or {})["status"]["selector"]
    assert len(view.all("Pod", selector.replace("=", "%3D").replace(",", "%2C"))) == 3


def test_another_model_rolls_out_and_never_below_the_floor(controller: Daemon, view: View) -> None:
    view.apply(pool("llama", replicas=3))
    eventually(lambda: view.is_available("llama"), "the pool to be Available")
    old = {pod["metadata"]["name"] for pod in view.pods("llama")}
    least = 3

    def replaced() -> bool:
        nonlocal least
        least = min(least, len(view.ready_pods("llama")))
        return view.is_available("llama") and not old & {pod["metadata"]["name"] for pod in view.pods("llama")}

    view.patch("ModelPool", "llama", {"spec": {"model": {"name": "another-model"}}})
    eventually(replaced, "every pod to be replaced")
    assert least == 3
    rollout = (view.get("ModelPool", "llama") or {})["status"]["rollout"]
    assert rollout["stableRevision"] == rollout["revision"]
    assert "another-model" in str(view.pods("llama")[0]["spec"]["containers"][0]["env"])


def test_delete_leaves_nothing_behind(controller: Daemon, view: View) -> None:
    view.cluster.add_volumes(1)
    view.apply(pool("llama", cache={"claimSize": "1Gi"}))
    eventually(lambda: view.get("PersistentVolumeClaim", "llama-models"), "the claim")
    eventually(lambda: view.is_available("llama"), "the pool to be Available")
    view.delete("ModelPool", "llama")
    kinds = ("ModelPool", "Deployment", "Service", "PodDisruptionBudget", "PersistentVolumeClaim", "ControllerRevision", "Pod")
    eventually(lambda: not any(view.all(kind) for kind in kinds), "nothing to be left", 90)


def test_an_object_of_somebody_else_is_not_touched(controller: Daemon, view: View) -> None:
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "llama"}, "spec": {"ports": [{"port": 80}]}}
    view.apply(theirs)
    view.apply(pool("llama"))
    eventually(lambda: view.condition("llama", "Accepted")[:2] == ("False", "NameTaken"), "the pool to say NameTaken")
    service = view.get("Service", "llama")
    assert service is not None
    assert service["spec"]["ports"][0]["port"] == 80
    assert "ownerReferences" not in service["metadata"]
    assert view.get("Deployment", "llama") is None
    view.delete("Service", "llama")
    eventually(lambda: view.is_available("llama"), "the pool to recover", 90)


def test_a_missing_secret_is_told_and_its_coming_is_noticed(controller: Daemon, view: View) -> None:
    key = {"name": "hub", "key": "token"}
    view.apply(pool("llama", engine={"env": [{"name": "HF_TOKEN", "secret": key}]}))
    eventually(lambda: view.condition("llama", "Accepted")[:2] == ("False", "SecretNotFound"), "SecretNotFound")
    assert "hub/token" in view.condition("llama", "Accepted")[2]
    view.apply(secret("hub", token="hf_abc"))
    eventually(lambda: view.is_available("llama"), "the pool to recover", 90)
    assert "hf_abc" not in controller.log()


def test_more_gpus_than_any_node_has_is_told_and_a_larger_node_is_noticed(controller: Daemon, view: View) -> None:
    view.apply(pool("llama", hardware={"gpus": 16, "cpu": "1", "memory": "1Gi"}))
    eventually(lambda: view.condition("llama", "Degraded")[:2] == ("True", "NoNodeFits"), "NoNodeFits")
    (large,) = view.cluster.add_nodes(1, gpus=16, prefix=f"large-{view.namespace[:6]}")
    try:
        eventually(lambda: view.is_available("llama"), "the pool to recover")
    finally:
        view.delete("ModelPool", "llama")
        view.cluster.remove_nodes([large])


def test_of_two_pools_with_one_name_the_older_has_it(controller: Daemon, view: View) -> None:
    view.apply(pool("older", model="llama"))
    eventually(lambda: view.is_available("older"), "the older pool")
    view.apply(pool("younger", model="llama"))
    eventually(lambda: view.condition("younger", "Accepted")[:2] == ("False", "NameTaken"), "NameTaken")
    assert view.get("Deployment", "younger") is None
    view.delete("ModelPool", "older")
    eventually(lambda: view.is_available("younger"), "the younger to have it now")


def test_tenants_say_what_is_wrong_with_them(controller: Daemon, view: View) -> None:
    view.apply(secret("keys", acme="sk-acme"), tenant("acme", keys=[{"secret": {"name": "keys", "key": "acme"}}]))
    eventually(lambda: view.condition("acme", "Accepted", "Tenant")[0] == "True", "the tenant to be accepted")
    assert (view.get("Tenant", "acme") or {})["status"]["keys"] == 1
    view.apply(tenant("copy", keys=[{"secret": {"name": "keys", "key": "acme"}}], parent="nobody"))
    eventually(lambda: view.condition("copy", "Accepted", "Tenant")[:2] == ("False", "ParentNotFound"), "ParentNotFound")
    view.apply(tenant("lost", keys=[{"secret": {"name": "keys", "key": "none"}}]))
    eventually(lambda: view.condition("lost", "Degraded", "Tenant")[:2] == ("True", "KeyNotFound"), "KeyNotFound")
    assert "sk-acme" not in controller.log()


def test_a_change_that_never_gets_ready_is_taken_back(controller: Daemon, view: View) -> None:
    view.apply(pool("llama", replicas=2))
    eventually(lambda: view.is_available("llama"), "the pool to be Available")
    good = {pod["metadata"]["name"] for pod in view.pods("llama")}
    bad = {"hardware": {"cpu": "9999", "memory": "256Mi"}, "rollout": {"progressDeadlineSeconds": 3, "warmSeconds": 0}}
    view.patch("ModelPool", "llama", {"spec": bad})
    eventually(lambda: view.condition("llama", "Degraded")[0] == "True", "the change to be taken back")
    eventually(
        lambda: {p["metadata"]["name"] for p in view.ready_pods("llama")} == good and len(view.pods("llama")) == 2,
        "the old pods alone",
    )
    status = (view.get("ModelPool", "llama") or {})["status"]
    assert status["rollout"]["failedRevision"]
    assert status["rollout"]["failedRevision"] != status["rollout"]["stableRevision"]
    view.patch("ModelPool", "llama", {"spec": {"hardware": {"cpu": "100m"}}})
    eventually(
        lambda: view.is_available("llama") and view.condition("llama", "Degraded")[0] == "False", "the pool to be well again"
    )
