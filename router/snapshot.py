"""The fleet as decisions may see it: frozen pools, and one numpy row per replica. Pure values; `fleet/store.py` makes them.

Replicas of all pools share one set of arrays, ordered pool by pool, so that a decision over a pool is a slice and nothing
loops over replicas in Python.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Tier = Literal["small", "large", "moe"]
Role = Literal["aggregated", "prefill", "decode"]
Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Prices:
    """USD per million tokens."""

    input: float = 0.0
    cached_input: float = 0.0
    output: float = 0.0

    def cost_usd(self, uncached_tokens: float, cached_tokens: float, output_tokens: float) -> float:
        return (uncached_tokens * self.input + cached_tokens * self.cached_input + output_tokens * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class Footprint:
    """What tokens take from the world: Wh per million of them, and what a Wh stands for at the pool's site."""

    input_wh: float = 0.0
    cached_input_wh: float = 0.0
    output_wh: float = 0.0
    carbon_g_per_wh: float = 0.0
    water_ml_per_wh: float = 0.0

    def energy_wh(self, uncached_tokens: float, cached_tokens: float, output_tokens: float) -> float:
        used = uncached_tokens * self.input_wh + cached_tokens * self.cached_input_wh + output_tokens * self.output_wh
        return used / 1e6


@dataclass(frozen=True, slots=True)
class Pool:
    """One model and the replicas that serve it: rows `start` to `stop` of the fleet's arrays; none while it is scaled to zero.

    known               False while no replica has ever said what it can do; the abilities below mean nothing then
    kv_block_tokens     of the replica with the largest blocks; 0 where it is not known
    cold_start_wait_s   how long a request may wait while no replica is ready; 0: it is refused at once
    prices              as given, or as they follow from what its replicas take to run (fleet/hosting.py)
    footprint           None where nothing is known of its power
    ttft_ms, tpot_ms    its objectives; 0 where there is none
    """

    name: str
    tier: Tier
    models: tuple[str, ...]
    prices: Prices
    start: int
    stop: int
    engine: str = ""
    simulated: bool = False
    embeddings: bool = False
    max_context_tokens: int = 0
    reports_token_ids: bool = True
    parses_tool_calls: bool = False
    kv_block_tokens: int = 0
    known: bool = True
    role: Role = "aggregated"
    cold_start_wait_s: int = 0
    footprint: Footprint | None = None
    ttft_ms: int = 0
    tpot_ms: int = 0

    @property
    def rows(self) -> slice:
        return slice(self.start, self.stop)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Every replica at one moment. Arrays are read-only and have one entry per replica.

    version        moves with each topology change: row numbers are valid within one version only
    in_flight      requests this router has given it and not seen end
    running, waiting, max_running   as the worker last reported
    kv_used        0 to 1
    ready          READY, reachable, not draining, circuit not open
    age_s          seconds since the worker last reported
    """

    version: int
    pools: tuple[Pool, ...]
    replica_ids: tuple[str, ...]
    ready: Flags
    in_flight: Ints
    running: Ints
    waiting: Ints
    max_running: Ints
    kv_used: Floats
    age_s: Floats

    def pool(self, name: str) -> Pool | None:
        return next((pool for pool in self.pools if pool.name == name), None)


@dataclass(frozen=True, slots=True)
class Budget:
    """What `tenant` may spend in each window: hour, day, week, month (UTC), or "" once and for all. `hard`: never more."""

    tenant: str
    usd: float
    window: str = ""
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who pays. `pools` empty means every pool. Cached KV is shared among equal values of `cache_salt` only.

    policy    name of its routing policy; "" is the router's own rule
    budgets   all that hold for it: its own first, then its parents'
    """

    name: str
    pools: frozenset[str] = frozenset()
    cache_salt: str = ""
    policy: str = ""
    budgets: tuple[Budget, ...] = ()

    def may_use(self, pool: str) -> bool:
        return not self.pools or pool in self.pools
