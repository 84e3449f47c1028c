"""What headgate.yaml says of money: prices and hosting of pools, tenants and their budgets, policies. As in topology.proto."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cli.stack.faults import Fault

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Figure = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**32)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceSettings(Strict):
    """USD per million tokens."""

    input_usd_per_mtok: Usd = 0.0
    cached_input_usd_per_mtok: Usd = 0.0
    output_usd_per_mtok: Usd = 0.0


class HostingSettings(Strict):
    """What one replica takes to run: where a pool has no prices, they follow from it (docs/prices.md)."""

    usd_per_hour: Figure = 0.0
    tokens_per_s: Figure = 0.0
    power_w: Figure = 0.0
    pue: Annotated[float, Field(ge=1, le=1e9, allow_inf_nan=False)] = 1.0
    carbon_g_per_kwh: Figure = 0.0
    water_site_l_per_kwh: Figure = 0.0
    water_source_l_per_kwh: Figure = 0.0


class TenantBudget(Strict):
    """USD in each window, in UTC; `hard`: what would exceed it is refused (docs/budgets.md)."""

    usd: Usd
    window: Literal["", "hour", "day", "week", "month"] = ""
    hard: bool = False


class WeightsSettings(Strict):
    """What is left out has the router's own weight."""

    quality: Figure | None = None
    cost: Figure | None = None
    latency: Figure | None = None
    energy: Figure | None = None
    carbon: Figure | None = None
    water: Figure | None = None


class CascadeSettings(Strict):
    pools: Annotated[tuple[Name, ...], Field(min_length=2)]
    min_confidence: Share = 0.5
    max_cost_usd: Usd | None = None
    evidence: Literal["logprob", "agreement", "verifier"] = "logprob"
    samples: Annotated[int, Field(ge=1, le=16)] = 3


class ChunksSettings(Strict):
    enabled: bool = True
    deadline_ms: Count = 5
    max_tokens: Count | None = None


class CanarySettings(Strict):
    pool: Name
    percent: Annotated[int, Field(ge=0, le=100)]


class PolicySettings(Strict):
    """How a pool is chosen for requests that leave the choice to the router."""

    name: Name
    strategy: Literal["balanced", "qualityFloor", "budget", "fixed", "custom"] = "balanced"
    pool: str = ""
    quality_floor: Share | None = None
    weights: WeightsSettings = WeightsSettings()
    cascade: CascadeSettings | None = None
    chunks: ChunksSettings = ChunksSettings()
    canaries: tuple[CanarySettings, ...] = ()
    custom: str = ""
    explore_share: Share = 0.0

    def document(self) -> dict[str, Any]:
        """As an entry of the topology; what was left out stays left out."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True)


class TenantSettings(Strict):
    """`key_sha256`: the SHA-256 of each API key in hex (`printf %s KEY | sha256sum`); none for one that is only a `parent`.

    `pools` empty: every pool. The budget of a parent holds for those below it, too.
    """

    name: Name
    key_sha256: tuple[Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")], ...] = ()
    pools: tuple[str, ...] = ()
    parent: str = ""
    budget: TenantBudget | None = None
    policy: str = ""


def payer_faults(
    tenants: Sequence[TenantSettings], policies: Sequence[PolicySettings], pools: Sequence[str]
) -> Iterator[Fault]:
    """Names that lead nowhere, circles, tenants that nobody can be, and budgets that can't be kept."""
    names = [tenant.name for tenant in tenants]
    parents = {tenant.name: tenant.parent for tenant in tenants}
    titles = [policy.name for policy in policies]
    for t, tenant in enumerate(tenants):
        path = f"tenants.{t}"
        if tenant.name in names[:t]:
            yield Fault(f"{path}.name", f"another tenant is called {tenant.name!r} already")
        if tenant.parent and tenant.parent not in names:
            yield Fault(f"{path}.parent", f"no tenant is called {tenant.parent!r}; there are {', '.join(names)}")
        elif tenant.name in _above(tenant.name, parents):
            yield Fault(f"{path}.parent", f"{tenant.name!r} would be above itself")
        if tenant.policy and tenant.policy not in titles:
            yield Fault(f"{path}.policy", f"no policy is called {tenant.policy!r}; there are {', '.join(titles) or 'none'}")
        if not tenant.key_sha256 and tenant.name not in parents.values():
            yield Fault(f"{path}.key_sha256", "is needed: only a tenant who is another's parent can do without a key")
        if tenant.budget is not None and tenant.budget.hard and not tenant.budget.window:
            yield Fault(f"{path}.budget.window", "is needed for a hard budget: hour, day, week or month")
    for p, policy in enumerate(policies):
        if policy.name in titles[:p]:
            yield Fault(f"policies.{p}.name", f"another policy is called {policy.name!r} already")
        for where, pool in _pools_of(policy):
            if pool not in pools:
                yield Fault(f"policies.{p}.{where}", f"no pool is called {pool!r}; there are {', '.join(pools)}")


def _above(name: str, parents: dict[str, str]) -> set[str]:
    found: set[str] = set()
    above = parents.get(name, "")
    while above and above not in found:
        found.add(above)
        above = parents.get(above, "")
    return found


def _pools_of(policy: PolicySettings) -> Iterator[tuple[str, str]]:
    if policy.pool:
        yield "pool", policy.pool
    for number, pool in enumerate(policy.cascade.pools if policy.cascade is not None else ()):
        yield f"cascade.pools.{number}", pool
    for number, canary in enumerate(policy.canaries):
        yield f"canaries.{number}.pool", canary.pool
