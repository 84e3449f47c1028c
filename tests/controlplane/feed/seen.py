"""Values that the tests of the feed start from."""

from hashlib import sha256
from typing import Any

from controlplane.feed.model import EndpointSeen, PolicySeen, PoolSeen, TenantSeen
from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.resources.routing_policy import RoutingPolicySpec
from controlplane.resources.tenant import TenantSpec


def pool(name: str, *endpoints: EndpointSeen | str, created_s: float = 1.0, namespace: str = "ns", **more: Any) -> PoolSeen:
    """A pool whose model is called after it; an endpoint given by its pod is ready. Fields of the spec are as in YAML."""
    accepted = more.pop("accepted", True)
    spec = ModelPoolSpec.model_validate({"model": {"name": f"{name}-model"}, "tier": "small", **more})
    seen = tuple(endpoint(e) if isinstance(e, str) else e for e in endpoints)
    return PoolSeen(namespace, name, created_s, spec, accepted, seen)


def endpoint(pod: str, address: str = "10.0.0.1", port: int = 7000, **more: Any) -> EndpointSeen:
    return EndpointSeen(pod, address, port, **more)


def tenant(name: str, *keys: str | None, created_s: float = 1.0, namespace: str = "ns", **spec: Any) -> TenantSeen:
    """`keys` are the API keys themselves; None for one that its Secret lacks."""
    named = [{"secret": {"name": "keys", "key": f"k{number}"}} for number, _ in enumerate(keys)]
    digests = tuple(None if key is None else digest(key) for key in keys)
    return TenantSeen(namespace, name, created_s, TenantSpec.model_validate({"keys": named, **spec}), digests)


def policy(name: str, created_s: float = 1.0, namespace: str = "ns", **spec: Any) -> PolicySeen:
    return PolicySeen(namespace, name, created_s, RoutingPolicySpec.model_validate(spec))


def digest(key: str) -> bytes:
    return sha256(key.encode()).digest()
