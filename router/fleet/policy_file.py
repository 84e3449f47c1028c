"""Routing policies in a topology file: Policy of topology.proto, parsed strictly."""

from pydantic import Field

from router.fleet.checks import MOST_SAMPLES
from router.fleet.file_fields import Count, Dollars, Figure, Name, Share, Strict
from router.fleet.specs import CanarySpec, CascadeSpec, ChunkSearchSpec, Evidence, PolicySpec, PolicyWeights, Strategy


class WeightsEntry(Strict):
    quality: Figure = PolicyWeights().quality
    cost: Figure = PolicyWeights().cost
    latency: Figure = PolicyWeights().latency
    energy: Figure = 0.0
    carbon: Figure = 0.0
    water: Figure = 0.0

    def value(self) -> PolicyWeights:
        return PolicyWeights(**self.model_dump())


class CascadeEntry(Strict):
    pools: list[Name] = Field(min_length=2)
    min_confidence: Share = 0.5
    max_cost_usd: Dollars | None = None
    evidence: Evidence = "logprob"
    samples: int = Field(default=3, ge=1, le=MOST_SAMPLES)

    def value(self) -> CascadeSpec:
        return CascadeSpec(tuple(self.pools), self.min_confidence, self.max_cost_usd, self.evidence, self.samples)


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
    canaries: list[CanaryEntry] = Field(default=[])
    custom: str = ""
    explore_share: Share = 0.0

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
            self.custom,
            self.explore_share,
        )
