"""How a change reaches the replicas, and when it is taken back. All memory is in the status and in ControllerRevisions.

    Stable ──new revision──► Rolling ──all replicas are of it──► Stable
                                └──it fails──► RolledBack (the stable revision runs again) ──new spec, or retry──► Rolling

Kubernetes moves the pods (maxUnavailable 0: never fewer ready than wanted); this decides what is rendered, and how long a new
replica must serve before an old one may go. A revision fails when its replicas answer with errors more often than the old ones
(error_rates.py), or when for progressDeadlineSeconds no more of them became ready than ever before; warmSeconds are added, and
drainSeconds while pods go away, since both are waits on purpose. While no replica is wanted, no clock runs. A first revision
has nothing to go back to: it is told as failing, and goes on trying.
"""

from dataclasses import dataclass, replace
from typing import Literal

from controlplane.manifests.revision import revision_of, spec_at
from controlplane.names import RETRY_ANNOTATION
from controlplane.planning.error_rates import errors_rose, together
from controlplane.planning.seen import Seen, seen_of
from controlplane.resources.conditions import rfc3339, seconds
from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.resources.status import RolloutStatus
from controlplane.world import Platform, PodSeen, RevisionLoad, World

State = Literal["Stable", "Rolling", "RolledBack"]

# A revision's hit ratio is believed once its ready replicas were asked this many tokens each.
WARM_TOKENS_PER_REPLICA = 4096
# A replica serves at least this share of warmSeconds, so that its own requests are in the ratio.
WARM_LEAST_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Target:
    """The revision to run. `refused`: the spec's own revision failed before, so this is the stable one."""

    spec: ModelPoolSpec
    revision: str
    refused: bool


@dataclass(frozen=True, slots=True)
class Step:
    """Where a change stands. `fault` names why it fails, `message` says it to people; both are empty while all goes well.

    min_ready_s   how long a new replica must have been ready before Kubernetes may take an old one away
    warming       new replicas that are ready, but have not served long enough for that
    next_s        when this could be judged differently without an event, in Unix seconds
    """

    state: State
    target: Target
    seen: Seen
    status: RolloutStatus
    min_ready_s: int = 0
    warming: int = 0
    fault: str = ""
    message: str = ""
    next_s: float | None = None


def target_of(world: World, platform: Platform) -> Target:
    """The revision that is to run now: the spec's, or the stable one where the spec's has failed."""
    before, spec = _before(world), world.spec
    own = revision_of(spec, platform)
    failed = before.failed_revision == own and before.failed_retry == _retry(world)
    stable = _kept(world, before.stable_revision)
    if not failed or stable is None:
        return Target(spec, own, refused=False)
    return Target(stable, revision_of(stable, platform), refused=True)


def is_changing(step: Step) -> bool:
    """Whether replicas that serve are being replaced by those of another revision."""
    return step.status.stable_revision not in ("", step.status.revision)


def wanted_until_now(world: World) -> int:
    """Replicas that were wanted before this plan: more of them is scaling, and takes nothing from a change that is complete."""
    scaling = world.status.scaling
    return world.spec.replicas if scaling is None else scaling.desired_replicas


def with_rollout(world: World, rollout: RolloutStatus) -> World:
    """The world in which this is known of the change."""
    return replace(world, status=world.status.model_copy(update={"rollout": rollout}))


def advance(world: World, platform: Platform, target: Target, wanted: int) -> Step:
    """Where the change to `target` stands while `wanted` replicas are to be. Where it fails, the step is the one back."""
    seen = seen_of(world, target.revision)
    status = _recorded(world, target, seen, wanted)
    if status.stable_revision == status.revision:
        return Step("RolledBack" if target.refused else "Stable", target, seen, status)
    fault, message = _fault(world, status, seen, wanted)
    if fault and _may_go_back(world, target, status):
        return advance(*_refusing(world, platform, status, f"{fault}: {message}"), wanted)
    state: State = "RolledBack" if target.refused else "Rolling"
    next_s = None if fault else _next_s(world, status, seen, wanted)
    return Step(state, target, seen, status, *_warm_wait(world, target), fault, message, next_s)


def _recorded(world: World, target: Target, seen: Seen, wanted: int) -> RolloutStatus:
    """The status brought up to what is seen now. What is settled is not judged, and not written again."""
    status, now = _before(world), rfc3339(world.now_s)
    if not target.refused and status.failed_revision:
        status = status.model_copy(update={"failed_revision": "", "failed_retry": "", "reason": ""})
    if status.revision != target.revision:
        begun = {"revision": target.revision, "started_time": now, "progressed_time": now, "ready_most": seen.updated_ready}
        status = status.model_copy(update=begun)
    if 0 < wanted <= seen.updated_ready and seen.others == 0:
        status = status.model_copy(update={"stable_revision": target.revision})
    if status.stable_revision == status.revision:
        return status.model_copy(update={"ready_most": 0})
    if wanted == 0:
        return status.model_copy(update={"progressed_time": None})
    more = seen.updated_ready > status.ready_most or wanted > wanted_until_now(world)
    if more or status.progressed_time is None:
        status = status.model_copy(update={"ready_most": max(status.ready_most, seen.updated_ready), "progressed_time": now})
    return status


