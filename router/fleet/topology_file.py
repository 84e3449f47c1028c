"""The topology as a document, YAML or JSON: TopologySnapshot of topology.proto, parsed strictly. Does no I/O.

pools:
  - name: small
    tier: small                     # small, large or moe
    models: [smollm2]               # names that callers may use; the first is what workers are told
    prices: {input_usd_per_mtok: 0.1, cached_input_usd_per_mtok: 0.01, output_usd_per_mtok: 0.4}
    ttft_ms: 500                    # objectives; what is left out has none
    cold_start_wait_s: 60           # how long a request may wait while no replica is ready
    replicas:
      - {id: small-0, address: "127.0.0.1:7001"}
tenants:                            # none: no key is needed
  - {name: acme, key_sha256: [<64 hex digits>], pools: [small]}   # no pools: all of them
policies:                           # fields as in topology.proto
  - {name: thrifty, strategy: qualityFloor, quality_floor: 0.7}
"""

import re
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from router.fleet.specs import (
    BudgetSpec,
    CanarySpec,
    CascadeSpec,
    ChunkSearchSpec,
    PolicySpec,
    PolicyWeights,
    PoolSpec,
    ReplicaSpec,
    Strategy,
    TenantSpec,
    Topology,
    TopologyRefused,
    Window,
)
from router.snapshot import Prices, Role, Tier


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _digest(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise ValueError("a key's SHA-256 is 64 hex digits")
    return text


Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Sha256 = Annotated[str, AfterValidator(_digest)]
Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PricesEntry(Strict):
    """What is left out costs nothing."""

    input_usd_per_mtok: Dollars = 0.0
    cached_input_usd_per_mtok: Dollars = 0.0
    output_usd_per_mtok: Dollars = 0.0

    def value(self) -> Prices:
        return Prices(self.input_usd_per_mtok, self.cached_input_usd_per_mtok, self.output_usd_per_mtok)


class ReplicaEntry(Strict):
    id: Name
    address: str
    draining: bool = False
    revision: str = ""


class PoolEntry(Strict):
    name: Name
    tier: Tier
    models: list[Name] = Field(min_length=1)
    prices: PricesEntry = PricesEntry()
    replicas: list[ReplicaEntry] = []
    role: Role = "aggregated"
    prefill_pool: str = ""
    ttft_ms: Count = 0
    tpot_ms: Count = 0
    cold_start_wait_s: Count = 0

    def value(self) -> PoolSpec:
        replicas = tuple(ReplicaSpec(entry.id, entry.address, entry.draining, entry.revision) for entry in self.replicas)
        return PoolSpec(
            self.name,
            self.tier,
            tuple(self.models),
            self.prices.value(),
            replicas,
            self.role,
            self.prefill_pool,
            self.ttft_ms,
            self.tpot_ms,
            self.cold_start_wait_s,
        )


class BudgetEntry(Strict):
    usd: Dollars
    window: Window = ""
    hard: bool = False

    def value(self) -> BudgetSpec:
        return BudgetSpec(self.usd, self.window, self.hard)


class TenantEntry(Strict):
    name: Name
    key_sha256: list[Sha256] = Field(min_length=1)
    pools: list[Name] = []
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    priority: int = 0
    parent: str = ""
    budget: BudgetEntry | None = None
    policy: str = ""
    cache_group: str = ""

    def value(self) -> TenantSpec:
        return TenantSpec(
            self.name,
            tuple(map(bytes.fromhex, self.key_sha256)),
            tuple(self.pools),
            self.weight,
            self.priority,
            self.parent,
            self.budget.value() if self.budget else None,
            self.policy,
            self.cache_group,
        )


class WeightsEntry(Strict):
    quality: Weight = 1.0
    cost: Weight = 1.0
    latency: Weight = 1.0
    energy: Weight = 0.0
    carbon: Weight = 0.0

    def value(self) -> PolicyWeights:
        return PolicyWeights(self.quality, self.cost, self.latency, self.energy, self.carbon)


class CascadeEntry(Strict):
    pools: list[Name] = Field(min_length=2)
    min_confidence: Share = 0.5
    max_cost_usd: Dollars | None = None

    def value(self) -> CascadeSpec:
        return CascadeSpec(tuple(self.pools), self.min_confidence, self.max_cost_usd)


class ChunksEntry(Strict):
    enabled: bool = True
    deadline_ms: Count = 5
    max_tokens: Count | None = None

    def value(self) -> ChunkSearchSpec:
        return ChunkSearchSpec(self.enabled, self.deadline_ms, self.max_tokens)


class CanaryEntry(Strict):
    pool: Name
    percent: int = Field(ge=0, le=100)

    def value(self) -> CanarySpec:
        return CanarySpec(self.pool, self.percent)


class PolicyEntry(Strict):
    name: Name
    strategy: Strategy = "balanced"
    pool: str = ""
    quality_floor: Share | None = None
    weights: WeightsEntry = WeightsEntry()
    cascade: CascadeEntry | None = None
    chunks: ChunksEntry = ChunksEntry()
    canaries: list[CanaryEntry] = []

    def value(self) -> PolicySpec:
        return PolicySpec(
            self.name,
            self.strategy,
            self.pool,
            self.quality_floor,
            self.weights.value(),
            self.cascade.value() if self.cascade else None,
            self.chunks.value(),
            tuple(canary.value() for canary in self.canaries),
        )


class TopologyEntry(Strict):
    """`version` may be left out: what counts is that the content changed."""

    version: int = Field(default=0, ge=0)
    pools: list[PoolEntry]
    tenants: list[TenantEntry] = []
    policies: list[PolicyEntry] = []

    def value(self) -> Topology:
        return Topology(
            tuple(pool.value() for pool in self.pools),
            tuple(tenant.value() for tenant in self.tenants),
            self.version,
            tuple(policy.value() for policy in self.policies),
        )


def parse(document: str | bytes) -> Topology:
    """Raises TopologyRefused, one line per fault, each starting with the path of the key. Values are never in the text."""
    try:
        raw: Any = yaml.safe_load(document)
    except (yaml.YAMLError, ValueError, RecursionError) as fault:  # ValueError: 2026-13-45 is a date to YAML
        mark = getattr(fault, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise TopologyRefused(f"{where}not YAML: {getattr(fault, 'problem', None) or 'unreadable'}") from fault
    try:
        entry = TopologyEntry.model_validate(raw)
    except ValidationError as fault:
        lines = (f"{_path(error['loc'])}: {error['msg']}" for error in fault.errors(include_input=False, include_url=False))
        raise TopologyRefused("\n".join(lines)) from fault
    return entry.value()


def _path(location: tuple[int | str, ...]) -> str:
    """pools[0].replicas[1].address"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".") or "(top)"
