"""Two replicas, one acts. The API server's audit says who wrote what, and when."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kube.cluster.cluster import Cluster
from tests.kube.cluster.waiting import eventually
from tests.kube.stack.pools import CRDS, View, pool
from tests.kube.stack.processes import Daemon, control_plane

pytestmark = pytest.mark.requires("kube")
LEASE_S, RETRY_S = 8.0, 0.3
WRITES = frozenset(("create", "patch", "update", "delete"))


@pytest.fixture
def view(cluster: Cluster, namespace: str) -> View:
    cluster.install_crds_from(CRDS)
    for name in ("one", "two"):
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        admin = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        meta = {"name": f"{namespace}-{name}"}
        binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": meta}
        cluster.apply(account, {**binding, "roleRef": admin, "subjects": [subject]}, namespace=namespace)
    return View(cluster, namespace)


@pytest.fixture
def pair(cluster: Cluster, view: View, tmp_path: Path) -> Iterator[dict[str, Daemon]]:
    """Two replicas, each with an account of its own, so that the audit tells them apart."""
    rule = {"duration_s": LEASE_S, "renew_s": 2.0, "retry_s": RETRY_S}
    replicas = {
        name: control_plane(tmp_path / name, cluster.kubeconfig_for(name, view.namespace), [view.namespace], lease=rule)
        for name in ("one", "two")
    }
    with replicas["one"], replicas["two"]:
        yield replicas


def leader(pair: dict[str, Daemon]) -> str:
    leading = [name for name, replica in pair.items() if replica.metric("headgate_controlplane_leading") == 1]
    assert len(leading) <= 1
    return leading[0] if leading else ""


def writers(view: View) -> list[str]:
    """Who wrote to our objects, in the order in which the API server began with it, repetitions left out."""
    users = {f"system:serviceaccount:{view.namespace}:{name}": name for name in ("one", "two")}
    lines = map(json.loads, view.cluster.layout.audit_log.read_text().splitlines())
    writes = [
        (event["requestReceivedTimestamp"], users[event["user"]["username"]])
        for event in lines
        if event["stage"] == "ResponseComplete" and event["verb"] in WRITES and event["user"]["username"] in users
        if event["objectRef"]["resource"] != "leases" and event["responseStatus"]["code"] < 400
    ]
    names = [name for _, name in sorted(writes)]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


def test_one_acts_and_the_other_takes_over_within_the_lease(pair: dict[str, Daemon], view: View) -> None:
    first = eventually(lambda: leader(pair), "a leader")
    view.apply(pool("a"), pool("b"))
    eventually(lambda: view.is_available("a") and view.is_available("b"), "the pools")
    second = "two" if first == "one" else "one"
    pair[first].kill()
    view.apply(pool("c"))
    eventually(
        lambda: pair[second].metric("headgate_controlplane_leading") == 1, "the other to lead", LEASE_S + 2 * RETRY_S + 10
    )
    eventually(lambda: view.is_available("c"), "its work")
    pair[first].start()
    view.apply(pool("d"))
    eventually(lambda: view.is_available("d"), "the work to go on")
    assert leader(pair) == second
    assert writers(view) == [first, second]


def test_a_leader_that_is_told_to_end_hands_over_at_once(pair: dict[str, Daemon], view: View) -> None:
    first = eventually(lambda: leader(pair), "a leader")
    second = "two" if first == "one" else "one"
    pair[first].terminate()
    eventually(lambda: pair[second].metric("headgate_controlplane_leading") == 1, "the other to lead", LEASE_S - 2)


def test_a_standby_serves_routers_too(pair: dict[str, Daemon], view: View) -> None:
    view.apply(pool("a"))
    eventually(lambda: view.is_available("a"), "the pool")
    versions = {name: replica.metric("headgate_controlplane_topology_version") for name, replica in pair.items()}
    assert all(versions.values())
    assert all(replica.get("/readyz")[0] == 200 for replica in pair.values())
