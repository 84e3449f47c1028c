"""A worker's pod: what is the same whatever runs it. Meets the Pod Security Standard "restricted"."""

from typing import Any

from controlplane.manifests.cache_claim import cache_mount, cache_volume
from controlplane.manifests.compute import gpus_per_pod, spread, tolerations
from controlplane.manifests.environment import SCRATCH
from controlplane.manifests.owner import Owner
from controlplane.manifests.quantity import canonical
from controlplane.manifests.worker_config import TLS_FOLDER
from controlplane.names import WORKER_PORT_NAME
from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.world import Platform

LEAVING_S = 5  # between the endpoint's leaving and SIGTERM: routers hear of the one before the other
GRACE_S = 10  # beyond draining: the above, and the engine's own end
_USER = 65532
_READ_BY_GROUP = 0o440


def image_of(spec: ModelPoolSpec, platform: Platform) -> str:
    """The worker's image."""
    return spec.engine.image or platform.worker_image


def container(spec: ModelPoolSpec, platform: Platform) -> dict[str, Any]:
    """What every container of ours has; the caller adds what it is for."""
    return {
        "name": "worker",
        "image": image_of(spec, platform),
        "imagePullPolicy": platform.image_pull_policy,
        "securityContext": {**confined(), "readOnlyRootFilesystem": True},
    }


def confined() -> dict[str, Any]:
    """A container's rights: none."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def ports(platform: Platform) -> list[dict[str, Any]]:
    """The worker's one port."""
    return [{"name": WORKER_PORT_NAME, "containerPort": platform.worker_port, "protocol": "TCP"}]


def confined_pod(platform: Platform) -> dict[str, Any]:
    """What every pod of ours has. No service links: a Service named vllm would set VLLM_PORT, which vLLM reads as its own."""
    secrets = [{"name": name} for name in platform.image_pull_secrets]
    return {
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "fsGroupChangePolicy": "OnRootMismatch",  # a claim full of weights is not walked through at every start
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **({"imagePullSecrets": secrets} if secrets else {}),
    }


def worker_pod(owner: Owner, spec: ModelPoolSpec, platform: Platform) -> dict[str, Any]:
    """The pod of a worker, without its containers, volumes and grace."""
    tolerated = tolerations(spec.hardware, gpus_per_pod(spec))
    spreading = spread(spec.hardware, owner.selector)
    return {
        **confined_pod(platform),
        "automountServiceAccountToken": False,
        **({"serviceAccountName": platform.service_account} if platform.service_account else {}),
        **({"nodeSelector": dict(spec.hardware.node_selector)} if spec.hardware.node_selector else {}),
        **({"tolerations": tolerated} if tolerated else {}),
        **({"topologySpreadConstraints": spreading} if spreading else {}),
    }


def scratch() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Volumes and mounts of what is writable beside a read-only root."""
    places = {"tmp": "/tmp", "scratch": SCRATCH}  # noqa: S108 # the container's own
    return [{"name": name, "emptyDir": {}} for name in places], [
        {"name": name, "mountPath": path} for name, path in places.items()
    ]


def worker_storage(owner: Owner, spec: ModelPoolSpec, platform: Platform) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A worker's volumes and mounts."""
    volumes, mounts = scratch()
    if spec.hardware.shared_memory is not None:
        size = canonical(spec.hardware.shared_memory)
        volumes.append({"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": size}})
        mounts.append({"name": "shared-memory", "mountPath": "/dev/shm"})  # noqa: S108
    if spec.cache is not None:
        volumes.append(cache_volume(owner, spec.cache, platform.image_pull_policy))
        mounts.append(cache_mount(spec.cache))
    if platform.tls_secret:
        volumes.append({"name": "tls", "secret": {"secretName": platform.tls_secret, "defaultMode": _READ_BY_GROUP}})
        mounts.append({"name": "tls", "mountPath": TLS_FOLDER, "readOnly": True})
    return volumes, mounts
