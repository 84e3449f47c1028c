"""A pool as a Deployment: one pod is one replica."""

from typing import Any

from controlplane.manifests.compute import worker_resources
from controlplane.manifests.environment import environment
from controlplane.manifests.owner import Owner, metadata, pod_labels
from controlplane.manifests.pod import GRACE_S, LEAVING_S, container, ports, worker_pod, worker_storage
from controlplane.manifests.probes import liveness, readiness, startup
from controlplane.names import REVISION_LABEL
from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.world import Platform

_KEPT_REPLICA_SETS = 2  # for people who look; a rollback of ours is made from a ControllerRevision


def deployment(owner: Owner, spec: ModelPoolSpec, platform: Platform, revision: str, size: tuple[int, int]) -> dict[str, Any]:
    """`size` is how many replicas there are to be, and for how many seconds a new one serves before an old one may go. While it
    changes never fewer than that are available."""
    replicas, min_ready_s = size
    template = pod_template(owner, spec, platform)
    labels = {**pod_labels(owner), REVISION_LABEL: revision}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(owner, platform, owner.name, {REVISION_LABEL: revision}),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": owner.selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": spec.rollout.max_surge}},
            **({"minReadySeconds": min_ready_s} if min_ready_s else {}),
            # Kubernetes counts the warm time as lack of progress, and refuses a deadline within it.
            "progressDeadlineSeconds": spec.rollout.progress_deadline_seconds + min_ready_s,
            "revisionHistoryLimit": _KEPT_REPLICA_SETS,
            "template": {**template, "metadata": {"labels": labels}},
        },
    }


def pod_template(owner: Owner, spec: ModelPoolSpec, platform: Platform) -> dict[str, Any]:
    """All of the template that its revision is the hash of, hence without the revision's label."""
    volumes, mounts = worker_storage(owner, spec, platform)
    worker = {
        **container(spec, platform),
        "command": ["python", "-m", "workers"],
        "env": environment(spec, platform),
        "ports": ports(platform),
        "resources": worker_resources(spec),
        "volumeMounts": mounts,
        "startupProbe": startup(platform),
        "readinessProbe": readiness(platform),
        "livenessProbe": liveness(platform),
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVING_S}}},
    }
    return {
        "metadata": {"labels": pod_labels(owner)},
        "spec": {
            **worker_pod(owner, spec, platform),
            "terminationGracePeriodSeconds": spec.drain_seconds + GRACE_S,
            "containers": [worker],
            "volumes": volumes,
        },
    }
