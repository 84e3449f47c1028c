"""How many replicas an administrator may take away at once, when nodes are drained."""

from typing import Any

from controlplane.manifests.owner import Owner, metadata
from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.world import Platform


def disruption_budget(owner: Owner, spec: ModelPoolSpec, platform: Platform, replicas: int) -> dict[str, Any]:
    """One at a time, also where there is only one: a budget that lets nothing go would stop every node upgrade. Replicas that
    do not work anyway never stand in the way."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(owner, platform, owner.name),
        "spec": {
            **_bound(spec, replicas),
            "selector": {"matchLabels": owner.selector},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _bound(spec: ModelPoolSpec, replicas: int) -> dict[str, Any]:
    """For pods that KubeRay makes Kubernetes can't find out how many there should be, and then takes minAvailable alone. It
    counts ready pods: of a replica that spans several, the one that answers."""
    if spec.runtime == "RayService":
        return {"minAvailable": max(replicas - 1, 0)}
    return {"maxUnavailable": 1}
