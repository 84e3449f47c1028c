"""Objects of ours for tests on a cluster, and what is to be read of them."""

import json
from pathlib import Path
from typing import Any

from tests.kube.cluster.cluster import Cluster
from tests.kube.cluster.rest import ApiError

API = "headgate.dev/v1alpha1"
CRDS = Path("helm/crds")
RESOURCES = f"/apis/{API}/namespaces"
PLURALS = {
    "ModelPool": f"/apis/{API}",
    "Tenant": f"/apis/{API}",
    "RoutingPolicy": f"/apis/{API}",
    "Deployment": "/apis/apps/v1",
    "ControllerRevision": "/apis/apps/v1",
    "Service": "/api/v1",
    "Pod": "/api/v1",
    "PersistentVolumeClaim": "/api/v1",
    "PodDisruptionBudget": "/apis/policy/v1",
    "EndpointSlice": "/apis/discovery.k8s.io/v1",
}


def pool(name: str, replicas: int = 1, model: str = "", **spec: Any) -> dict[str, Any]:
    """A ModelPool on the simulated engine."""
    engine = {"kind": "simulated", "args": {"shortest_answer_tokens": 5, "longest_answer_tokens": 20}, **spec.pop("engine", {})}
    wanted = {"model": {"name": model or f"{name}-model"}, "tier": "small", "engine": engine, "replicas": replicas, **spec}
    wanted.setdefault("hardware", {"cpu": "100m", "memory": "256Mi"})
    wanted.setdefault("rollout", {"warmSeconds": 0})
    wanted.setdefault("drainSeconds", 2)
    return {"apiVersion": API, "kind": "ModelPool", "metadata": {"name": name}, "spec": wanted}


def tenant(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": API, "kind": "Tenant", "metadata": {"name": name}, "spec": spec}


def secret(name: str, **values: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


class View:
    """One namespace of the cluster, to be asked."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """The object; None where there is none."""
        try:
            return self.cluster.rest("GET", self._path(kind, name))
        except ApiError as fault:
            if fault.status == 404:
                return None
            raise

    def all(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        query = f"?labelSelector={selector}" if selector else ""
        return list(self.cluster.rest("GET", self._path(kind) + query)["items"])

    def apply(self, *objects: dict[str, Any]) -> None:
        self.cluster.apply(*objects, namespace=self.namespace)

    def patch(self, kind: str, name: str, change: dict[str, Any], part: str = "") -> None:
        """A merge patch."""
        extra = [f"--subresource={part}"] if part else []
        plural = kind.lower() if kind not in ("ModelPool", "Tenant") else f"{kind.lower()}s.headgate.dev"
        self.cluster.kubectl("patch", plural, name, "-n", self.namespace, "--type=merge", "-p", json.dumps(change), *extra)

    def delete(self, kind: str, name: str) -> None:
        self.cluster.rest("DELETE", self._path(kind, name))

    def condition(self, name: str, kind: str, of: str = "ModelPool") -> tuple[str, str, str]:
        """Status, reason and message of a condition; three empty strings while it isn't there."""
        seen = self.get(of, name) or {}
        for condition in seen.get("status", {}).get("conditions", ()):
            if condition["type"] == kind:
                return condition["status"], condition["reason"], condition.get("message", "")
        return "", "", ""

    def is_available(self, name: str) -> bool:
        seen = self.get("ModelPool", name) or {}
        current = seen.get("status", {}).get("observedGeneration") == seen.get("metadata", {}).get("generation")
        return current and self.condition(name, "Available")[0] == "True" and self.condition(name, "Progressing")[0] == "False"

    def pods(self, pool: str) -> list[dict[str, Any]]:
        """Pods of the pool that are not on their way out."""
        return [pod for pod in self.all("Pod", f"headgate.dev/pool={pool}") if "deletionTimestamp" not in pod["metadata"]]

    def ready_pods(self, pool: str) -> list[dict[str, Any]]:
        return [pod for pod in self.pods(pool) if {"type": "Ready", "status": "True"}.items() <= _ready(pod).items()]

    def _path(self, kind: str, name: str = "") -> str:
        plural = {"RoutingPolicy": "routingpolicies"}.get(kind, f"{kind.lower()}s")
        return f"{PLURALS[kind]}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")


def _ready(pod: dict[str, Any]) -> dict[str, Any]:
    return next((c for c in pod["status"].get("conditions", ()) if c["type"] == "Ready"), {})
