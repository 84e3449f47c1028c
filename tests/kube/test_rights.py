"""The control plane has the rights that it uses, and no other: the API server's audit of it against the chart's roles."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kube.cluster.audit import AuditEvent
from tests.kube.cluster.cluster import Cluster
from tests.kube.cluster.waiting import eventually
from tests.kube.stack.pools import CRDS, View, pool, secret, tenant
from tests.kube.stack.processes import control_plane

pytestmark = pytest.mark.requires("kube")
Right = tuple[str, str, str]  # group, resource, verb


def granted(objects: list[dict[str, Any]]) -> set[Right]:
    """Every right in these roles, one by one."""
    rules = [rule for role in objects if role["kind"] in ("Role", "ClusterRole") for rule in role["rules"]]
    return {right for rule in rules for right in product(rule["apiGroups"], rule["resources"], rule["verbs"])}


def used(events: list[AuditEvent]) -> set[Right]:
    """A patch that made its object needs the right to create as well: the API server asks for it."""
    rights = {(event.group, event.resource, event.verb) for event in events}
    return rights | {(e.group, e.resource, "create") for e in events if e.verb == "patch" and e.code == 201}


def ours(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The control plane's account, lease, roles and bindings."""
    kinds = ("ServiceAccount", "Lease", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    return [one for one in objects if one["kind"] in kinds and "controlplane" in one["metadata"]["name"]]


def test_every_right_is_used_and_nothing_more_is_needed(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    cluster.install_crds_from(CRDS)
    cluster.install_crds("ray", "inference")
    cluster.add_volumes(1, prefix=f"rights-{namespace[:8]}")
    rendered = ours([one for one in yaml.safe_load_all(cluster.helm("template", "headgate", "helm", "-n", namespace)) if one])
    view = View(cluster, namespace)
    view.apply(*rendered)
    account = next(one["metadata"]["name"] for one in rendered if one["kind"] == "ServiceAccount")
    lease = next(one["metadata"]["name"] for one in rendered if one["kind"] == "Lease")
    rule = {"name": lease, "namespace": namespace, "duration_s": 8.0, "renew_s": 2.0, "retry_s": 0.3}
    config = cluster.kubeconfig_for(account, namespace)
    given = {"lease": rule, "resync_s": 5.0, "platform": {"endpoint_picker": "epp"}}
    with control_plane(tmp_path / "controlplane", config, [namespace], **given):
        policy = {"apiVersion": "headgate.dev/v1alpha1", "kind": "RoutingPolicy", "metadata": {"name": "p"}, "spec": {}}
        view.apply(secret("keys", acme="sk-1"), tenant("acme", keys=[{"secret": {"name": "keys", "key": "acme"}}]), policy)
        view.apply(pool("llama", inferencePool=True, cache={"claimSize": "1Gi"}), pool("spread", runtime="RayService"))
        eventually(lambda: view.is_available("llama"), "the pool to be Available", 90)
        eventually(lambda: view.condition("acme", "Accepted", "Tenant")[0] == "True", "the tenant to be accepted")
        eventually(lambda: view.condition("p", "Accepted", "RoutingPolicy")[0] == "True", "the policy to be accepted")
        eventually(lambda: cluster.kubectl("get", "rayservice", "spread", "-n", namespace), "the RayService")
        for number in range(7):  # more changes than revisions are kept of
            view.patch(
                "ModelPool", "llama", {"spec": {"inferencePool": False, "engine": {"args": {"max_running": 32 + number}}}}
            )
            eventually(lambda: view.is_available("llama"), "the change to be through", 90)
        user = f"system:serviceaccount:{namespace}:{account}"
        wanted = granted(rendered)
        eventually(lambda: not wanted - used(cluster.audit(user)), "every right to be used", 60)
        trail = cluster.audit(user)
    refused = {(event.group, event.resource, event.verb) for event in trail if event.code in (401, 403)}
    assert refused == set()
    assert used(trail) - wanted == set()
    assert wanted - used(trail) == set()
