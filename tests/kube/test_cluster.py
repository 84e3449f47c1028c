"""The test cluster itself: what the other tests in this folder take for granted."""

import json
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kube.cluster.cluster import Cluster, CommandFailed
from tests.kube.cluster.objects import Manifest
from tests.kube.cluster.rest import ApiError
from tests.kube.cluster.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.requires("kube")

RULE = {"rule": "self.replicas <= self.maxReplicas", "message": "replicas must not exceed maxReplicas"}
SPEC_SCHEMA = {
    "type": "object",
    "required": ["replicas"],
    "properties": {"replicas": {"type": "integer"}, "maxReplicas": {"type": "integer", "default": 4}},
    "x-kubernetes-validations": [RULE],
}
VERSION = {
    "name": "v1",
    "served": True,
    "storage": True,
    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC_SCHEMA}}},
}
CRD: Manifest = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gauges.cluster.test"},
    "spec": {
        "group": "cluster.test",
        "scope": "Namespaced",
        "names": {"plural": "gauges", "singular": "gauge", "kind": "Gauge"},
        "versions": [VERSION],
    },
}


def gauge(name: str, replicas: int, **more: Any) -> Manifest:
    return {
        "apiVersion": "cluster.test/v1",
        "kind": "Gauge",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, **more},
    }


def deployment(name: str, replicas: int, gpus: int) -> Manifest:
    labels = {"app": name}
    container = {"name": "main", "image": "none", "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def service(name: str) -> Manifest:
    ports = [{"name": "worker", "port": 7000}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"clusterIP": "None", "selector": {"app": name}, "ports": ports},
    }


