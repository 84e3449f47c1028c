"""Values that the tests of the fleet start from."""

from pathlib import Path
from random import Random
from typing import Any

from router.config import Failover, RouterConfig, TopologySource
from router.fleet.specs import PoolSpec, ReplicaSpec, Report
from router.fleet.store import FleetStore
from router.snapshot import Prices


class Clock:
    """Monotonic seconds that only move when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds


def pool(name: str = "small", *replicas: str | ReplicaSpec, **fields: Any) -> PoolSpec:
    """A pool whose model is called after it; a replica given by id listens on a port of its own."""
    specs = tuple(ReplicaSpec(r, address_of(r)) if isinstance(r, str) else r for r in replicas)
    given = {"tier": "small", "models": (f"{name}-model",), "prices": Prices(1.0, 0.1, 2.0), **fields}
    return PoolSpec(name=name, replicas=specs, **given)


def address_of(replica_id: str) -> str:
    return f"127.0.0.1:{10_000 + sum(replica_id.encode()) % 50_000}"


def report(**fields: Any) -> Report:
    """A ready worker of pool `small`."""
    given = {"incarnation": "a", "phase": "ready", "max_running": 8, "models": ("small-model",), "engine": "vllm"}
    return Report(**{**given, "reports_token_ids": True, **fields})


def store(clock: Clock | None = None, **failover: Any) -> FleetStore:
    config = RouterConfig(topology=TopologySource(file=Path("none")), failover=Failover(**failover))
    return FleetStore(config, clock=clock or Clock(), rng=Random(1))
