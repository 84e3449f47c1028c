"""A pool as a RayService: Ray Serve places the replicas, KubeRay keeps the cluster (ray.io/v1, KubeRay 1.6).

Routers dial the replica's own port on its pod, as with a Deployment; Serve's proxies carry no tokens. So worker pods alone have
the pool's labels, and those that hold no replica are not ready. A change of what makes a pod is a new cluster, to which KubeRay
moves once it serves; a change of `num_replicas` alone reaches the one that runs, where Ray's autoscaler follows with pods.
"""

from typing import Any

import yaml

from controlplane.manifests.compute import gpus_per_pod, resources, worker_resources
from controlplane.manifests.environment import HOME, environment
from controlplane.manifests.owner import Owner, metadata, pod_labels
from controlplane.manifests.pod import confined, confined_pod, container, ports, scratch, worker_pod, worker_storage
from controlplane.manifests.probes import readiness
from controlplane.manifests.worker_config import worker_config
from controlplane.names import MANAGED_BY, RAY_HEAD_LABEL, REVISION_LABEL
from controlplane.resources.model_pool import ModelPoolSpec, RaySpec
from controlplane.world import Platform

API = "ray.io/v1"
APPLICATION = "worker"  # also the name of its one deployment
# Serve puts a replica only where one of these is free: one a pod, none on the head, so that all of them can have the same port.
_SLOT = "headgate_worker"
_LEAVING_S = 20  # beyond draining, until Serve, the replica and the raylet have gone
_IDLE_S = 60  # how long a pod without a replica is kept
# A running cluster keeps the bounds that it was made with, so they must not be in the way of /scale.
_MOST_NODES = 1000


def ray_service(owner: Owner, spec: ModelPoolSpec, platform: Platform, revision: str, replicas: int) -> dict[str, Any]:
    """`replicas` are Serve's; each spans `ray.nodes` pods."""
    ray = ray_of(spec)
    cluster = ray_cluster(owner, spec, platform)
    [group] = cluster["workerGroupSpecs"]
    template = {**group["template"], "metadata": {"labels": {**pod_labels(owner), REVISION_LABEL: revision}}}
    born_with = min(replicas * ray.nodes, _MOST_NODES)
    return {
        "apiVersion": API,
        "kind": "RayService",
        "metadata": metadata(owner, platform, owner.name, {REVISION_LABEL: revision}),
        "spec": {
            "serveConfigV2": _serve_config(spec, platform, replicas),
            "excludeHeadPodFromServeSvc": True,  # its count of endpoints is then that of pods with a replica
            "rayClusterDeletionDelaySeconds": spec.drain_seconds + _LEAVING_S,
            "rayClusterConfig": {**cluster, "workerGroupSpecs": [{**group, "replicas": born_with, "template": template}]},
        },
    }


def ray_of(spec: ModelPoolSpec) -> RaySpec:
    """The pool's `ray`, or its defaults."""
    return spec.ray or RaySpec()


def ray_cluster(owner: Owner, spec: ModelPoolSpec, platform: Platform) -> dict[str, Any]:
    """All of the cluster that the revision is the hash of, hence without its label and the number of replicas."""
    ray = ray_of(spec)
    return {
        "rayVersion": ray.version,
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {"idleTimeoutSeconds": _IDLE_S, "securityContext": confined()},
        **({"authOptions": {"mode": "token", "secretName": ray.auth_secret}} if ray.auth_secret else {}),
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},  # noqa: S104 # the pod's own
            "template": _head_template(owner, spec, platform),
        },
        "workerGroupSpecs": [
            {
                "groupName": "worker",
                "minReplicas": 0,
                "maxReplicas": _MOST_NODES,
                "rayStartParams": {"resources": f'"{{\\"{_SLOT}\\": 1}}"'},
                "template": _worker_template(owner, spec, platform),
            }
        ],
    }


def _worker_template(owner: Owner, spec: ModelPoolSpec, platform: Platform) -> dict[str, Any]:
    """Without probes for start and life: KubeRay adds those of Ray's node, which lives also where it holds no replica."""
    volumes, mounts = worker_storage(owner, spec, platform)
    worker = {
        **container(spec, platform),
        "env": environment(spec, platform, _ray_env(spec)),
        "ports": ports(platform),
        "resources": worker_resources(spec),
        "volumeMounts": mounts,
        "readinessProbe": readiness(platform, on_pod_ip=True),
        "lifecycle": {"preStop": {"exec": {"command": ["python", "-m", "workers.ray.drain"]}}},
    }
    return {
        "metadata": {"labels": pod_labels(owner)},
        "spec": {
            **worker_pod(owner, spec, platform),
            "terminationGracePeriodSeconds": spec.drain_seconds + _LEAVING_S,
            "containers": [worker],
            "volumes": volumes,
        },
    }


def _head_template(owner: Owner, spec: ModelPoolSpec, platform: Platform) -> dict[str, Any]:
    """It holds no replica, so it needs no GPU node. Its service account is KubeRay's: the autoscaler in it makes pods."""
    ray = ray_of(spec)
    volumes, mounts = scratch()
    head = {
        **container(spec, platform),
        "name": "head",
        "env": [{"name": name, "value": value} for name, value in {**HOME, **_ray_env(spec)}.items()],
        "resources": resources(ray.head_cpu, ray.head_memory, {}),
        "volumeMounts": mounts,
    }
    return {
        "metadata": {"labels": {MANAGED_BY[0]: MANAGED_BY[1], RAY_HEAD_LABEL: owner.name}},
        "spec": {**confined_pod(platform), "containers": [head], "volumes": volumes},
    }


def _ray_env(spec: ModelPoolSpec) -> dict[str, str]:
    """Never left to Ray to guess. With a token KubeRay sets the mode itself."""
    return {"RAY_USAGE_STATS_ENABLED": "0", **({} if ray_of(spec).auth_secret else {"RAY_AUTH_MODE": "disabled"})}


def _serve_config(spec: ModelPoolSpec, platform: Platform, replicas: int) -> str:
    """Sorted, since KubeRay sends it again whenever the text differs. The number of replicas is not in `args`: there it would
    restart every replica."""
    application = {
        "name": APPLICATION,
        "import_path": "workers.ray_app:app",
        "route_prefix": None,
        "args": {"config": worker_config(spec, platform), "nodes": ray_of(spec).nodes, "gpus": gpus_per_pod(spec)},
        "deployments": [{"name": APPLICATION, "num_replicas": replicas}],
    }
    return yaml.safe_dump({"proxy_location": "HeadOnly", "applications": [application]}, sort_keys=True, allow_unicode=True)