def ready_replicas(cluster: Cluster, namespace: str, name: str) -> int:
    found = cluster.rest("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
    return int(found["status"].get("readyReplicas", 0))


def addresses(cluster: Cluster, namespace: str, name: str) -> list[str]:
    selector = f"labelSelector=kubernetes.io/service-name%3D{name}"
    slices = cluster.rest("GET", f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?{selector}")["items"]
    endpoints = [endpoint for one in slices for endpoint in one["endpoints"]]
    return [endpoint["addresses"][0] for endpoint in endpoints if endpoint["conditions"]["ready"]]


def test_a_crd_with_a_rule_lets_the_good_in_and_keeps_the_bad_out(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    file = tmp_path / "crd.json"
    file.write_text(json.dumps(CRD))
    cluster.install_crds_from(file)
    cluster.apply(gauge("good", 3), namespace=namespace)
    with pytest.raises(CommandFailed, match="replicas must not exceed maxReplicas"):
        cluster.apply(gauge("bad", 5), namespace=namespace)
    with pytest.raises(CommandFailed, match="colour"):
        cluster.apply(gauge("strange", 1, colour="red"), namespace=namespace)
    (kept,) = cluster.rest("GET", f"/apis/cluster.test/v1/namespaces/{namespace}/gauges")["items"]
    assert kept["spec"] == {"replicas": 3, "maxReplicas": 4}


def test_other_projects_crds_are_there_on_demand(cluster: Cluster) -> None:
    cluster.install_crds(*cluster.kit.versions["crds"])
    groups = {group["name"] for group in cluster.rest("GET", "/apis")["groups"]}
    assert groups >= {
        "cert-manager.io",
        "gateway.networking.k8s.io",
        "inference.networking.k8s.io",
        "keda.sh",
        "leaderworkerset.x-k8s.io",
        "monitoring.coreos.com",
        "ray.io",
    }
    with pytest.raises(KeyError, match="there are: inference"):
        cluster.install_crds("nobody")


def test_pods_are_scheduled_by_gpu_and_answer_at_their_own_addresses(cluster: Cluster, namespace: str) -> None:
    cluster.apply(deployment("web", 4, gpus=8), service("web"), namespace=namespace)
    eventually(lambda: ready_replicas(cluster, namespace, "web") == 3, "one Pod on each of the three nodes")
    ips = eventually(lambda: len(found := addresses(cluster, namespace, "web")) == 3 and found, "their EndpointSlice")
    assert ips
    assert len(set(ips)) == 3
    with socket.create_server((ips[0], 7000)) as listener, socket.create_connection((ips[0], 7000), timeout=10) as caller:
        met, peer = listener.accept()
        with met:
            assert peer == caller.getsockname()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((ips[1], 7000), timeout=10)
    cluster.add_nodes(1, gpus=8, prefix="late")
    try:
        eventually(lambda: ready_replicas(cluster, namespace, "web") == 4, "the fourth Pod on the new node")
    finally:
        cluster.remove_nodes(["late-0"])


def test_a_claim_finds_a_volume(cluster: Cluster, namespace: str) -> None:
    cluster.add_volumes(1, prefix=namespace)
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models"}, "spec": spec}
    cluster.apply(claim, namespace=namespace)
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/models", f"--namespace={namespace}", "--timeout=60s")


def test_a_service_account_may_do_what_its_role_says_and_the_audit_log_knows(cluster: Cluster, namespace: str) -> None:
    account = f"--serviceaccount={namespace}:reader"
    cluster.kubectl("create", "serviceaccount", "reader", f"--namespace={namespace}")
    cluster.kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps", f"--namespace={namespace}")
    cluster.kubectl("create", "rolebinding", "reader", "--role=reader", account, f"--namespace={namespace}")
    reader = cluster.kubeconfig_for("reader", namespace)
    assert "kube-root-ca.crt" in cluster.kubectl("get", "configmaps", kubeconfig=reader)
    with pytest.raises(CommandFailed, match=r"cannot list resource \"secrets\""):
        cluster.kubectl("get", "secrets", kubeconfig=reader)
    with pytest.raises(CommandFailed, match=r"cannot delete resource \"configmaps\""):
        cluster.kubectl("delete", "configmap", "kube-root-ca.crt", kubeconfig=reader)
    done = cluster.audit(user=f"system:serviceaccount:{namespace}:reader", namespace=namespace)
    assert [(event.verb, event.resource, event.code) for event in done] == [
        ("list", "configmaps", 200),
        ("list", "secrets", 403),
        ("delete", "configmaps", 403),
    ]


def test_helm_installs_upgrades_and_removes(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: tiny, version: 1.0.0}")
    (tmp_path / "templates" / "map.yaml").write_text(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: tiny}, data: {word: {{ .Values.word }}}}"
    )
    where = f"--namespace={namespace}"
    for word in ("one", "two"):
        cluster.helm("upgrade", "--install", "tiny", str(tmp_path), where, "--set", f"word={word}")
        assert cluster.rest("GET", f"/api/v1/namespaces/{namespace}/configmaps/tiny")["data"] == {"word": word}
    cluster.helm("uninstall", "tiny", where)
    with pytest.raises(ApiError, match="404 NotFound"):
        cluster.rest("GET", f"/api/v1/namespaces/{namespace}/configmaps/tiny")


def test_the_api_servers_certificate_satisfies_strict_clients(cluster: Cluster) -> None:
    trust = ssl.create_default_context(cafile=cluster.layout.authority)
    trust.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    with socket.create_connection(("127.0.0.1", cluster.layout.api)) as plain:
        trust.wrap_socket(plain, server_hostname="127.0.0.1").close()


@pytest.mark.slow
def test_a_hundred_nodes_and_an_api_server_that_goes_and_comes(own_cluster: Cluster) -> None:
    own_cluster.add_nodes(100, gpus=8)
    own_cluster.apply(deployment("many", 200, gpus=4))
    eventually(lambda: ready_replicas(own_cluster, "default", "many") == 200, "200 Pods on 100 nodes", 120)
    before = own_cluster.rest("GET", "/apis/apps/v1/namespaces/default/deployments/many")["metadata"]["uid"]
    own_cluster.stop_api_server()
    with pytest.raises(ConnectionRefusedError):
        own_cluster.rest("GET", "/readyz")
    own_cluster.start_api_server()
    assert own_cluster.rest("GET", "/apis/apps/v1/namespaces/default/deployments/many")["metadata"]["uid"] == before
    own_cluster.kubectl("scale", "deployment/many", "--replicas=150")
    eventually(lambda: ready_replicas(own_cluster, "default", "many") == 150, "controllers that work again", 120)


def test_nothing_outlives_a_test_process_that_was_killed(tmp_path: Path, own_network: None) -> None:
    script = (
        "import pathlib, sys, time; from tests.kube.cluster.cluster import Cluster\n"
        "with Cluster(pathlib.Path(sys.argv[1])) as cluster:\n"
        "    print(cluster.layout.etcd, cluster.layout.api, cluster.layout.kwok, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        ports = [int(port) for port in process.stdout.readline().split()]
        assert list(map(listens, ports)) == [True, True, True]
        process.kill()
    eventually(lambda: not any(map(listens, ports)), "the end of every server")


def listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0
