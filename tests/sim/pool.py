"""A pool of replicas in virtual time: arrivals, a queue, replicas with slots and cold starts, and a policy that sizes it.

Like M/G/k with a k that changes. A request takes a slot of the ready replica with the most free ones, or waits, first come
first served. Its time to first token is its wait and its prefill; each further token takes longer the fuller its replica is.
The policy is asked every few seconds, as the control plane would be, with what routers would have reported. The same seed is
the same run.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, pairwise
from random import Random

from controlplane.world import PoolLoad


@dataclass(frozen=True, slots=True)
class Model:
    """One replica's speed, and what an answer must meet. Times in seconds."""

    slots: int = 8
    prefill_s: float = 0.3
    tokens: float = 100.0  # mean length of an answer, drawn from an exponential distribution
    token_s: float = 0.03  # alone in its replica; twice that when the replica is full
    ttft_s: float = 2.0
    tpot_s: float = 0.1
    cold_start_s: float = 60.0

    def service_s(self, use: float) -> float:
        """Mean time in a replica of that use, 0 to 1."""
        return self.prefill_s + self.tokens * self.token_s * (1 + use)


@dataclass(slots=True)
class Replica:
    ready_s: float
    running: int = 0
    leaving: bool = False


@dataclass(slots=True)
class Outcome:
    """What came of a run. `changes` are (time, replicas) whenever the wanted number changed."""

    requests: int = 0
    good: int = 0
    waits_s: list[float] = field(default_factory=list)
    replica_s: float = 0.0
    changes: list[tuple[float, int]] = field(default_factory=list)
    most: int = 0

    @property
    def attained(self) -> float:
        """Share of requests within both objectives."""
        return self.good / self.requests if self.requests else 1.0

    @property
    def turns(self) -> int:
        """How often the direction of scaling turned round."""
        numbers = [number for _, number in self.changes]
        ways = [after > before for before, after in pairwise(numbers)]
        return sum(a != b for a, b in pairwise(ways))

    def wait_s(self, share: float) -> float:
        """That quantile of the waits."""
        ordered = sorted(self.waits_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a policy is told. `wanted` is what it said last, `ready` how many of those are, `cold_start_s` what was measured."""

    now_s: float
    load: PoolLoad
    wanted: int
    ready: int
    cold_start_s: float


Policy = Callable[[Seen], int]


class Pool:
    """One pool. `rate(t)` is arrivals per second, at most `peak`; `blind(t)` whether no router reports then."""

    WINDOW_S = 15.0

    def __init__(
        self,
        model: Model,
        rate: Callable[[float], float],
        peak: float,
        rng: Random,
        replicas: int = 1,
        blind: Callable[[float], bool] = lambda now_s: False,
    ) -> None:
        self.model, self.rate, self.peak, self.rng, self.blind = model, rate, peak, rng, blind
        self.now_s = 0.0
        self.wanted = replicas
        self.replicas = [Replica(0.0) for _ in range(replicas)]
        self.queue: deque[float] = deque()
        self.outcome = Outcome(changes=[(0.0, replicas)], most=replicas)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._arrived: deque[float] = deque()
        self._answered: deque[tuple[float, bool, bool]] = deque()
        self._paid_s = 0.0
        self._next_arrival(0.0)

    def run_until(self, end_s: float) -> None:
        """Lets everything up to that time happen."""
        while self._events and self._events[0][0] <= end_s:
            at_s, _, happen = heapq.heappop(self._events)
            self._pay(at_s)
            happen()
        self._pay(end_s)

    def seen(self) -> Seen:
        """What the control plane would know now."""
        ready = sum(self._is_ready(replica) for replica in self.replicas)
        load = PoolLoad() if self.blind(self.now_s) else self._load()
        return Seen(self.now_s, load, self.wanted, ready, self.model.cold_start_s)

    def scale(self, wanted: int) -> None:
        """Starts replicas, or lets the ones go that do least; what they have begun they finish."""
        if wanted != self.wanted:
            self.outcome.changes.append((self.now_s, wanted))
            self.outcome.most = max(self.outcome.most, wanted)
        self.wanted = wanted
        staying = [replica for replica in self.replicas if not replica.leaving]
        for _ in range(wanted - len(staying)):
            cold_s = self.model.cold_start_s * self.rng.uniform(0.9, 1.1)
            self.replicas.append(Replica(self.now_s + cold_s))
            self._at(self.now_s + cold_s, self._start_waiting)
        least_first = sorted(
            staying, key=lambda replica: (-replica.ready_s if replica.ready_s > self.now_s else 0, replica.running)
        )
        for replica in least_first[: max(0, len(staying) - wanted)]:
            replica.leaving = True
        self._drop_empty()

    def _is_ready(self, replica: Replica) -> bool:
        return replica.ready_s <= self.now_s and not replica.leaving

    def _load(self) -> PoolLoad:
        since_s = self.now_s - self.WINDOW_S
        while self._arrived and self._arrived[0] < since_s:
            self._arrived.popleft()
        while self._answered and self._answered[0][0] < since_s:
            self._answered.popleft()
        ready = [replica for replica in self.replicas if self._is_ready(replica)]
        answers = len(self._answered)
        return PoolLoad(
            routers=1,
            seen_s=self.now_s,
            arrivals_per_s=len(self._arrived) / self.WINDOW_S,
            answers_per_s=answers / self.WINDOW_S,
            over_s=self.WINDOW_S,
            waiting=len(self.queue),
            running=sum(replica.running for replica in ready),
            slots=self.model.slots * len(ready),
            ttft_met=sum(met for _, met, _ in self._answered) / answers if answers else None,
            tpot_met=sum(met for _, _, met in self._answered) / answers if answers else None,
            oldest_wait_s=self.now_s - self.queue[0] if self.queue else 0.0,
        )

    def _at(self, when_s: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when_s, next(self._order), happen))

    def _next_arrival(self, after_s: float) -> None:
        """A Poisson process of changing rate, by thinning."""
        at_s = after_s
        while True:
            at_s += self.rng.expovariate(self.peak)
            if self.rng.random() * self.peak <= self.rate(at_s):
                break
            if at_s - after_s > 86400:
                return
        self._at(at_s, self._arrive)

    def _arrive(self) -> None:
        self._arrived.append(self.now_s)
        self.outcome.requests += 1
        self.queue.append(self.now_s)
        self._start_waiting()
        self._next_arrival(self.now_s)

    def _start_waiting(self) -> None:
        while self.queue:
            free = [replica for replica in self.replicas if self._is_ready(replica) and replica.running < self.model.slots]
            if not free:
                return
            self._start(min(free, key=lambda replica: replica.running), self.queue.popleft())

    def _start(self, replica: Replica, came_s: float) -> None:
        replica.running += 1
        token_s = self.model.token_s * (1 + replica.running / self.model.slots)
        wait_s = self.now_s - came_s
        ttft_met, tpot_met = wait_s + self.model.prefill_s <= self.model.ttft_s, token_s <= self.model.tpot_s
        took_s = self.model.prefill_s + token_s * self.rng.expovariate(1 / self.model.tokens)
        self.outcome.waits_s.append(wait_s)

        def done() -> None:
            replica.running -= 1
            self.outcome.good += ttft_met and tpot_met
            self._answered.append((self.now_s, ttft_met, tpot_met))
            self._drop_empty()
            self._start_waiting()

        self._at(self.now_s + took_s, done)

    def _drop_empty(self) -> None:
        self.replicas = [replica for replica in self.replicas if replica.running or not replica.leaving]

    def _pay(self, until_s: float) -> None:
        """Every replica that exists is paid for, ready, starting or leaving."""
        self.outcome.replica_s += len(self.replicas) * (until_s - self._paid_s)
        self._paid_s = self.now_s = until_s


def run(pool: Pool, policy: Policy, end_s: float, every_s: float = 5.0) -> Outcome:
    """Runs the pool under the policy to the end."""
    while pool.now_s < end_s:
        pool.run_until(min(end_s, pool.now_s + every_s))
        pool.scale(policy(pool.seen()))
    return pool.outcome
