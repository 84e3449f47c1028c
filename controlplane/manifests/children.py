"""Everything that Kubernetes must have for one pool, and what it need no longer have."""

from collections.abc import Mapping
from typing import Any

from controlplane.manifests.cache_claim import cache_claim
from controlplane.manifests.deployment import deployment
from controlplane.manifests.disruption import disruption_budget
from controlplane.manifests.inference_pool import API as INFERENCE_API
from controlplane.manifests.inference_pool import inference_pool
from controlplane.manifests.owner import Owner, owns, ref_of
from controlplane.manifests.ray_service import API as RAY_API
from controlplane.manifests.ray_service import ray_service
from controlplane.manifests.revision import controller_revision, revision_data, revision_of, spec_at
from controlplane.manifests.service import service
from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.world import Object, Platform, Ref

__all__ = ["Owner", "children", "obsolete"]

# What goes as soon as it is not wanted. Claims do not: weights took hours to download, and a pool that drops its claim by
# mistake, or is rolled back to it, wants them again. ControllerRevisions do not: which of them may go is the rollout's to say.
# Both go with the pool itself, by their owner reference.
_GOES = frozenset(
    {
        ("apps/v1", "Deployment"),
        (RAY_API, "RayService"),
        ("v1", "Service"),
        ("policy/v1", "PodDisruptionBudget"),
        (INFERENCE_API, "InferencePool"),
    }
)


def children(
    owner: Owner, spec: ModelPoolSpec, platform: Platform, replicas: int, min_ready_s: int
) -> tuple[dict[str, Any], ...]:
    """The pool's objects in the order in which they are applied: what the pods need stands before the pods. `min_ready_s`: how
    long a new replica serves before an old one may go."""
    spec = spec_at(spec, revision_data(spec, platform))
    revision = revision_of(spec, platform)
    wanted = [
        controller_revision(owner, spec, platform, revision),
        cache_claim(owner, spec.cache, platform) if spec.cache else None,
        service(owner, platform),
        disruption_budget(owner, spec, platform, replicas),
        ray_service(owner, spec, platform, revision, replicas)
        if spec.runtime == "RayService"
        else deployment(owner, spec, platform, revision, (replicas, min_ready_s)),
        inference_pool(owner, platform) if spec.inference_pool else None,
    ]
    return tuple(child for child in wanted if child is not None)


def obsolete(owner: Owner, spec: ModelPoolSpec, platform: Platform, seen: Mapping[Ref, Object]) -> tuple[Ref, ...]:
    """Of what is seen, what this pool made and no longer wants."""
    wanted = {ref_of(child) for child in children(owner, spec, platform, replicas=0, min_ready_s=0)}
    gone = (ref for ref, child in seen.items() if (ref.api, ref.kind) in _GOES and ref not in wanted and owns(owner, child))
    return tuple(sorted(gone, key=lambda ref: (ref.api, ref.kind, ref.name)))
