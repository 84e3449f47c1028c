"""What a pool's status says in conditions, by metav1.Condition's rules: each reason is a name that tools may match.

| type | True | False |
|---|---|---|
| Accepted | Accepted | the finding that stops (facts.py) |
| Progressing | RollingOut, RollingBack, ScalingUp, ScalingDown, ReplicasStarting | Settled, ScaledToZero, NotAccepted, fault |
| Available | MinimumReplicasReady, ScaledToZero | TooFewReplicas, NoReplicaReady, RayNotAnswering |
| Degraded | the first finding, RolledBack, or a fault of the rollout | AsWanted |

Available counts ready replicas against the floor: minReplicas where load decides, else as many as are wanted; at least one,
unless none is wanted.
"""

from collections.abc import Sequence

from controlplane.planning.facts import Finding
from controlplane.planning.rollout import Step
from controlplane.resources.conditions import rfc3339, with_conditions
from controlplane.resources.status import Condition, ConditionType
from controlplane.world import World

_STOPPED = (False, "NotAccepted", "nothing is changed until the pool is accepted")


def conditions_of(world: World, found: Sequence[Finding], step: Step, wanted: int) -> list[Condition]:
    """The pool's conditions, with transition times kept where nothing turned."""
    stops = next((finding for finding in found if finding.stops), None)
    faults = [*found, *_rollout_findings(step)]
    said: dict[ConditionType, tuple[bool, str, str]] = {
        "Accepted": (False, stops.reason, stops.message) if stops else (True, "Accepted", ""),
        "Progressing": _STOPPED if stops else _progressing(step, wanted),
        "Available": _available(world, faults, step, wanted),
        "Degraded": _degraded(faults),
    }
    now = [
        Condition(
            type=kind,
            status="True" if holds else "False",
            reason=reason,
            message=message,
            observed_generation=world.generation,
            last_transition_time=rfc3339(world.now_s),
        )
        for kind, (holds, reason, message) in said.items()
    ]
    return with_conditions(world.status.conditions, now)


def floor_of(world: World, wanted: int) -> int:
    """Ready replicas below which the pool is not available."""
    autoscaling = world.spec.autoscaling
    if autoscaling is None or autoscaling.mode == "External":
        return wanted
    return min(wanted, max(1, autoscaling.min_replicas))


def _rollout_findings(step: Step) -> list[Finding]:
    found = []
    if step.target.refused:
        text = f"revision {step.status.failed_revision} was taken back, {step.status.stable_revision} runs"
        advice = "change the spec, or set annotation headgate.dev/retry to a new value"
        found.append(Finding("RolledBack", f"{text}: {step.status.reason}; {advice}"))
    if step.fault:
        found.append(Finding(step.fault, step.message))
    return found


def _progressing(step: Step, wanted: int) -> tuple[bool, str, str]:
    seen = step.seen
    if step.fault:
        return False, step.fault, step.message
    if step.state == "Rolling" and step.status.stable_revision and wanted:
        return True, "RollingOut", f"to {step.target.revision}: {seen.updated_ready} of {wanted} replicas are ready"
    if seen.others:
        back = "RollingBack" if step.state == "RolledBack" else "RollingOut"
        return True, back, f"{seen.others} replicas of other revisions are left"
    if wanted > seen.replicas:
        return True, "ScalingUp", f"from {seen.replicas} to {wanted} replicas"
    if wanted < seen.replicas:
        return True, "ScalingDown", f"from {seen.replicas} to {wanted} replicas"
    if seen.ready < wanted:
        return True, "ReplicasStarting", f"{seen.ready} of {wanted} replicas are ready"
    return False, "Settled" if wanted else "ScaledToZero", ""


def _available(world: World, faults: Sequence[Finding], step: Step, wanted: int) -> tuple[bool, str, str]:
    silent = next((finding for finding in faults if finding.reason == "RayNotAnswering"), None)
    if silent is not None:
        return False, silent.reason, silent.message
    ready, floor = step.seen.ready, floor_of(world, wanted)
    if wanted == 0:
        return True, "ScaledToZero", "the next request starts a replica" if world.spec.autoscaling else "no replica is wanted"
    if ready == 0:
        return False, "NoReplicaReady", f"0 of {wanted} replicas are ready"
    if ready < floor:
        return False, "TooFewReplicas", f"{ready} replicas are ready, {floor} are the least"
    return True, "MinimumReplicasReady", f"{ready} replicas are ready, {floor} are the least"


def _degraded(faults: Sequence[Finding]) -> tuple[bool, str, str]:
    if not faults:
        return False, "AsWanted", ""
    return True, faults[0].reason, "; ".join(f"{fault.reason}: {fault.message}" for fault in faults)[:32768]
