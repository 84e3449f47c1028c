"""Worlds for tests of planning: a small pool, its pods, and a cluster that does what a Deployment would."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from controlplane.manifests.children import children
from controlplane.manifests.owner import Owner, ref_of
from controlplane.manifests.revision import revision_data, revision_of
from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.resources.status import ModelPoolStatus
from controlplane.world import Object, Plan, Platform, PodSeen, World

NOW_S = 1_800_000_000.0
OWNER = Owner("models", "chat", "0d6f1c9a-3c52-4b7e-9a39-1f6c2f0c8a11")
PLATFORM = Platform(
    worker_image="headgate/worker:1", has=frozenset({"RayService", "InferencePool"}), endpoint_picker="picker:9002"
)
PLAIN: dict[str, Any] = {"model": {"name": "sim"}, "tier": "small", "engine": {"kind": "simulated"}}


def spec(**more: Any) -> ModelPoolSpec:
    """The plain pool with these fields besides, named as in the resource."""
    return ModelPoolSpec.model_validate(PLAIN | more)


def revision(of: ModelPoolSpec) -> str:
    return revision_of(of, PLATFORM)


def world(of: ModelPoolSpec, status: ModelPoolStatus | None = None, **more: Any) -> World:
    """A pool that nothing was made for yet, unless `more` says otherwise."""
    known: dict[str, Any] = {"generation": 1, "now_s": NOW_S}
    return World(
        namespace=OWNER.namespace, name=OWNER.name, uid=OWNER.uid, spec=of, status=status or ModelPoolStatus(), **known | more
    )


def pods(of: ModelPoolSpec | str, count: int, *, since_s: float | None = NOW_S - 600, prefix: str = "") -> tuple[PodSeen, ...]:
    """Pods of that spec (or revision), ready since that time, a minute after they were made; None: not ready."""
    name = of if isinstance(of, str) else revision(of)
    made_s = (NOW_S if since_s is None else since_s) - 60
    return tuple(
        PodSeen(f"{prefix}{name}-{at}", name, created_s=made_s, ready=since_s is not None, ready_since_s=since_s)
        for at in range(count)
    )


def kept(*specs: ModelPoolSpec) -> dict[str, Object]:
    """World.revisions with these."""
    return {revision(one): revision_data(one, PLATFORM) for one in specs}


def after(before: World, plan: Plan, **more: Any) -> World:
    """The world once the plan was carried out and written down: its objects are there, and its status."""
    made = {ref_of(child): child for child in plan.apply}
    there = {ref: seen for ref, seen in (*before.children.items(), *made.items()) if ref not in plan.delete}
    return replace(before, status=plan.status, children=there, revisions={**before.revisions, **_kept_in(there)}, **more)


def settled(of: ModelPoolSpec, plan_for: Any, count: int | None = None, **more: Any) -> World:
    """A pool whose replicas are all ready and of this spec, as the plans themselves got it there."""
    first = world(of, **more)
    made = plan_for(first, PLATFORM)
    running = pods(of, of.replicas if count is None else count)
    second = after(first, made, pods=running)
    return after(second, plan_for(second, PLATFORM))


def made_for(of: ModelPoolSpec, replicas: int = 1) -> dict[Any, Object]:
    """World.children, as they are made for this spec."""
    return {ref_of(child): child for child in children(OWNER, of, PLATFORM, replicas, 0)}


def condition(status: ModelPoolStatus, kind: str) -> tuple[str, str]:
    """Status and reason of that condition."""
    [found] = [condition for condition in status.conditions if condition.type == kind]
    return found.status, found.reason


def workload(plan: Plan) -> Mapping[str, Any]:
    """The spec of the Deployment in the plan."""
    [found] = [child for child in plan.apply if child["kind"] == "Deployment"]
    return found["spec"]


def _kept_in(there: Mapping[Any, Object]) -> dict[str, Object]:
    return {
        ref.name.removeprefix(f"{OWNER.name}-"): seen["data"] for ref, seen in there.items() if ref.kind == "ControllerRevision"
    }
