"""Who decides how many replicas a pool has: the spec, whoever writes /scale, or load; and the GPU budget above them all."""

from dataclasses import dataclass

from controlplane.manifests.compute import gpus_per_replica
from controlplane.planning.autoscale import Now, cold_start_s, desired
from controlplane.planning.seen import seen_of
from controlplane.resources.model_pool import Autoscaling
from controlplane.resources.status import ScalingStatus
from controlplane.world import World

LOOK_EVERY_S = 5.0  # load changes without an event


@dataclass(frozen=True, slots=True)
class Scale:
    """How many `replicas` there are to be. `next_s`: when this may change without an event, in Unix seconds."""

    replicas: int
    status: ScalingStatus
    next_s: float | None = None


def scale(world: World, revision: str, changing: bool) -> Scale:
    """How many replicas of `revision` there are to be; `changing`: old ones are being replaced, so none go for want of load."""
    before = world.status.scaling or ScalingStatus(desired_replicas=world.spec.replicas)
    gpus = gpus_per_replica(world.spec)
    granted = world.granted if gpus else None
    known = {
        "cold_start_seconds": cold_start_s(world.pods, before.cold_start_seconds),
        "gpus_granted": None if granted is None else granted * gpus,
    }
    before = before.model_copy(update=known)
    rule = world.spec.autoscaling
    if rule is None or rule.mode == "External":
        return _told(world.spec.replicas, "Fixed" if rule is None else "External", before, granted)
    decision = desired(world.load, _within(rule, granted), before, Now(world.now_s, seen_of(world, revision).ready, changing))
    limited = granted is not None and granted < rule.max_replicas and decision.reason in ("AtMax", "Bounds")
    status = decision.status.model_copy(update={"reason": "GpuBudget"}) if limited else decision.status
    look_s = world.now_s + LOOK_EVERY_S
    return Scale(decision.replicas, status, min(look_s, decision.next_s or look_s))


def _told(replicas: int, reason: str, before: ScalingStatus, granted: int | None) -> Scale:
    """Somebody else decides; what load-based scaling would need of the past, should it take over, is kept."""
    if granted is not None and granted < replicas:
        replicas, reason = granted, "GpuBudget"
    decided = {"desired_replicas": replicas, "reason": reason}
    forgotten = {"lower_since": None, "higher_since": None, "held_replicas": None, "last_request_time": None}
    return Scale(replicas, before.model_copy(update=decided | forgotten))


def _within(rule: Autoscaling, granted: int | None) -> Autoscaling:
    """The rule with bounds that the budget allows; granted nothing, a pool has no replicas at all."""
    if granted is None or granted >= rule.max_replicas:
        return rule
    return rule.model_copy(update={"max_replicas": granted, "min_replicas": min(rule.min_replicas, granted)})
