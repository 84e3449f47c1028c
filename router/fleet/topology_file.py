"""The topology as a document, YAML or JSON: TopologySnapshot of topology.proto, parsed strictly. Does no I/O.

pools:
  - name: small
    tier: small                     # small, large or moe
    models: [smollm2]               # names that callers may use; the first is what workers are told
    prices: {input_usd_per_mtok: 0.1, cached_input_usd_per_mtok: 0.01, output_usd_per_mtok: 0.4}
    hosting: {usd_per_hour: 4, power_w: 900, pue: 1.2}   # without prices they follow from it (docs/prices.md)
    ttft_ms: 500                    # objectives; what is left out has none
    cold_start_wait_s: 60           # how long a request may wait while no replica is ready
    replicas:
      - {id: small-0, address: "127.0.0.1:7001"}
tenants:                            # none: no key is needed
  - {name: acme, key_sha256: [<64 hex digits>], pools: [small]}   # no pools: all of them
policies:                           # fields as in topology.proto
  - {name: thrifty, strategy: qualityFloor, quality_floor: 0.7}
"""

from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from router.fleet.file_fields import Count, Dollars, Figure, Name, Sha256, Strict
from router.fleet.policy_file import PolicyEntry
from router.fleet.specs import BudgetSpec, HostingSpec, PoolSpec, ReplicaSpec, TenantSpec, Topology, TopologyRefused, Window
from router.snapshot import Prices, Role, Tier


class PricesEntry(Strict):
    """What is left out costs nothing."""

    input_usd_per_mtok: Dollars = 0.0
    cached_input_usd_per_mtok: Dollars = 0.0
    output_usd_per_mtok: Dollars = 0.0

    def value(self) -> Prices:
        return Prices(self.input_usd_per_mtok, self.cached_input_usd_per_mtok, self.output_usd_per_mtok)


class HostingEntry(Strict):
    """Of one replica. What is left out costs nothing and takes nothing; no `tokens_per_s`: what is measured."""

    usd_per_hour: Dollars = 0.0
    tokens_per_s: Figure = 0.0
    power_w: Figure = 0.0
    pue: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    carbon_g_per_kwh: Figure = 0.0
    water_site_l_per_kwh: Figure = 0.0
    water_source_l_per_kwh: Figure = 0.0

    def value(self) -> HostingSpec:
        return HostingSpec(**self.model_dump())


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
    replicas: list[ReplicaEntry] = Field(default=[])
    role: Role = "aggregated"
    prefill_pool: str = ""
    ttft_ms: Count = 0
    tpot_ms: Count = 0
    cold_start_wait_s: Count = 0
    hosting: HostingEntry | None = None

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
            self.hosting.value() if self.hosting else None,
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
    pools: list[Name] = Field(default=[])
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


class TopologyEntry(Strict):
    """`version` may be left out: what counts is that the content changed."""

    version: int = Field(default=0, ge=0)
    pools: list[PoolEntry]
    tenants: list[TenantEntry] = Field(default=[])
    policies: list[PolicyEntry] = Field(default=[])

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
