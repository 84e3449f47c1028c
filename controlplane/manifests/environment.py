"""The environment of a worker's container."""

import json
from collections.abc import Mapping
from typing import Any

from controlplane.manifests.cache_claim import writable
from controlplane.manifests.worker_config import worker_config
from controlplane.resources.model_pool import EnvVar, ModelPoolSpec
from controlplane.world import Platform

WORKER_CONFIG = "HEADGATE_WORKER_CONFIG"
SCRATCH = "/cache"  # writable, and gone with the pod
# The pod's user has no name in most images, and whatever asks for one fails without these.
HOME = {"HOME": SCRATCH, "USER": "headgate"}


def environment(spec: ModelPoolSpec, platform: Platform, more: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Names are unique, as the API demands. The pool's own `env` wins over our habits; what the worker is told by us stands."""
    told: dict[str, dict[str, Any]] = {
        "POD_NAME": {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        "POD_IP": {"valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        WORKER_CONFIG: {"value": _json(worker_config(spec, platform))},
    }
    habits = {name: {"value": value} for name, value in {**HOME, **_hub(spec), **(more or {})}.items()}
    given = {one.name: _source(one) for one in spec.engine.env if one.name not in told}
    return [{"name": name, **source} for name, source in {**told, **habits, **given}.items()]


def _json(value: Any) -> str:
    """Without a dollar sign: Kubernetes would expand $(NAME)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).replace("$", "\\u0024")


def _hub(spec: ModelPoolSpec) -> dict[str, str]:
    """Downloads go where they outlive the pod, if there is such a place."""
    if spec.engine.kind != "vllm":
        return {}
    place = spec.cache.mount_path.rstrip("/") if spec.cache and writable(spec.cache) else SCRATCH
    return {"HF_HOME": f"{place}/huggingface"}


def _source(one: EnvVar) -> dict[str, Any]:
    if one.secret is not None:
        return {"valueFrom": {"secretKeyRef": {"name": one.secret.name, "key": one.secret.key}}}
    return {"value": one.value} if one.value else {}  # the server keeps no empty value
