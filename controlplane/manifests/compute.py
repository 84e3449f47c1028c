"""What one pod asks of a node."""

from typing import Any

from controlplane.manifests.quantity import canonical
from controlplane.resources.model_pool import Hardware, ModelPoolSpec

_HOST, _ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
_APART = {"none": (), "hosts": (_HOST,), "zones": (_ZONE, _HOST)}


def gpus_per_pod(spec: ModelPoolSpec) -> int:
    """GPUs of one pod. A pod that is a whole replica of several ranks has one for each, unless the pool says more."""
    ranks = spec.parallelism.tensor * spec.parallelism.pipeline
    return ranks if spec.hardware.gpus == 0 and ranks > 1 and spec.runtime == "Deployment" else spec.hardware.gpus


def gpus_per_replica(spec: ModelPoolSpec) -> int:
    """GPUs of everything that answers as one; with RayService it may span pods."""
    return gpus_per_pod(spec) * (spec.ray.nodes if spec.runtime == "RayService" and spec.ray is not None else 1)


def worker_resources(spec: ModelPoolSpec) -> dict[str, Any]:
    """Of the worker's container."""
    gpus = gpus_per_pod(spec)
    devices = {spec.hardware.gpu_resource: str(gpus)} if gpus else {}
    return resources(spec.hardware.cpu, spec.hardware.memory, devices)


def resources(cpu: str, memory: str, devices: dict[str, str]) -> dict[str, Any]:
    """Memory and devices are bounded by what is asked for. CPU is not: a limit would throttle the engine's own thread in the
    middle of a step, while cores idle."""
    fixed = {"memory": canonical(memory), **devices}
    return {"requests": {"cpu": canonical(cpu), **fixed}, "limits": fixed}


def tolerations(hardware: Hardware, gpus: int) -> list[dict[str, str]]:
    """The pool's own, and for GPU pods the taint that keeps others away from GPU nodes."""
    given = [{name: value for name, value in one.model_dump().items() if value} for one in hardware.tolerations]
    own = {"key": hardware.gpu_resource, "operator": "Exists"}
    return [*given, own] if gpus and own not in given else given


def spread(hardware: Hardware, selector: dict[str, str]) -> list[dict[str, Any]]:
    """Replicas go apart as far as there is room; a replica too many on a node is better than none."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector},
        }
        for key in _APART[hardware.spread]
    ]
