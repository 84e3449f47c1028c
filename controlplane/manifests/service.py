"""The pool's headless Service: its EndpointSlices are how the control plane learns of replicas."""

from typing import Any

from controlplane.manifests.owner import Owner, metadata
from controlplane.names import WORKER_PORT_NAME
from controlplane.world import Platform


def service(owner: Owner, platform: Platform) -> dict[str, Any]:
    """One port, found by name in each pod. Kubernetes copies the labels to the EndpointSlices."""
    port = {"name": WORKER_PORT_NAME, "port": platform.worker_port, "targetPort": WORKER_PORT_NAME, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(owner, platform, owner.name),
        "spec": {"type": "ClusterIP", "clusterIP": "None", "selector": owner.selector, "ports": [port]},
    }
