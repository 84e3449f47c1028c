"""Events for people: what changed between the status before and the one planned now. The same status tells nothing twice."""

from collections.abc import Iterator

from controlplane.resources.status import Condition, ModelPoolStatus, RolloutStatus, ScalingStatus
from controlplane.world import Note


def notes(before: ModelPoolStatus, after: ModelPoolStatus) -> tuple[Note, ...]:
    """In the order in which they happened, as far as that is known."""
    return (
        *_rollout(before.rollout or RolloutStatus(), after.rollout or RolloutStatus()),
        *_scaling(before.scaling, after.scaling),
        *_conditions(before, after),
    )


def _rollout(before: RolloutStatus, after: RolloutStatus) -> Iterator[Note]:
    if after.failed_revision and (after.failed_revision, after.failed_retry) != (before.failed_revision, before.failed_retry):
        yield Note("Warning", "RolledBack", f"{after.failed_revision} taken back to {after.revision}: {after.reason}")
    elif after.revision != before.revision:
        came = f" from {before.revision}" if before.revision else ""
        yield Note("Normal", "RolloutStarted", f"to {after.revision}{came}")
    if after.stable_revision != before.stable_revision:
        yield Note("Normal", "RolloutCompleted", f"all replicas are of {after.stable_revision}")


def _scaling(before: ScalingStatus | None, after: ScalingStatus | None) -> Iterator[Note]:
    if before is None or after is None or before.desired_replicas == after.desired_replicas:
        return
    change = "ScaledUp" if after.desired_replicas > before.desired_replicas else "ScaledDown"
    yield Note("Normal", change, f"from {before.desired_replicas} to {after.desired_replicas} replicas: {after.reason}")


def _conditions(before: ModelPoolStatus, after: ModelPoolStatus) -> Iterator[Note]:
    for kind, bad in (("Accepted", "False"), ("Degraded", "True")):
        old, new = _condition(before, kind), _condition(after, kind)
        if new is None or (old is not None and (old.status, old.reason) == (new.status, new.reason)):
            continue
        if new.status == bad and new.reason not in ("RolledBack", _reason(after, "Accepted") if kind == "Degraded" else ""):
            yield Note("Warning", new.reason, new.message)
        elif old is not None and old.status == bad and new.status != bad:
            yield Note("Normal", "Accepted" if kind == "Accepted" else "Recovered", f"no longer {old.reason}")


def _condition(status: ModelPoolStatus, kind: str) -> Condition | None:
    return next((condition for condition in status.conditions if condition.type == kind), None)


def _reason(status: ModelPoolStatus, kind: str) -> str:
    condition = _condition(status, kind)
    return condition.reason if condition is not None else ""
