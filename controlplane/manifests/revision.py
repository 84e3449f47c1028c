"""What makes a pod, as a hash, and how an earlier one is brought back.

A change of the hash is a rollout, so nothing may be in it that does not end in a pod: no replicas, prices, objectives, no size
of a claim. The default image is in what is kept: a rollback after an upgrade of the installation brings back what worked.
"""

import json
from hashlib import sha256
from typing import Any

from pydantic import create_model

from controlplane.manifests.cache_claim import SIZE_AS_IT_IS
from controlplane.manifests.deployment import pod_template
from controlplane.manifests.owner import Owner, metadata
from controlplane.manifests.pod import image_of
from controlplane.manifests.quantity import canonical
from controlplane.manifests.ray_service import ray_cluster
from controlplane.resources.kube_model import KubeModel
from controlplane.resources.model_pool import Hardware, ModelCache, ModelPoolSpec, RaySpec
from controlplane.world import Object, Platform

_DIGITS = 10
_ANY = Owner("any", "any", "any")  # the pool's name makes no difference between its own revisions
_MAKES_A_POD = ("model", "engine", "speculation", "parallelism", "hardware", "cache", "ray", "drain_seconds", "runtime")
# The same fields, alone: rules between fields also speak of what is not kept, such as the tier.
_FIELDS: dict[str, Any] = {
    name: (ModelPoolSpec.model_fields[name].annotation, ModelPoolSpec.model_fields[name]) for name in _MAKES_A_POD
}
_Kept = create_model("_Kept", __base__=KubeModel, **_FIELDS)


def revision_of(spec: ModelPoolSpec, platform: Platform) -> str:
    """10 hex digits. The rendered pod is in it, so that whatever would restart pods, an upgrade of ours too, is a rollout with
    all its care; the kept data are in it, since a ControllerRevision's can't be changed."""
    kept = revision_data(spec, platform)
    settled = spec_at(spec, kept)
    pod = ray_cluster(_ANY, settled, platform) if spec.runtime == "RayService" else pod_template(_ANY, settled, platform)
    return sha256(json.dumps([kept, pod], sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:_DIGITS]


def revision_data(spec: ModelPoolSpec, platform: Platform) -> dict[str, Any]:
    """What a ControllerRevision keeps: the fields that make a pod, as in the resource, without what is default or absent, and
    with one way of writing each amount."""
    spec = spec.model_copy(
        update={
            "engine": spec.engine.model_copy(update={"image": image_of(spec, platform), "args": _plain(spec.engine.args)}),
            "hardware": _canonical_hardware(spec.hardware),
            "cache": _sizeless(spec.cache),
            "ray": _canonical_ray(spec.ray),
        }
    )
    return spec.model_dump(mode="json", by_alias=True, include=set(_MAKES_A_POD), exclude_none=True, exclude_defaults=True)


def spec_at(spec_now: ModelPoolSpec, data: Object) -> ModelPoolSpec:
    """The pool with an earlier revision's pods, and everything else as it is now. The claim keeps the size it has now; a claim
    that is no longer wanted is still there, since none is ever deleted. Raises ValueError for what is not `revision_data`'s."""
    kept = _Kept.model_validate(data)
    then = {name: getattr(kept, name) for name in _MAKES_A_POD}
    cache, now = then["cache"], spec_now.cache
    if cache is not None and cache.claim_size is not None and now is not None and now.claim_size is not None:
        then["cache"] = cache.model_copy(update={"claim_size": now.claim_size, "storage_class": now.storage_class})
    return spec_now.model_copy(update=then)


def controller_revision(owner: Owner, spec: ModelPoolSpec, platform: Platform, revision: str) -> dict[str, Any]:
    """Keeps what the pods were made from, for a rollback after any restart."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata(owner, platform, f"{owner.name}-{revision}"),
        "revision": 1,  # demanded, and meant for an order that ours need not have: each is known by its hash
        "data": revision_data(spec, platform),
    }


def _sizeless(cache: ModelCache | None) -> ModelCache | None:
    if cache is None or cache.claim_size is None:
        return cache
    return cache.model_copy(update={"claim_size": SIZE_AS_IT_IS, "storage_class": None})


def _canonical_hardware(hardware: Hardware) -> Hardware:
    shared = hardware.shared_memory
    return hardware.model_copy(
        update={
            "cpu": canonical(hardware.cpu),
            "memory": canonical(hardware.memory),
            "shared_memory": None if shared is None else canonical(shared),
        }
    )


def _canonical_ray(ray: RaySpec | None) -> RaySpec | None:
    if ray is None:
        return None
    return ray.model_copy(update={"head_cpu": canonical(ray.head_cpu), "head_memory": canonical(ray.head_memory)})


def _plain(value: Any) -> Any:
    """Whole numbers without a point, as the API server would write them."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
