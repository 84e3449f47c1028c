"""RoutingPolicy (headgate.dev/v1alpha1): how a pool is chosen for requests that leave the choice to the router."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controlplane.resources.kube_model import Distinct, KubeModel, Rule
from controlplane.resources.scalars import DnsLabel, Share

ChooserName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")]
Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class Weights(KubeModel):
    """What each term of the choice is worth, in predicted quality (0 to 1) unless said otherwise; 0 leaves a term out."""

    quality: Weight = Field(default=1.0, description="Per 1.0 of predicted quality.")
    cost: Weight = Field(
        default=0.2, description="How much better, in quality, an answer of the dearest pool must be than a free one."
    )
    latency: Weight = Field(
        default=0.2, description="Per 1.0 by which predicted TTFT misses its objective, relative to it; at most 1.0 counts."
    )
    energy: Weight = Field(default=0.0, description="Per Wh of predicted energy.")
    carbon: Weight = Field(default=0.0, description="Per g of predicted carbon (CO2e).")
    water: Weight = Field(default=0.0, description="Per ml of predicted water.")


class Cascade(KubeModel):
    """Ask a cheap pool first; go on to the next while the answer's own evidence is weak."""

    pools: Annotated[list[DnsLabel], Distinct()] = Field(
        min_length=2, max_length=8, description="In the order in which they are asked."
    )
    min_confidence: Share = Field(default=0.5, description="An answer with less evidence than this is asked for again.")
    max_cost_usd: float | None = Field(
        default=None, gt=0, le=1000, allow_inf_nan=False, description="USD for one request, all tries together."
    )
    evidence: Literal["logprob", "agreement", "verifier"] = Field(
        default="logprob",
        description="logprob: the mean probability of the answer's tokens; agreement: of several samples; verifier: what a "
        "class named in the routers' settings says. An answer that breaks the form asked for is weak with each.",
    )
    samples: int = Field(default=3, ge=1, le=16, description="evidence agreement: how many samples are drawn.")


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

    strategy: Literal["balanced", "qualityFloor", "budget", "fixed", "custom"] = Field(
        default="balanced",
        description="balanced: the best of quality, cost and latency as weighed; qualityFloor: the cheapest good enough; "
        "budget: the best that the tenant's budget lasts for; fixed: one pool; custom: a class of your own.",
    )
    pool: DnsLabel | None = Field(default=None, description="strategy fixed: the pool.")
    quality_floor: Share | None = Field(
        default=None, description="strategy qualityFloor: the least predicted quality; then the cheapest."
    )
    custom: ChooserName | None = Field(
        default=None, description="strategy custom: the name of a chooser in the routers' settings (choosers)."
    )
    explore_share: Share = Field(
        default=0.0,
        description="Part of what is spent that may go into trying pools whose quality is not known well enough.",
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
            "(self.strategy == 'custom') == has(self.custom)",
            "strategy custom needs custom, and only it has one",
            lambda s: (s.strategy == "custom") == (s.custom is not None),
            "custom",
        ),
        Rule(
            "!has(self.canaries) || self.canaries.map(c, c.percent).sum() <= 100",
            "canaries must not exceed 100 percent together",
            lambda s: sum(c.percent for c in s.canaries) <= 100,
            "canaries",
        ),
    )
