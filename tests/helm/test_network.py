"""Who may reach whom: each NetworkPolicy, evaluated against the pods that there are."""

from typing import Any

import pytest

from tests.helm.chart import NAMESPACE, Object, render

pytestmark = pytest.mark.requires("helm")

Labels = dict[str, str]
BASE = {"app.kubernetes.io/name": "headgate", "app.kubernetes.io/instance": "edge"}
PODS: dict[str, tuple[str, Labels]] = {
    "router": (NAMESPACE, BASE | {"app.kubernetes.io/component": "router"}),
    "controlplane": (NAMESPACE, BASE | {"app.kubernetes.io/component": "controlplane"}),
    "redis": (NAMESPACE, BASE | {"app.kubernetes.io/component": "redis"}),
    "worker": (NAMESPACE, {"headgate.dev/pool": "small"}),
    "worker of team-b": ("team-b", {"headgate.dev/pool": "large"}),
    "ray node": (NAMESPACE, {"headgate.dev/pool": "moe", "ray.io/cluster": "moe-x"}),
    "ray head": (NAMESPACE, {"headgate.dev/ray-head": "moe", "ray.io/cluster": "moe-x"}),
    "kuberay": ("ray-system", {"app.kubernetes.io/name": "kuberay-operator"}),
    "stranger": (NAMESPACE, {"app": "shop"}),
    "prometheus": ("monitoring", {"app": "prometheus"}),
}
PORT_NAMES = {"http": {8080, 8081}, "grpc": {50051, 50052}, "redis": {6379}}


def selects(selector: Any, labels: Labels) -> bool:
    """A Kubernetes label selector; an empty one selects all."""
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    operators = {"Exists": lambda key: key in labels, "DoesNotExist": lambda key: key not in labels}
    return all(operators[e["operator"]](e["key"]) for e in selector.get("matchExpressions", []))


def peer_matches(peer: Any, policy_namespace: str, source: str) -> bool:
    namespace, labels = PODS[source]
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": namespace}):
            return False
    elif namespace != policy_namespace:
        return False
    return selects(peer.get("podSelector", {}), labels)


def port_matches(rule: Any, port: int) -> bool:
    return "ports" not in rule or any(port == p["port"] or port in PORT_NAMES.get(p["port"], ()) for p in rule["ports"])


def may_call(policies: list[Object], source: str, target: str, port: int) -> bool:
    """As a network plug-in decides: allowed by any policy of the target, or no policy selects it."""
    namespace, labels = PODS[target]
    of_target = [p for p in policies if p["metadata"]["namespace"] == namespace and selects(p["spec"]["podSelector"], labels)]
    return not of_target or any(
        port_matches(rule, port) and ("from" not in rule or any(peer_matches(peer, namespace, source) for peer in rule["from"]))
        for policy in of_target
        for rule in policy["spec"]["ingress"]
    )


@pytest.fixture(scope="module")
def policies() -> list[Object]:
    return render({"namespaces": ["serving", "team-b"]}).all("NetworkPolicy")


@pytest.mark.parametrize(
    ("source", "target", "port", "allowed"),
    [
        ("stranger", "router", 8080, True),
        ("stranger", "router", 50051, True),
        ("stranger", "router", 9999, False),
        ("router", "controlplane", 50052, True),
        ("stranger", "controlplane", 50052, False),
        ("worker", "controlplane", 50052, False),
        ("prometheus", "controlplane", 8081, True),
        ("router", "worker", 7000, True),
        ("router", "worker of team-b", 7000, True),
        ("stranger", "worker", 7000, False),
        ("controlplane", "worker", 7000, False),
        ("worker of team-b", "worker", 7000, False),
        ("worker", "worker", 7000, False),
        ("router", "ray node", 7000, True),
        ("ray node", "ray node", 10002, True),
        ("ray head", "ray node", 10002, True),
        ("ray node", "ray head", 6379, True),
        ("worker", "ray node", 10002, False),
        ("worker", "ray head", 6379, False),
        ("router", "ray head", 8265, False),
        ("controlplane", "ray head", 8265, True),
        ("kuberay", "ray head", 8265, True),
        ("stranger", "ray head", 8265, False),
        ("router", "redis", 6379, True),
        ("controlplane", "redis", 6379, True),
        ("worker", "redis", 6379, True),
        ("worker of team-b", "redis", 6379, True),
        ("stranger", "redis", 6379, False),
    ],
)
def test_who_may_reach_whom(policies: list[Object], source: str, target: str, port: int, *, allowed: bool) -> None:
    assert may_call(policies, source, target, port) is allowed


def test_clients_and_monitoring_may_be_narrowed() -> None:
    narrowed = render(
        {
            "networkPolicy": {
                "clients": [{"podSelector": {"matchLabels": {"app": "gateway"}}}],
                "monitoring": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            }
        }
    ).all("NetworkPolicy")
    assert not may_call(narrowed, "stranger", "router", 8080)
    assert may_call(narrowed, "prometheus", "controlplane", 8081)
    assert not may_call(narrowed, "stranger", "controlplane", 8081)


def test_all_may_be_left_out() -> None:
    assert not render({"networkPolicy": {"enabled": False}}).all("NetworkPolicy")
