"""World → Plan: the whole of reconcile's thinking, pure. The same world gives the same plan, whoever asked before.

rollout → scale → children → facts → conditions → status → requeue. A pool that is being deleted needs nothing: its children
have it as their owner, and go with it.
"""

from collections.abc import Sequence

from controlplane.manifests.children import children, obsolete
from controlplane.manifests.owner import Owner, owns, ref_of
from controlplane.names import POOL_LABEL
from controlplane.planning.conditions import conditions_of
from controlplane.planning.facts import Finding, findings, inference_pool_possible, ray_due_s
from controlplane.planning.notes import notes
from controlplane.planning.rollout import Step, Target, advance, is_changing, target_of, wanted_until_now, with_rollout
from controlplane.planning.scale import scale
from controlplane.planning.seen import seen_of
from controlplane.resources.status import ModelPoolStatus, RolloutStatus, ScalingStatus
from controlplane.world import Plan, Platform, Ref, World

LOOK_AGAIN_S = 30.0  # for what no watch tells of
UNWATCHED = ("SecretNotFound", "NameTaken", "RuntimeMissing", "InferencePoolMissing")  # Secrets, objects of others, other APIs
RAY_LOOK_S = 10.0  # likewise of how Ray stands
SOONEST_S = 0.1
REVISIONS_KEPT = 5  # for people who look; what a rollback needs is kept besides


def plan(world: World, platform: Platform) -> Plan:
    """What to do about one ModelPool now. What is wrong with the world is said in the status; nothing is raised for it."""
    if world.deleting:
        return Plan((), (), world.status)
    target = target_of(world, platform)
    step = advance(world, platform, target, wanted_until_now(world))
    sized = scale(world, step.target.revision, is_changing(step))
    step = advance(with_rollout(world, step.status), platform, step.target, sized.replicas)
    owner = Owner(world.namespace, world.name, world.uid)
    made = children(owner, step.target.spec, platform, sized.replicas, step.min_ready_s)
    found = findings(world, platform, frozenset(map(ref_of, made)))
    if any(finding.stops for finding in found):
        return _stopped(world, target, found)
    status = _status(world, found, step, sized.status)
    return Plan(
        apply=tuple(child for child in made if child["kind"] != "InferencePool" or inference_pool_possible(platform)),
        delete=(*obsolete(owner, step.target.spec, platform, world.children), *_spare_revisions(world, owner, step.status)),
        status=status,
        notes=notes(world.status, status),
        requeue_after_s=_wait_s(world, found, step.next_s, sized.next_s),
    )


def _stopped(world: World, target: Target, found: Sequence[Finding]) -> Plan:
    """Nothing new is applied. The rollout's clock stands, and starts anew once the pool is accepted."""
    rollout = world.status.rollout or RolloutStatus()
    if rollout.stable_revision != rollout.revision:
        rollout = rollout.model_copy(update={"progressed_time": None})
    step = Step("Stable", target, seen_of(world, target.revision), rollout)
    unscaled = ScalingStatus(desired_replicas=world.spec.replicas, reason="NotAccepted")
    status = _status(world, found, step, world.status.scaling or unscaled)
    return Plan((), (), status, notes(world.status, status), _wait_s(world, found))


def _status(world: World, found: Sequence[Finding], step: Step, scaling: ScalingStatus) -> ModelPoolStatus:
    seen = step.seen
    return ModelPoolStatus(
        observed_generation=world.generation,
        replicas=seen.replicas,
        ready=f"{seen.ready}/{scaling.desired_replicas}",
        ready_replicas=seen.ready,
        updated_replicas=seen.updated,
        available_replicas=seen.ready - step.warming,
        selector=f"{POOL_LABEL}={world.name}",
        scaling=scaling,
        rollout=step.status,
        conditions=conditions_of(world, found, step, scaling.desired_replicas),
    )


def _spare_revisions(world: World, owner: Owner, rollout: RolloutStatus) -> list[Ref]:
    """Old ControllerRevisions: neither needed for going on or back, nor among the newest."""
    needed = {f"{world.name}-{revision}" for revision in (rollout.revision, rollout.stable_revision, rollout.failed_revision)}
    ours = [(ref, seen) for ref, seen in world.children.items() if ref.kind == "ControllerRevision" and owns(owner, seen)]
    ours.sort(key=lambda entry: (str(entry[1]["metadata"].get("creationTimestamp", "")), entry[0].name), reverse=True)
    return [ref for ref, _ in ours[REVISIONS_KEPT:] if ref.name not in needed]


def _wait_s(world: World, found: Sequence[Finding], *moments: float | None) -> float | None:
    """Until the earliest moment at which the plan could change without an event; None: there is none."""
    due = [moment for moment in (*moments, ray_due_s(world.ray)) if moment is not None and moment > world.now_s]
    if world.spec.runtime == "RayService":
        due.append(world.now_s + RAY_LOOK_S)
    if any(finding.reason in UNWATCHED for finding in found):
        due.append(world.now_s + LOOK_AGAIN_S)
    return max(SOONEST_S, min(due) - world.now_s) if due else None
