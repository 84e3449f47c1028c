"""Where a pool's weights are kept between starts: the claim, and how pods mount it."""

from typing import Any

from controlplane.manifests.owner import Owner, metadata
from controlplane.manifests.quantity import canonical
from controlplane.resources.model_pool import ModelCache
from controlplane.world import Platform

VOLUME = "models"
# What is kept of a revision has no size of the claim: that outlives revisions and may have grown since. This stands for it: one
# byte, which nobody can want.
SIZE_AS_IT_IS = "1"


def cache_claim(owner: Owner, cache: ModelCache, platform: Platform) -> dict[str, Any] | None:
    """The claim that the pool's replicas share; None where none is to be made."""
    if cache.claim_size is None or canonical(cache.claim_size) == SIZE_AS_IT_IS:
        return None
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(owner, platform, owner.claim),
        "spec": {
            "accessModes": [cache.access_mode],
            "resources": {"requests": {"storage": canonical(cache.claim_size)}},
            **({"storageClassName": cache.storage_class} if cache.storage_class else {}),
        },
    }


def cache_volume(owner: Owner, cache: ModelCache, pull_policy: str) -> dict[str, Any]:
    """The pod's volume: the weights' image, or the claim."""
    if cache.image is not None:
        return {"name": VOLUME, "image": {"reference": cache.image, "pullPolicy": pull_policy}}
    return {"name": VOLUME, "persistentVolumeClaim": {"claimName": cache.existing_claim or owner.claim}}


def cache_mount(cache: ModelCache) -> dict[str, Any]:
    """The container's mount."""
    return {"name": VOLUME, "mountPath": cache.mount_path, **({} if writable(cache) else {"readOnly": True})}


def writable(cache: ModelCache) -> bool:
    """Whether what a worker downloads stays there."""
    return cache.image is None and cache.access_mode != "ReadOnlyMany"
