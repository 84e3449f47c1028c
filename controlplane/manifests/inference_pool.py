"""The pool for Gateway API gateways: inference.networking.k8s.io/v1 InferencePool."""

from typing import Any

from controlplane.manifests.owner import Owner, metadata
from controlplane.world import Platform

API = "inference.networking.k8s.io/v1"
_PICKER_PORT = 9002  # the endpoint pickers' custom


def inference_pool(owner: Owner, platform: Platform) -> dict[str, Any]:
    """Gateways speak HTTP/2 in plain text to the replicas, and refuse requests while nobody picks: at random they would land on
    replicas without their prefix, and past every limit."""
    return {
        "apiVersion": API,
        "kind": "InferencePool",
        "metadata": metadata(owner, platform, owner.name),
        "spec": {
            "selector": {"matchLabels": owner.selector},
            "targetPorts": [{"number": platform.worker_port}],
            "appProtocol": "kubernetes.io/h2c",
            **({"endpointPickerRef": _picker(platform.endpoint_picker)} if platform.endpoint_picker else {}),
        },
    }


def _picker(service: str) -> dict[str, Any]:
    """`service` is a Service in the pool's namespace, as name or name:port."""
    name, _, port = service.partition(":")
    return {"kind": "Service", "name": name, "port": {"number": int(port or _PICKER_PORT)}, "failureMode": "FailClose"}