def _fault(world: World, status: RolloutStatus, seen: Seen, wanted: int) -> tuple[str, str]:
    """Why the revision fails, as a reason and a message; two empty ones while it does not."""
    rollout = world.spec.rollout
    new = world.load.revisions.get(status.revision, RevisionLoad())
    old = together([load for revision, load in world.load.revisions.items() if revision != status.revision])
    if errors_rose(new, old, rollout.max_error_rate):
        said = f"{new.errors} of {new.requests} requests failed on replicas of {status.revision}"
        return "ErrorRateRose", f"{said}, {old.errors} of {old.requests} on the others"
    due_s = _deadline_s(world, status, seen)
    if seen.updated_ready >= wanted or due_s is None or world.now_s < due_s:
        return "", ""
    said = f"{seen.updated_ready} of {wanted} replicas of {status.revision} are ready, no more within {_patience_s(world)} s"
    troubled = sorted((pod for pod in _live(world, status.revision) if pod.trouble), key=lambda pod: pod.name)
    if troubled and troubled[0].trouble:
        return "NotReady", f"{said}; {troubled[0].name}: {troubled[0].trouble[0]}"
    return "ProgressDeadlineExceeded", said


def _deadline_s(world: World, status: RolloutStatus, seen: Seen) -> float | None:
    if status.progressed_time is None:
        return None
    drain_s = world.spec.drain_seconds if seen.terminating else 0
    return seconds(status.progressed_time) + _patience_s(world) + drain_s


def _patience_s(world: World) -> int:
    return world.spec.rollout.progress_deadline_seconds + world.spec.rollout.warm_seconds


def _may_go_back(world: World, target: Target, status: RolloutStatus) -> bool:
    return world.spec.rollout.rollback and not target.refused and _kept(world, status.stable_revision) is not None


def _refusing(world: World, platform: Platform, status: RolloutStatus, reason: str) -> tuple[World, Platform, Target]:
    """The world in which the revision is known to have failed, and the target there."""
    failed = {"failed_revision": status.revision, "failed_retry": _retry(world), "reason": reason}
    world = with_rollout(world, status.model_copy(update=failed))
    return world, platform, target_of(world, platform)


def _kept(world: World, revision: str) -> ModelPoolSpec | None:
    """The pool as it was at that revision; None where its ControllerRevision is gone, or is not as we wrote it."""
    if revision not in world.revisions:
        return None
    try:
        return spec_at(world.spec, world.revisions[revision])
    except ValueError:
        return None


def _warm_wait(world: World, target: Target) -> tuple[int, int]:
    """The wait for warmth in seconds, and how many replicas are in it; no wait once every new replica there is is warm.

    A first revision, and the way back to a proven one, wait for nothing: no warm replica is at stake.
    """
    if target.refused or not _before(world).stable_revision:
        return 0, 0
    new = _live(world, target.revision)
    cold = [pod for pod in new if not _is_warm(pod, world, target.revision)]
    if new and not cold:
        return 0, 0
    return world.spec.rollout.warm_seconds, sum(pod.ready for pod in cold)


def _is_warm(pod: PodSeen, world: World, revision: str) -> bool:
    if not pod.ready or pod.ready_since_s is None:
        return False
    warm_s, age_s = world.spec.rollout.warm_seconds, world.now_s - pod.ready_since_s
    return age_s >= warm_s or (age_s >= WARM_LEAST_SHARE * warm_s and _hits_as_before(world, revision))


def _hits_as_before(world: World, revision: str) -> bool:
    """Whether the prefix cache of the new replicas serves as well as warmHitRatio asks, of the old ones' share."""
    new = world.load.revisions.get(revision, RevisionLoad())
    old = together([load for other, load in world.load.revisions.items() if other != revision])
    ready = sum(pod.ready for pod in _live(world, revision))
    if new.prefix_query_tokens < WARM_TOKENS_PER_REPLICA * ready or old.prefix_query_tokens == 0:
        return False
    wanted = world.spec.rollout.warm_hit_ratio * old.prefix_hit_tokens / old.prefix_query_tokens
    return new.prefix_hit_tokens >= wanted * new.prefix_query_tokens


def _next_s(world: World, status: RolloutStatus, seen: Seen, wanted: int) -> float | None:
    due = [_deadline_s(world, status, seen) if seen.updated_ready < wanted else None]
    warm_s = world.spec.rollout.warm_seconds
    for pod in _live(world, status.revision):
        if pod.ready_since_s is not None:
            due += [pod.ready_since_s + WARM_LEAST_SHARE * warm_s, pod.ready_since_s + warm_s]
    return min((moment for moment in due if moment is not None and moment > world.now_s), default=None)


def _live(world: World, revision: str) -> list[PodSeen]:
    return [pod for pod in world.pods if pod.revision == revision and not pod.terminating]


def _before(world: World) -> RolloutStatus:
    return world.status.rollout or RolloutStatus()


def _retry(world: World) -> str:
    return world.annotations.get(RETRY_ANNOTATION, "")
