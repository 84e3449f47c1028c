"""Kubernetes objects as they come, half-filled ones too, and what is made of them."""

from typing import Any

import pytest

from controlplane.cluster.sightings import endpoints, node_room, pod_seen, unix
from controlplane.feed.model import EndpointSeen
from controlplane.world import NodeRoom

CREATED = "2026-01-01T00:00:00Z"


def pod(**status: Any) -> dict[str, Any]:
    labels = {"headgate.dev/revision": "abc"}
    return {"metadata": {"name": "p", "creationTimestamp": CREATED, "labels": labels}, "status": status}


def test_a_pod_that_was_just_made() -> None:
    seen = pod_seen({"metadata": {"name": "p", "creationTimestamp": CREATED}})
    assert (seen.name, seen.revision, seen.ready, seen.terminating, seen.ip, seen.trouble) == ("p", "", False, False, "", None)
    assert seen.created_s == unix(CREATED) == 1767225600.0


def test_a_ready_pod() -> None:
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"}
    seen = pod_seen(pod(podIP="10.0.0.1", conditions=[condition]))
    assert (seen.ready, seen.ready_since_s, seen.ip, seen.revision) == (True, unix(CREATED) + 60, "10.0.0.1", "abc")


def waiting(reason: str) -> dict[str, Any]:
    return {"containerStatuses": [{"state": {"waiting": {"reason": reason, "message": "because"}}}]}


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no"}]},
            ("Unschedulable", "no"),
        ),
        ({"phase": "Failed", "reason": "Evicted", "message": "memory"}, ("Evicted", "memory")),
        (waiting("CrashLoopBackOff"), ("CrashLoopBackOff", "because")),
        (waiting("ImagePullBackOff"), ("ImagePullBackOff", "because")),
        (waiting("ContainerCreating"), None),
        ({"containerStatuses": [{"state": {"running": {}}}]}, None),
    ],
)
def test_why_a_pod_does_not_come_up(status: dict[str, Any], trouble: tuple[str, str] | None) -> None:
    assert pod_seen(pod(**status)).trouble == trouble


def test_a_node_tells_its_gpus_and_a_cordoned_one_has_no_room() -> None:
    node: dict[str, Any] = {
        "metadata": {"name": "n", "labels": {"gpu": "h100"}},
        "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "64", "nvidia.com/gpu": "8", "hugepages-2Mi": "0"}},
    }
    assert node_room(node) == NodeRoom("n", {"nvidia.com/gpu": 8}, {"gpu": "h100"}, (("k", "", "NoSchedule"),))
    node["spec"]["unschedulable"] = True
    assert node_room(node) is None
    assert node_room({"metadata": {"name": "bare"}}) == NodeRoom("bare", {}, {}, ())


def piece(*entries: dict[str, Any], port: int | None = 7000, name: str = "worker") -> dict[str, Any]:
    return {"ports": [{"name": name, "port": port}], "endpoints": list(entries)}


def entry(pod_name: str, **conditions: bool) -> dict[str, Any]:
    return {"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": pod_name}, "conditions": conditions}


def test_endpoints_by_pod_with_the_pods_revision() -> None:
    found = endpoints([piece(entry("b", ready=True), entry("a", ready=False))], {"b": pod()})
    assert found == (EndpointSeen("a", "10.0.0.1", 7000, ready=False), EndpointSeen("b", "10.0.0.1", 7000, revision="abc"))


def test_a_terminating_endpoint_serves_what_it_has() -> None:
    (seen,) = endpoints([piece(entry("a", ready=False, serving=True, terminating=True))], {})
    assert (seen.ready, seen.terminating) == (True, True)


@pytest.mark.parametrize(
    "odd", [piece(entry("a"), name="http"), piece(entry("a"), port=None), {"endpoints": None}, piece({"addresses": []})]
)
def test_what_is_no_worker_is_left_out(odd: dict[str, Any]) -> None:
    assert endpoints([odd], {}) == ()


def test_of_a_pod_in_two_slices_the_ready_one_counts() -> None:
    (seen,) = endpoints([piece(entry("a", ready=False)), piece(entry("a", ready=True))], {})
    assert seen.ready
