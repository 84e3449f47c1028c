"""What the store is told: pools, replicas, tenants and policies by the topology source, load by the workers. Frozen values;
`checks.py` has the rules that a whole topology must meet.
"""

from dataclasses import dataclass
from typing import Literal

from router.snapshot import Prices, Role, Tier

Phase = Literal["starting", "ready", "draining", "failed"]
Window = Literal["", "hour", "day", "week", "month"]
Strategy = Literal["balanced", "qualityFloor", "budget", "fixed", "custom"]
Evidence = Literal["logprob", "agreement", "verifier"]


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """One worker. `address` is host:port of headgate.v1.Worker. `draining`: it is about to leave, no new requests.

    `revision` names what it runs: its requests and errors are counted under it. "" is a revision like any other.
    """

    id: str
    address: str
    draining: bool = False
    revision: str = ""


@dataclass(frozen=True, slots=True)
class HostingSpec:
    """What one replica takes to run; the fields of Hosting in topology.proto.

    usd_per_hour            all its GPUs included
    tokens_per_s            output tokens a second at the load that it is meant for; 0: the most that was measured
    power_w                 of the machine under load
    pue                     power usage effectiveness of the site, 1 or more
    water_site_l_per_kwh    evaporated at the site for each kWh of the machines
    water_source_l_per_kwh  evaporated at the power plants for each kWh drawn
    """

    usd_per_hour: float = 0.0
    tokens_per_s: float = 0.0
    power_w: float = 0.0
    pue: float = 1.0
    carbon_g_per_kwh: float = 0.0
    water_site_l_per_kwh: float = 0.0
    water_source_l_per_kwh: float = 0.0


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """Replicas of one model. `models` are the names that callers may use; the first is what workers are told.

    prefill_pool        for role decode: the pool that prefills
    ttft_ms, tpot_ms    what an answer must meet to count as goodput; 0 where there is no objective
    cold_start_wait_s   how long a request may wait while no replica is ready; 0: it is refused at once
    hosting             where all prices are 0, they follow from it and the measured throughput
    """

    name: str
    tier: Tier
    models: tuple[str, ...]
    prices: Prices
    replicas: tuple[ReplicaSpec, ...]
    role: Role = "aggregated"
    prefill_pool: str = ""
    ttft_ms: int = 0
    tpot_ms: int = 0
    cold_start_wait_s: int = 0
    hosting: HostingSpec | None = None


@dataclass(frozen=True, slots=True)
class BudgetSpec:
    """What a tenant may spend: USD in each window, or once and for all. `hard`: what would exceed it is refused."""

    usd: float
    window: Window = ""
    hard: bool = False


@dataclass(frozen=True, slots=True)
class TenantSpec:
    """Who may use what. `pools` empty means every pool. Keys themselves are never held, only their digests.

    weight        share under overload, against other tenants
    priority      higher is more important
    parent        tenant whose budget also holds for this one
    policy        name of a policy in the same topology; "" for the router's own rule
    cache_group   tenants of one group may share cached KV; "" is the tenant alone
    """

    name: str
    key_sha256: tuple[bytes, ...]
    pools: tuple[str, ...] = ()
    weight: float = 1.0
    priority: int = 0
    parent: str = ""
    budget: BudgetSpec | None = None
    policy: str = ""
    cache_group: str = ""


@dataclass(frozen=True, slots=True)
class PolicyWeights:
    """How much each term of the choice counts (choosing/objective.py says in which unit)."""

    quality: float = 1.0
    cost: float = 0.2
    latency: float = 0.2
    energy: float = 0.0
    carbon: float = 0.0
    water: float = 0.0


@dataclass(frozen=True, slots=True)
class CascadeSpec:
    """Pools to ask one after the other while the answer's own evidence is weak. The cost is that of all tries together.

    evidence   logprob: the mean probability of its tokens; agreement: of `samples` answers; verifier: what a named class says
    """

    pools: tuple[str, ...]
    min_confidence: float = 0.5
    max_cost_usd: float | None = None
    evidence: Evidence = "logprob"
    samples: int = 3


@dataclass(frozen=True, slots=True)
class ChunkSearchSpec:
    """Choice among the chunks that a request brings. `max_tokens` None: as many as the context takes."""

    enabled: bool = True
    deadline_ms: int = 5
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class CanarySpec:
    """A share of the requests, in percent, that goes to this pool."""

    pool: str
    percent: int


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """How a pool is chosen for requests that leave the choice to the router; the fields of Policy in topology.proto.

    custom          strategy custom: the name of a chooser in the router's settings
    explore_share   part of what is spent, 0 to 1, that may go into trying pools whose quality is not known well enough
    """

    name: str
    strategy: Strategy = "balanced"
    pool: str = ""
    quality_floor: float | None = None
    weights: PolicyWeights = PolicyWeights()
    cascade: CascadeSpec | None = None
    chunks: ChunkSearchSpec = ChunkSearchSpec()
    canaries: tuple[CanarySpec, ...] = ()
    custom: str = ""
    explore_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Topology:
    """The whole world, as a source tells it. `version` is the source's own."""

    pools: tuple[PoolSpec, ...]
    tenants: tuple[TenantSpec, ...] = ()
    version: int = 0
    policies: tuple[PolicySpec, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of itself; the fields of WorkerState in worker.proto, in its order. `kv_used` is 0 to 1."""

    incarnation: str
    phase: Phase
    running: int = 0
    waiting: int = 0
    max_running: int = 0
    kv_used: float = 0.0
    kv_capacity_tokens: int = 0
    kv_block_tokens: int = 0
    prompt_tokens_total: int = 0
    output_tokens_total: int = 0
    prefix_query_tokens_total: int = 0
    prefix_hit_tokens_total: int = 0
    draft_tokens_total: int = 0
    accepted_tokens_total: int = 0
    preemptions_total: int = 0
    models: tuple[str, ...] = ()
    engine: str = ""
    simulated: bool = False
    embeddings: bool = False
    max_context_tokens: int = 0
    reports_token_ids: bool = False
    cache_clears_total: int = 0
    parses_tool_calls: bool = False


class TopologyRefused(ValueError):
    """The topology contradicts itself. Each line of the text starts with the path of a key."""
