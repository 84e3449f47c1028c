"""How many replicas there are to be, from load and from what was decided before; pure, so simulations judge the same code.

Kubernetes' HPA is the model: a band of tolerance, holds in both directions that take the most cautious wish of their time, and
pessimism where knowledge lacks: without any router's report nothing changes; a replica that is not ready yet counts as capacity
when more are wished for, and as fully used when fewer are. Beyond it: look-ahead over the cold start, objectives, and zero.

Reasons, each a name that tests and people may rely on:

    Concurrency LookAhead KvUse Objective   more, because of that (demand.py)
    FromZero        requests wait, and there was no replica
    LowLoad         fewer: the load has been lower for scaleDownHoldSeconds
    Idle            none: no requests for idleSeconds
    Bounds          minReplicas or maxReplicas were changed
    OnTarget AtMax AtMin                    no change: within tolerance, or at a bound
    HoldUp HoldDown StepHold RolloutHolds   not yet: within a hold, a step up too recent, fewer only after the rollout
    NoReports       no change: no router has reported
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf

from controlplane.planning.demand import Demand, Fleet, Replica, at_once, demands, growth, strained
from controlplane.resources.conditions import rfc3339, seconds
from controlplane.resources.model_pool import Autoscaling
from controlplane.resources.status import ScalingStatus
from controlplane.world import PodSeen, PoolLoad

STEP_LEAST = 4  # one step up adds as many as there are, and at least these
STEP_EVERY_S = 15.0
SETTLE_S = 30.0  # after a cold start, until the answers counted are those of the new replicas too
IDLE_GRAIN = 0.05  # of idleSeconds: the time of the last request is written at most this often
COLD_START_S = 60.0  # until one was measured
COLD_START_GRAIN = 0.1  # a measured cold start replaces the one known where it differs by more
SERVICE_GRAIN = 0.25  # of the time in a replica: the one known follows that measured no further than to be within this of it
SERVICE_ANSWERS = 20  # as many answers, at least, tell the time in a replica
ROUNDING = 1e-9  # what floating point adds is no replica


@dataclass(frozen=True, slots=True)
class Now:
    """What counts besides the load. `ready` replicas of those wanted; `changing`: a rollout is under way."""

    now_s: float
    ready: int
    changing: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """`replicas` there are to be, and why. `next_s`: when this may change though the load stays, in Unix seconds."""

    replicas: int
    reason: str
    status: ScalingStatus
    next_s: float | None = None


def desired(load: PoolLoad, rule: Autoscaling, before: ScalingStatus, now: Now) -> Decision:
    """Decides. `before.desired_replicas` is how many there are to be until now."""
    known = _remembered(load, rule, before, now)
    current = known.desired_replicas
    bounded = min(max(current, rule.min_replicas), rule.max_replicas)
    if bounded != current:
        return _changed(known, bounded, "Bounds", now)
    if before.last_scale_time == rfc3339(now.now_s):  # decided this very second: what was asked for is not asked for again
        return _kept(before, before.reason, now.now_s + 1)
    if rule.max_replicas == 0:
        return _kept(known, "AtMax")
    if load.routers == 0:
        return _kept(known, "NoReports")
    if current == 0:
        return _from_zero(load, rule, known, now)
    if rule.min_replicas == 0 and not now.changing and _idle_s(rule, known) <= now.now_s:
        return _changed(known, 0, "Idle", now)
    return _judged(_wish(load, rule, known, now), rule, known, now)


def cold_start_s(pods: Sequence[PodSeen], known: float | None) -> float | None:
    """Seconds from a pod's creation to its first readiness: the lower median over the ready ones.

    A pod that lost its readiness for a while looks slower than it was, never faster; hence the lower median. What is `known`
    stays while nothing is ready, and while it is about right.
    """
    took = sorted(pod.ready_since_s - pod.created_s for pod in pods if pod.ready and pod.ready_since_s is not None)
    if not took:
        return known
    measured = max(0.0, took[(len(took) - 1) // 2])
    if known is not None and abs(measured - known) <= COLD_START_GRAIN * max(known, 1.0):
        return known
    return float(round(measured, 1))


def _remembered(load: PoolLoad, rule: Autoscaling, before: ScalingStatus, now: Now) -> ScalingStatus:
    """What later decisions need of this moment; written in coarse steps, or each report would be a write to the API server."""
    update: dict[str, object] = {}
    fresh = now.changing or _is_fresh(before, now)
    if load.slots > 0 and now.ready > 0 and (before.slots_per_replica is None or not fresh):
        update["slots_per_replica"] = round(load.slots / now.ready, 1)
    if before.service_seconds is None or not fresh:
        update["service_seconds"] = _service_s(load, before.service_seconds)
    if not fresh:
        update["strained_at"] = strained(load, rule, now.ready, before.strained_at)
    if rule.min_replicas > 0:
        update["last_request_time"] = None
    else:
        seen = before.last_request_time
        active = load.routers == 0 or load.running + load.waiting > 0 or load.arrivals_per_s > 0
        if seen is None or (active and now.now_s - seconds(seen) >= IDLE_GRAIN * rule.idle_seconds):
            update["last_request_time"] = rfc3339(now.now_s)
    return before.model_copy(update=update)


def _service_s(load: PoolLoad, known: float | None) -> float | None:
    """Seconds a request takes in a replica, by Little's law: those in replicas over those answered per second.

    It holds in balance alone: while replicas fill up, answers lag behind, and while they empty, those in them do.
    """
    if load.running == 0 or load.answers_per_s * load.over_s < SERVICE_ANSWERS:
        return known
    measured = load.running / load.answers_per_s
    if known is None:
        return round(measured, 3)
    if load.waiting == 0 and growth(load, chance=1.0) != 0:
        return known
    within = min(max(known, measured / (1 + SERVICE_GRAIN)), measured / (1 - SERVICE_GRAIN))
    return known if within == known else round(within, 3)


def _idle_s(rule: Autoscaling, known: ScalingStatus) -> float:
    """From when on the pool counts as idle: late by the grain rather than early."""
    last_s = seconds(known.last_request_time) if known.last_request_time is not None else inf
    return last_s + (1 + IDLE_GRAIN) * rule.idle_seconds


def _from_zero(load: PoolLoad, rule: Autoscaling, known: ScalingStatus, now: Now) -> Decision:
    if load.waiting == 0 and load.arrivals_per_s <= 0:
        return _kept(known, "Idle")
    if known.slots_per_replica is None:  # never was one: what it can do is seen when it is there
        return _changed(known, 1, "FromZero", now)
    replica = _replica(known, known.slots_per_replica)
    wish = at_once(load, replica, replica.cold_start_s) / replica.should_run(rule)
    return _changed(known, min(max(1, ceil(wish - ROUNDING)), STEP_LEAST, rule.max_replicas), "FromZero", now)


def _wish(load: PoolLoad, rule: Autoscaling, known: ScalingStatus, now: Now) -> Demand:
    """What the load asks for, within the band of tolerance the number that is there; never zero, never beyond the bounds."""
    current = known.desired_replicas
    if known.slots_per_replica is None:  # the first replicas are still starting
        return Demand(current, "OnTarget")
    replica = _replica(known, known.slots_per_replica)
    for_more, for_fewer = demands(load, rule, replica, _fleet(known, now))
    if for_more.replicas > current * (1 + rule.tolerance):
        wish = min(ceil(for_more.replicas - ROUNDING), rule.max_replicas)
        return Demand(wish, for_more.reason if wish > current else "AtMax")
    if for_fewer.replicas < current * (1 - rule.tolerance):
        wish = ceil(for_fewer.replicas - ROUNDING) + max(0, current - now.ready)
        low = max(1, rule.min_replicas)
        return Demand(min(current, max(low, wish)), "AtMin" if current == low else "OnTarget")
    return Demand(current, "OnTarget")


def _replica(known: ScalingStatus, slots: float) -> Replica:
    return Replica(max(1.0, slots), known.strained_at, known.service_seconds, _cold_s(known))


def _cold_s(known: ScalingStatus) -> float:
    return known.cold_start_seconds if known.cold_start_seconds is not None else COLD_START_S


def _fleet(known: ScalingStatus, now: Now) -> Fleet:
    ready, cold_s = min(now.ready, known.desired_replicas), _cold_s(known)
    if ready < known.desired_replicas and known.last_scale_time is not None:
        cold_s = max(0.0, seconds(known.last_scale_time) + cold_s - now.now_s)
    return Fleet(ready, cold_s, _is_fresh(known, now))


def _is_fresh(known: ScalingStatus, now: Now) -> bool:
    """Whether the number of replicas changed so lately that what is counted does not show it yet."""
    changed_s = seconds(known.last_scale_time) if known.last_scale_time is not None else -inf
    return now.now_s < changed_s + _cold_s(known) + SETTLE_S


def _judged(wish: Demand, rule: Autoscaling, known: ScalingStatus, now: Now) -> Decision:
    """Whether the wish may come true now."""
    current, wished = known.desired_replicas, int(wish.replicas)
    if wished == current:
        idle_s = _idle_s(rule, known) if rule.min_replicas == 0 else None
        return _kept(_unheld(known), wish.reason, idle_s)
    return _more(wished, wish.reason, rule, known, now) if wished > current else _fewer(wished, rule, known, now)


def _more(wished: int, reason: str, rule: Autoscaling, known: ScalingStatus, now: Now) -> Decision:
    since = known.higher_since or rfc3339(now.now_s)
    held_at = known.held_replicas if known.higher_since and known.held_replicas else wished
    fewest = min(wished, max(held_at, known.desired_replicas + 1))
    held = known.model_copy(update={"higher_since": since, "lower_since": None, "held_replicas": fewest})
    due_s = seconds(since) + rule.scale_up_hold_seconds
    if now.now_s < due_s:
        return _kept(held, "HoldUp", due_s)
    if known.last_scale_time is not None and now.now_s < (step_s := seconds(known.last_scale_time) + STEP_EVERY_S):
        return _kept(held, "StepHold", step_s)
    most = known.desired_replicas + max(STEP_LEAST, known.desired_replicas)
    return _changed(held, min(fewest, most), reason, now)


def _fewer(wished: int, rule: Autoscaling, known: ScalingStatus, now: Now) -> Decision:
    since = known.lower_since or rfc3339(now.now_s)
    held_at = known.held_replicas if known.lower_since and known.held_replicas else wished
    most = max(wished, min(held_at, known.desired_replicas - 1))
    held = known.model_copy(update={"lower_since": since, "higher_since": None, "held_replicas": most})
    due_s = seconds(since) + rule.scale_down_hold_seconds
    if now.now_s < due_s:
        return _kept(held, "HoldDown", due_s)
    if now.changing:
        return _kept(held, "RolloutHolds")
    return _changed(held, most, "LowLoad", now)


def _unheld(known: ScalingStatus) -> ScalingStatus:
    return known.model_copy(update={"lower_since": None, "higher_since": None, "held_replicas": None})


def _kept(known: ScalingStatus, reason: str, next_s: float | None = None) -> Decision:
    return Decision(known.desired_replicas, reason, known.model_copy(update={"reason": reason}), next_s)


def _changed(known: ScalingStatus, replicas: int, reason: str, now: Now) -> Decision:
    update = {"desired_replicas": replicas, "reason": reason, "last_scale_time": rfc3339(now.now_s)}
    return Decision(replicas, reason, _unheld(known).model_copy(update=update))
