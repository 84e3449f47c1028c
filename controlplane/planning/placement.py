"""Sharing one kind of GPU between pools when there are too few: floors first, then by goodput gained per GPU.

Greedy by marginal gain is exact where replicas are of one size and gains fall from each to the next. Gains that rise (a model
that only works with two replicas) are made concave first, by taking such replicas together; sizes that differ cost at most what
the one block gains that did not fit. Unlike an exact knapsack, a small change of load moves few replicas.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from controlplane.manifests.compute import gpus_per_replica
from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.resources.status import ScalingStatus
from controlplane.world import PoolLoad

# What a replica that load no longer asks for is still worth, of a busy one: it is warm, so it stays while there is room.
KEPT_WORTH = 1e-3
# What GPUs that nobody needs now are worth to a pool that may need them next; less for each further one, so that all get some.
SPARE_WORTH = 1e-6


@dataclass(frozen=True, slots=True)
class PoolWant:
    """What one pool wants of the budget.

    gpus      GPUs of one replica, at least 1
    floor     replicas that come before anybody's gains
    gains     goodput that each replica above the floor adds, in requests per second, in order
    priority  whose floor comes first, the higher; then by name
    """

    pool: str
    gpus: int
    floor: int
    gains: tuple[float, ...] = ()
    priority: int = 0


def share_gpus(wants: Sequence[PoolWant], budget: int) -> dict[str, int]:
    """Replicas for each pool, by name; together never more than `budget` GPUs. Deterministic, whatever the order of `wants`."""
    free = max(0, budget)
    granted: dict[str, int] = {}
    for want in sorted(wants, key=lambda want: (-want.priority, want.pool)):
        granted[want.pool] = min(want.floor, free // want.gpus)
        free -= granted[want.pool] * want.gpus
    unmet = {want.pool for want in wants if granted[want.pool] < want.floor}
    full: set[str] = set()
    for _, pool, replicas, gpus in _by_worth([want for want in wants if want.pool not in unmet]):
        taken = 0 if pool in full else min(replicas, free // gpus)
        granted[pool] += taken
        free -= taken * gpus
        if taken < replicas:
            full.add(pool)
    return granted


def want_of(pool: str, spec: ModelPoolSpec, scaling: ScalingStatus | None, load: PoolLoad) -> PoolWant:
    """What a pool wants: its minimum, or what somebody else decided, as floor; above it, goodput by load.

    What a replica adds are the requests at once that it can run within targetUtilization, as far as there are any, over the
    time that one takes. Where no router reports, replicas are taken for fully used, as everywhere.
    """
    gpus, rule = max(1, gpus_per_replica(spec)), spec.autoscaling
    if rule is None or rule.mode == "External":
        return PoolWant(pool, gpus, spec.replicas)
    known = scaling or ScalingStatus(desired_replicas=spec.replicas)
    each = max(1.0, known.slots_per_replica or 1.0) * rule.target_utilization
    current = min(known.desired_replicas, rule.max_replicas)
    at_once = float(load.running + load.waiting) if load.routers else current * each
    in_replica_s = load.running / load.answers_per_s if load.running and load.answers_per_s > 0 else 1.0
    gains = []
    for replica in range(rule.min_replicas, rule.max_replicas):
        used = min(max(at_once - replica * each, 0.0), each)
        idle = KEPT_WORTH if replica < current else SPARE_WORTH / (1 + replica)
        gains.append(max(used, idle * each) / in_replica_s)
    return PoolWant(pool, gpus, rule.min_replicas, tuple(gains))


def _by_worth(wants: Sequence[PoolWant]) -> Iterator[tuple[float, str, int, int]]:
    """Blocks of replicas as (minus the gain per GPU, pool, replicas, GPUs of one), the best first; within a pool in order."""
    blocks = [
        (-gain / want.gpus, want.pool, at, replicas, want.gpus)
        for want in wants
        for at, (gain, replicas) in enumerate(concave(want.gains))
        if gain > 0
    ]
    return ((worth, pool, replicas, gpus) for worth, pool, _, replicas, gpus in sorted(blocks))


def concave(gains: Sequence[float]) -> list[tuple[float, int]]:
    """The gains as blocks of (mean gain, replicas) whose means fall; neighbours that rise are pooled: the hull of their sum."""
    blocks: list[tuple[float, int]] = []
    for gain in gains:
        mean, count = gain, 1
        while blocks and blocks[-1][0] <= mean:
            before, many = blocks.pop()
            mean, count = (before * many + mean * count) / (many + count), many + count
        blocks.append((mean, count))
    return blocks
