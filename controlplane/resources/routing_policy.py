"""RoutingPolicy (headgate.dev/v1alpha1): how a pool is chosen for requests that leave the choice to the router."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controlplane.resources.kube_model import Distinct, KubeModel, Rule
from controlplane.resources.scalars import DnsLabel, Share

Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class Weights(KubeModel):
    """quality − λ·cost − penalty(SLO), each term weighed; 0 leaves a term out."""

    quality: Weight = Field(default=1.0, description="Predicted quality of the answer.")
    cost: Weight = Field(default=1.0, description="Predicted cost, USD.")
    latency: Weight = Field(default=1.0, description="How far predicted TTFT and TPOT miss their objectives.")
    energy: Weight = Field(default=0.0, description="Predicted energy, Wh.")
    carbon: Weight = Field(default=0.0, description="Predicted carbon, g CO2e.")


class Cascade(KubeModel):
    """Ask a cheap pool first; go on to the next while the answer's own evidence is weak."""

    pools: Annotated[list[DnsLabel], Distinct()] = Field(
        min_length=2, max_length=8, description="In the order in which they are asked."
    )
    min_confidence: Share = Field(default=0.5, description="An answer with less evidence than this is asked for again.")
    max_cost_usd: float | None = Field(
        default=None, gt=0, le=1000, allow_inf_nan=False, description="USD for one request, all tries together."
    )


class ChunkSearch(KubeModel):
    """Choice of retrieved chunks (CORAG)."""

    enabled: bool = Field(default=True, description="Choose and order them; otherwise all go in as they came.")
    deadline_ms: int = Field(
        default=5, ge=1, le=1000, description="Time for the search, milliseconds; the best set so far is taken."
    )
    max_tokens: int | None = Field(default=None, ge=1, le=10000000, description="Longest chunk set, tokens.")


class Canary(KubeModel):
    """A share of the requests goes to this pool."""

    pool: DnsLabel = Field(description="The ModelPool.")
    percent: int = Field(ge=0, le=100, description="Of the requests that leave the choice to the router.")


class RoutingPolicySpec(KubeModel):
    """What is wanted."""

    strategy: Literal["balanced", "qualityFloor", "budget", "fixed"] = Field(
        default="balanced",
        description="balanced: the best of quality, cost and latency as weighed; qualityFloor: the cheapest good enough; "
        "budget: the best that the tenant's budget lasts for; fixed: one pool.",
    )
    pool: DnsLabel | None = Field(default=None, description="strategy fixed: the pool.")
    quality_floor: Share | None = Field(
        default=None, description="strategy qualityFloor: the least predicted quality; then the cheapest."
    )
    weights: Weights = Weights()
    cascade: Cascade | None = None
    chunks: ChunkSearch = ChunkSearch()
    canaries: Annotated[list[Canary], Distinct("pool")] = Field(
        default=[], max_length=8, description="Pools that get a fixed share of the requests, whatever the strategy."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(self.strategy == 'fixed') == has(self.pool)",
            "strategy fixed needs pool, and only it has one",
            lambda s: (s.strategy == "fixed") == (s.pool is not None),
            "pool",
        ),
        Rule(
            "(self.strategy == 'qualityFloor') == has(self.qualityFloor)",
            "strategy qualityFloor needs qualityFloor, and only it has one",
            lambda s: (s.strategy == "qualityFloor") == (s.quality_floor is not None),
            "qualityFloor",
        ),
        Rule(
            "!has(self.canaries) || self.canaries.map(c, c.percent).sum() <= 100",
            "canaries must not exceed 100 percent together",
            lambda s: sum(c.percent for c in s.canaries) <= 100,
            "canaries",
        ),
    )
