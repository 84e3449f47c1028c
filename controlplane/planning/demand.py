"""How many replicas a pool's load asks for: four ways to look at it, and the one that asks for most decides.

    Concurrency  requests in replicas, against what a replica should run at once: targetUtilization of its slots, or less where
                 that was too much for the objectives; where requests wait, what the arrivals need by Little's law (rate × time
                 in a replica), and the queue worked off within half a cold start
    LookAhead    the same with the queue as it will be when a replica that starts now is ready; only where arrivals outrun
                 answers beyond chance, and only for more replicas
    KvUse        KV blocks in use, against KV_TARGET: a replica out of blocks preempts, however few requests it runs
    Objective    too few answers within TTFT or TPOT: more in that proportion, unless replicas are nearly idle (then more of
                 them would not help) or those added last have not shown yet what they do; how full the replicas were is kept
                 (`strained`), or load would fall back to where it was too much as soon as there are more of them

A queue is not counted as so many requests at once: what piles up while replicas start would then ask for several times what the
arrivals need. Everything is a finite number of replicas, as a fraction; whoever calls rounds up.
"""

from dataclasses import dataclass
from math import sqrt

from controlplane.resources.model_pool import Autoscaling
from controlplane.world import PoolLoad

OBJECTIVE = 0.95  # share of answers that must meet each objective
OBJECTIVE_MOST = 2.0  # no factor from missed objectives is larger
OBJECTIVE_LEAST_USE = 0.5  # of targetUtilization; below it, a missed objective is not for want of replicas
KV_TARGET = 0.85
STRAIN_SHARE = 0.9  # of what was too much, is hoped to be well
CHANCE = 3.0  # standard deviations of Poisson counts
DRAIN_SHARE = 0.5  # of a cold start, in which a queue is to be gone; less of it costs more replicas than it saves waiting
DRAIN_LEAST_S = 15.0  # a queue need not be worked off faster


@dataclass(frozen=True, slots=True)
class Replica:
    """What is known of one replica: how many requests it runs at once, and at most should (`strained_at`: what was too many),
    seconds that a request takes in it (None: not yet known), seconds until it is ready."""

    slots: float
    strained_at: float | None
    service_s: float | None
    cold_start_s: float

    def should_run(self, rule: Autoscaling) -> float:
        """Requests at once in one replica, as a mean: above that, more replicas are needed."""
        most = self.slots * rule.target_utilization
        return most if self.strained_at is None else min(most, max(OBJECTIVE_LEAST_USE * most, STRAIN_SHARE * self.strained_at))


@dataclass(frozen=True, slots=True)
class Fleet:
    """The replicas that there are: how many are `ready`, in how many seconds more will be (one that starts now, where none
    is on its way), and whether their number changed so lately that what is counted does not show it yet (`fresh`)."""

    ready: int
    more_ready_in_s: float
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """`replicas` that are needed, as a fraction, and which way of looking at the load said so."""

    replicas: float
    reason: str


def demands(load: PoolLoad, rule: Autoscaling, replica: Replica, fleet: Fleet) -> tuple[Demand, Demand]:
    """What `load` asks for: first for judging whether there are too few replicas, then whether there are too many."""
    each = replica.should_run(rule)
    concurrency = Demand(at_once(load, replica, 0.0) / each, "Concurrency")
    ways = [concurrency, Demand(fleet.ready * load.kv_used / KV_TARGET, "KvUse")]
    met = _met(load)
    busy = load.running >= OBJECTIVE_LEAST_USE * rule.target_utilization * replica.slots * fleet.ready
    if met < OBJECTIVE and busy and not fleet.fresh:
        ways.append(Demand(fleet.ready * min(OBJECTIVE_MOST, OBJECTIVE / max(met, 1e-3)), "Objective"))
    for_fewer = max(ways, key=lambda way: way.replicas)
    ahead = Demand(at_once(load, replica, fleet.more_ready_in_s) / each, "LookAhead")
    return max(for_fewer, ahead, key=lambda way: way.replicas), for_fewer


def at_once(load: PoolLoad, replica: Replica, ahead_s: float) -> float:
    """Requests that have to run at once, so that the queue as it will be in `ahead_s` goes while arrivals go on.

    What runs may be more, while a queue is worked off, and what arrives is counted over some seconds: of the two the smaller.
    """
    queue = load.waiting + max(0.0, growth(load)) * ahead_s
    if replica.service_s is None or load.over_s <= 0:
        return load.running + queue
    arriving = load.arrivals_per_s * replica.service_s
    if queue <= 0:
        return min(float(load.running), arriving)
    drain_s = max(DRAIN_SHARE * replica.cold_start_s, replica.service_s, DRAIN_LEAST_S)
    return arriving + queue * replica.service_s / drain_s


def growth(load: PoolLoad, chance: float = CHANCE) -> float:
    """By how many requests per second arrivals outrun answers; 0 where that may be chance, within so many deviations."""
    if load.over_s <= 0:
        return 0.0
    more = load.arrivals_per_s - load.answers_per_s
    return more if abs(more) > chance * sqrt((load.arrivals_per_s + load.answers_per_s) / load.over_s) else 0.0


def strained(load: PoolLoad, rule: Autoscaling, ready: int, known: float | None) -> float | None:
    """How many requests at once in each replica are too many for TPOT, after this moment; None: as many as there are slots.

    Less than known, where it is missed with fewer; more, where it is met with more. TTFT tells of queues, not of full replicas.
    """
    if ready == 0 or load.running == 0 or load.tpot_met is None:
        return known
    each = round(load.running / ready, 1)
    if load.tpot_met < OBJECTIVE:
        if load.running < OBJECTIVE_LEAST_USE * rule.target_utilization * load.slots:
            return known
        return each if known is None else min(known, each)
    return each if known is not None and each > known else known


def _met(load: PoolLoad) -> float:
    """Share of answers within the objective that is missed more. TTFT counts while requests wait: else the queue is history."""
    ttft_met = load.ttft_met if load.waiting > 0 else None
    return min((share for share in (ttft_met, load.tpot_met) if share is not None), default=1.0)
