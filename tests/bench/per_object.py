"""The baseline of `decision.py`: the default picking policy written the plain way, one Python object per replica."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from router.choosing.beliefs import Beliefs
from router.choosing.choose import Asked, Chooser, Seen
from router.choosing.features import extract
from router.choosing.rule import AutoRule
from router.choosing.terms import OWN_TERMS
from router.picking.prefix_index import ENDS, chain
from router.request import Decision, Request
from router.routing import prompt_bytes
from router.snapshot import Fleet, Tenant


@dataclass(slots=True)
class ReplicaObject:
    """The baseline's replica."""

    id: str
    ready: bool
    in_flight: int
    running: int
    waiting: int
    max_running: int
    kv_used: float
    blocks: set[int]


class PerObjectPicker:
    """Filter, score and pick in loops over the replicas of one pool; same rules, weights and ties as the default policy."""

    def __init__(self, fleet: Fleet, rng: Random) -> None:
        self._rng = rng
        self.pools = {
            pool.name: [
                ReplicaObject(
                    fleet.replica_ids[row],
                    bool(fleet.ready[row]),
                    int(fleet.in_flight[row]),
                    int(fleet.running[row]),
                    int(fleet.waiting[row]),
                    int(fleet.max_running[row]),
                    float(fleet.kv_used[row]),
                    set(),
                )
                for row in range(pool.start, pool.stop)
            ]
            for pool in fleet.pools
        }

    def pick(self, pool: str, links: tuple[int, ...]) -> tuple[ReplicaObject, str]:
        able = [each for each in self.pools[pool] if each.ready and self._load(each) < 2 * each.max_running]
        least = min(self._load(each) for each in able)
        scored = [(self._score(each, links, least), each) for each in able]
        best = max(score for score, _ in scored)
        tied = [each for score, each in scored if score >= best - 1e-9]
        taken = tied[int(self._rng.random() * len(tied))]
        return taken, f"load {self._load(taken)}, score {best / 8:.2f}, of {len(able)}"

    @staticmethod
    def _load(each: ReplicaObject) -> int:
        return max(each.in_flight, each.running + each.waiting)

    def _score(self, each: ReplicaObject, links: tuple[int, ...], least: int) -> float:
        matched = 0
        for link in links:
            if link not in each.blocks:
                break
            matched += 1
        held, whole, load = (ENDS[matched - 1] if matched else 0), ENDS[len(links) - 1], self._load(each)
        prefix = 0.0
        if held >= max(512.0, 0.5 * whole):
            prefix = max(0.0, min(1.0, held / whole * (least + 8.0 - load) / 8.0))
        return 2 * prefix + 2 * 8.0 / (8.0 + load) + 2 * 2.0 / (2.0 + each.waiting) + 1.0 - each.kv_used


def decide_all(picker: PerObjectPicker, fleet: Fleet, requests: Sequence[Request], in_flight: int) -> None:
    """The same steps and books as the router's, with this picker and no snapshots."""
    chooser, anyone, seen = Chooser(Beliefs(AutoRule()).of), Tenant("anyone"), Seen(fleet, fleet.ready.tobytes())
    running: deque[ReplicaObject] = deque()
    for request in requests:
        features = extract(request.prompt, request.sampling)
        choices = chooser.choose(Asked(request, features, anyone), seen, OWN_TERMS)
        pool, links = choices[0].pool, chain(prompt_bytes(request), "")
        taken, reason = picker.pick(pool.name, links)
        Decision(pool.name, pool.models[0], taken.id, f"{choices[0].reason}; {reason}", pool.simulated)
        taken.in_flight += 1
        taken.blocks.update(links)
        running.append(taken)
        if len(running) > in_flight:
            running.popleft().in_flight -= 1
    while running:
        running.popleft().in_flight -= 1


def pick_all(picker: PerObjectPicker, chains: Sequence[tuple[int, ...]]) -> None:
    for links in chains:
        picker.pick("pool-0", links)
