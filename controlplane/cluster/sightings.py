"""Kubernetes objects → what plans and the feed know of them. Pure, and tolerant: half-filled statuses are ordinary."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from controlplane.feed.model import EndpointSeen
from controlplane.names import REVISION_LABEL, WORKER_PORT_NAME
from controlplane.world import NodeRoom, Object, PodSeen

# A container in one of these waits for somebody to mend something; in others (ContainerCreating, PodInitializing) for itself.
_TROUBLES = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)
_LONGEST_TEXT = 300


def pod_seen(pod: Object) -> PodSeen:
    meta, status = pod["metadata"], pod.get("status") or {}
    ready = _condition(status, "Ready")
    is_ready = ready is not None and ready.get("status") == "True"
    return PodSeen(
        name=meta["name"],
        revision=meta.get("labels", {}).get(REVISION_LABEL, ""),
        created_s=unix(meta["creationTimestamp"]),
        ready=is_ready,
        ready_since_s=unix(ready["lastTransitionTime"]) if is_ready and ready and ready.get("lastTransitionTime") else None,
        terminating="deletionTimestamp" in meta,
        ip=status.get("podIP", ""),
        trouble=_trouble(status),
    )


def _trouble(status: Mapping[str, Any]) -> tuple[str, str] | None:
    scheduled = _condition(status, "PodScheduled")
    if scheduled is not None and scheduled.get("status") == "False":
        return scheduled.get("reason") or "Unschedulable", (scheduled.get("message") or "")[:_LONGEST_TEXT]
    if status.get("phase") == "Failed":
        return status.get("reason") or "Failed", (status.get("message") or "")[:_LONGEST_TEXT]
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _TROUBLES:
            return waiting["reason"], (waiting.get("message") or "")[:_LONGEST_TEXT]
    return None


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    return next((c for c in status.get("conditions") or () if c.get("type") == kind), None)


def node_room(node: Object) -> NodeRoom | None:
    """None for a node that takes no pods. GPUs are all resources with a domain in their name, as nvidia.com/gpu has."""
    spec = node.get("spec") or {}
    if spec.get("unschedulable"):
        return None
    amounts = (node.get("status") or {}).get("allocatable") or {}
    gpus = {name: int(amount) for name, amount in amounts.items() if "/" in name and str(amount).isdigit()}
    taints = tuple((t.get("key", ""), t.get("value", ""), t.get("effect", "")) for t in spec.get("taints") or ())
    return NodeRoom(node["metadata"]["name"], gpus, dict(node["metadata"].get("labels") or {}), taints)


def endpoints(slices: Iterable[Object], pods: Mapping[str, Object]) -> tuple[EndpointSeen, ...]:
    """Where a pool's workers are, by pod name. Of an endpoint that two slices hold (while one moves), the ready one counts."""
    found: dict[str, EndpointSeen] = {}
    for piece in slices:
        port = next((p["port"] for p in piece.get("ports") or () if p.get("name") == WORKER_PORT_NAME and p.get("port")), 0)
        for entry in piece.get("endpoints") or () if port else ():
            name = (entry.get("targetRef") or {}).get("name")
            if not name or not entry.get("addresses"):
                continue
            conditions = entry.get("conditions") or {}
            terminating = bool(conditions.get("terminating"))
            # A pod that ends is no longer ready, but still serves what it has begun.
            ready = conditions.get("serving" if terminating else "ready") is not False
            revision = pods.get(name, {}).get("metadata", {}).get("labels", {}).get(REVISION_LABEL, "")
            seen = EndpointSeen(name, entry["addresses"][0], port, ready, terminating, revision)
            if name not in found or (seen.ready and not found[name].ready):
                found[name] = seen
    return tuple(found[name] for name in sorted(found))


def unix(text: str) -> float:
    """Seconds since 1970 of a time as Kubernetes writes it (RFC 3339)."""
    return datetime.fromisoformat(text).timestamp()
