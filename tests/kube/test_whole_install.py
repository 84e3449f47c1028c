"""The chart's own example, whole: installed on a hundred GPU nodes, its control plane and a router running with the accounts,
the settings and the certificates that the chart gave them.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kube.cluster.cluster import Cluster
from tests.kube.cluster.waiting import eventually
from tests.kube.stack.pools import CRDS, View, secret
from tests.kube.stack.processes import Daemon

pytestmark = pytest.mark.requires("kube", "helm")
EXAMPLE = Path("examples/kubernetes/small-large-moe/values.yaml")


class Given:
    """What the chart put into its namespace, as a pod would have it."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self._cluster, self._namespace, self._folder = cluster, namespace, folder

    def settings(self, program: str) -> dict[str, Any]:
        """The program's settings, with its certificates in a folder of this machine and ports of its own."""
        found = self._get("configmaps", f"headgate-{program}")["data"][f"{program}.yaml"]
        settings: dict[str, Any] = yaml.safe_load(found)
        folder = self._folder / f"{program}-tls"
        folder.mkdir()
        for name, value in self._get("secrets", f"headgate-{program}-tls")["data"].items():
            (folder / name).write_bytes(base64.b64decode(value))
        return {**settings, "tls": {"folder": str(folder)}}

    def _get(self, plural: str, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._cluster.rest("GET", f"/api/v1/namespaces/{self._namespace}/{plural}/{name}")
        return found


def test_three_pools_on_a_hundred_nodes(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    cluster.install_crds("monitoring")
    cluster.install_crds_from(CRDS)
    cluster.add_volumes(4, prefix=f"whole-{namespace[:6]}")
    nodes = [
        *cluster.add_nodes(60, labels={"gpu": "h100"}, prefix="h100"),
        *cluster.add_nodes(40, labels={"gpu": "h200"}, prefix="h200"),
    ]
    view, given = View(cluster, namespace), Given(cluster, namespace, tmp_path)
    view.apply(secret("hugging-face", token="hf_1"))
    cluster.helm("install", "headgate", "helm", "-n", namespace, "-f", str(EXAMPLE), "--wait", "--timeout", "120s")
    settings = {**given.settings("controlplane"), "listen": "127.0.0.1:0", "http": "127.0.0.1:0"}
    account = cluster.kubeconfig_for("headgate-controlplane", namespace)
    env = {"POD_NAME": "headgate-controlplane-0", "POD_NAMESPACE": namespace}
    try:
        with Daemon("controlplane", tmp_path / "controlplane", settings, "--kubeconfig", str(account), env=env) as controller:
            eventually(lambda: view.is_available("small") and view.is_available("large"), "two pools to be Available")
            eventually(lambda: view.condition("moe", "Accepted")[0] == "True", "the third to be accepted")
            assert [len(view.ready_pods(name)) for name in ("small", "large", "moe")] == [2, 1, 0]
            assert view.pods("large")[0]["spec"]["nodeName"].startswith("h100-")
            lines = cluster.kubectl("get", "modelpools", "-n", namespace, "--no-headers").splitlines()
            assert {line.split()[0]: line.split()[3] for line in lines} == {"small": "2/2", "large": "1/1", "moe": "0/0"}
            settings = {**given.settings("router"), "http": {"port": 0}, "grpc": {"port": 0}}
            settings["topology"] = {"address": controller.addresses["grpc"]}
            with Daemon("router", tmp_path / "router", settings) as router:
                eventually(
                    lambda: router.metric("headgate_router_topology_connected") == 1, "the router to be connected by mTLS"
                )
                eventually(lambda: '"qwen3-moe"' in router.get("/v1/models")[1], "the router to know the models")
            trail = cluster.audit(f"system:serviceaccount:{namespace}:headgate-controlplane")
            assert [event for event in trail if event.code == 403] == []
            cluster.helm("uninstall", "headgate", "-n", namespace, "--wait")
            eventually(lambda: not view.all("Pod") and not view.all("ModelPool"), "nothing to be left")
    finally:
        cluster.remove_nodes(nodes)
