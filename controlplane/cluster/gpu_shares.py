"""How many replicas each pool may have under the GPU budget, by the load that routers tell. Pools of one kind of GPU
share; a pool without GPUs, or with a kind that has no budget, is not limited.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Protocol

from controlplane.manifests.compute import gpus_per_replica
from controlplane.planning.placement import PoolWant, share_gpus, want_of
from controlplane.resources.envelope import ModelPool
from controlplane.world import PoolLoad

Place = tuple[str, str]  # namespace, name


class Loads(Protocol):
    def of(self, pool: str, now_s: float) -> PoolLoad: ...


class GpuShares:
    """`granted` has the replicas of each pool that is limited."""

    def __init__(self, budget: Mapping[str, int]) -> None:
        self._budget = dict(budget)
        self.granted: dict[Place, int] = {}

    def divide(self, pools: Iterable[ModelPool], loads: Loads, now_s: float) -> frozenset[Place]:
        """Shares the budget anew; returns the pools for which something changed."""
        wants: dict[str, dict[str, tuple[Place, PoolWant]]] = defaultdict(dict)
        for pool in pools:
            hardware = pool.spec.hardware
            if gpus_per_replica(pool.spec) and hardware.gpu_resource in self._budget and not pool.deleting:
                place = (pool.namespace, pool.name)
                want = want_of("/".join(place), pool.spec, pool.status.scaling, loads.of(pool.name, now_s))
                wants[hardware.gpu_resource][want.pool] = (place, want)
        granted: dict[Place, int] = {}
        for resource, named in wants.items():
            shares = share_gpus([want for _, want in named.values()], self._budget[resource])
            granted |= {named[name][0]: replicas for name, replicas in shares.items()}
        changed = {place for place in granted.keys() | self.granted.keys() if granted.get(place) != self.granted.get(place)}
        self.granted = granted
        return frozenset(changed)
