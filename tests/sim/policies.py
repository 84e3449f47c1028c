"""Ways to set the number of replicas: ours, one like Kubernetes' HPA, and one that knows the load to come."""

from collections import deque
from collections.abc import Callable
from math import ceil

from controlplane.planning.autoscale import Decision, Now, desired
from controlplane.resources.model_pool import Autoscaling
from controlplane.resources.status import ScalingStatus
from tests.sim.pool import Model, Seen

STAYS_WITHIN = 0.75  # of the use at which TPOT is just met: replicas are not all equally full


class Headgate:
    """The product's own decision, with its memory in the status, as in the cluster. `decisions` are kept for tests."""

    def __init__(self, rule: Autoscaling, replicas: int = 1, start_s: float = 1_800_000_000.0) -> None:
        self.rule = rule
        self.start_s = start_s
        self.status = ScalingStatus(desired_replicas=replicas)
        self.decisions: list[Decision] = []

    def __call__(self, seen: Seen) -> int:
        known = self.status.model_copy(update={"cold_start_seconds": seen.cold_start_s})
        decision = desired(seen.load, self.rule, known, Now(self.start_s + seen.now_s, seen.ready))
        self.status = decision.status
        self.decisions.append(decision)
        return decision.replicas


class HorizontalPodAutoscaler:
    """HPA v2 as documented, on requests per pod (in replicas and waiting) against the same target, at its defaults.

    Every 15 s; tolerance 10 %; scale-down by the highest wish of five minutes; up at once, by 4 pods or 100 % per 15 s; pods
    that are not ready count as unused when the rest would scale up; without metrics nothing changes. It knows no zero.
    """

    def __init__(self, rule: Autoscaling, slots: int) -> None:
        self.rule = rule
        self.target = slots * rule.target_utilization
        self.wishes: deque[tuple[float, int]] = deque()
        self.looked_s = -15.0

    def __call__(self, seen: Seen) -> int:
        if seen.now_s - self.looked_s < 15.0 or seen.load.routers == 0:
            return seen.wanted
        self.looked_s = seen.now_s
        wish = min(max(self._wish(seen), self.rule.min_replicas, 1), self.rule.max_replicas)
        self.wishes.append((seen.now_s, wish))
        while self.wishes[0][0] < seen.now_s - 300.0:
            self.wishes.popleft()
        if wish > seen.wanted:
            return min(wish, max(2 * seen.wanted, seen.wanted + 4))
        return min(seen.wanted, max(number for _, number in self.wishes))

    def _wish(self, seen: Seen) -> int:
        if seen.ready == 0:
            return seen.wanted
        use = (seen.load.running + seen.load.waiting) / self.target
        ratio = use / seen.ready
        if ratio > 1:
            ratio, pods = use / seen.wanted, seen.wanted  # the unready count as unused
            if ratio < 1:
                return seen.wanted
        else:
            pods = seen.ready
        if abs(ratio - 1) <= 0.1:
            return seen.wanted
        return ceil(ratio * pods - 1e-9)


class Oracle:
    """Knows the rate of arrivals, also that to come: what the busiest moment of the next cold start needs at the target use."""

    def __init__(self, rule: Autoscaling, model: Model, rate: Callable[[float], float]) -> None:
        self.rule, self.model, self.rate = rule, model, rate

    def __call__(self, seen: Seen) -> int:
        ahead = range(0, int(1.1 * self.model.cold_start_s) + 10, 5)
        busiest = max(self.rate(seen.now_s + later_s) for later_s in ahead)
        use = min(self.rule.target_utilization, STAYS_WITHIN * (self.model.tpot_s / self.model.token_s - 1))
        wish = ceil(busiest * self.model.service_s(use) / (self.model.slots * use) - 1e-9)
        return min(max(wish, self.rule.min_replicas), self.rule.max_replicas)
