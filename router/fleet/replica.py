"""What the store holds of one replica, and what follows from its reports. No clock, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from types import MappingProxyType
from typing import Literal

from router.fleet.breaker import CircuitState
from router.fleet.hosting import footprint_of, prices_of
from router.fleet.revisions import RevisionCount
from router.fleet.specs import Phase, PoolSpec, ReplicaSpec, Report
from router.fleet.throughput import ASSUMED_TOKENS_PER_S, Meter
from router.snapshot import Pool

# Far above what an engine holds, and far enough below 2**31 that sums of a few such figures fit an int32.
MOST_REQUESTS = 1_000_000
# The fields of a Pool that follow from what its replicas report.
_REPORTED = (
    "engine",
    "simulated",
    "embeddings",
    "max_context_tokens",
    "reports_token_ids",
    "parses_tool_calls",
    "kv_block_tokens",
    "known",
)


@dataclass(slots=True)
class Replica:
    """`row` is its place in the arrays. `told_models`: the misfit that was last logged, so that it is logged once.

    usable   reachable, READY, staying, and serving what its pool serves; kept by `judge`
    count    what is counted of its revision, shared with the revision's other replicas
    meter    what it has been seen to do
    """

    spec: ReplicaSpec
    pool: PoolSpec
    row: int
    count: RevisionCount
    report: Report | None = None
    reachable: bool = False
    usable: bool = False
    told_models: tuple[str, ...] | None = None
    meter: Meter = field(default_factory=Meter)

    @property
    def fits(self) -> bool:
        """Whether it serves the model that its pool stands for."""
        return self.report is not None and self.pool.models[0] in self.report.models

    def judge(self) -> bool:
        """Works out `usable` anew, after anything it follows from has changed."""
        ready = self.report is not None and self.report.phase == "ready"
        self.usable = self.reachable and not self.spec.draining and ready and self.fits
        return self.usable


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """One replica for metrics and people. `phase` is the last reported one, "unknown" before the first report."""

    id: str
    pool: str
    address: str
    draining: bool
    phase: Phase | Literal["unknown"]
    reachable: bool
    fits: bool
    circuit: CircuitState
    in_flight: int
    report: Report | None

    @classmethod
    def of(cls, replica: Replica, circuit: CircuitState, in_flight: int) -> "ReplicaStatus":
        return cls(
            id=replica.spec.id,
            pool=replica.pool.name,
            address=replica.spec.address,
            draining=replica.spec.draining,
            phase=replica.report.phase if replica.report else "unknown",
            reachable=replica.reachable,
            fits=replica.fits,
            circuit=circuit,
            in_flight=in_flight,
            report=replica.report,
        )


def believed_requests(count: int) -> int:
    """A reported number of requests, brought into a range that can't hurt. 0 stays 0: not known."""
    return count if 0 <= count <= MOST_REQUESTS else (0 if count < 0 else MOST_REQUESTS)


def believed_share(share: float) -> float:
    """A reported share, 0 to 1. What is not a number counts as full: nothing is sent for its sake."""
    if 0.0 <= share <= 1.0:
        return share
    return 0.0 if share < 0.0 else 1.0


def cache_is_void(before: Report, now: Report) -> bool:
    """Whether everything the replica had cached is gone."""
    return before.incarnation != now.incarnation or before.cache_clears_total != now.cache_clears_total


def same_abilities(before: Report, now: Report) -> bool:
    """Whether nothing changed that the pool's own fields follow from. Models first: tuples of one parse rarely differ."""
    return (
        before.models == now.models
        and before.engine == now.engine
        and before.simulated == now.simulated
        and before.embeddings == now.embeddings
        and before.max_context_tokens == now.max_context_tokens
        and before.reports_token_ids == now.reports_token_ids
        and before.parses_tool_calls == now.parses_tool_calls
        and before.kv_block_tokens == now.kv_block_tokens
    )


def describe_pools(
    specs: Sequence[PoolSpec],
    replicas: Sequence[Replica],
    before: Sequence[Pool] = (),
    tokens_per_s: Mapping[str, float] = MappingProxyType({}),
) -> tuple[Pool, ...]:
    """`replicas` in row order: those of the first pool, then those of the second, … `before`: the pools as last described.
    `tokens_per_s`: by pool, the work of one replica that prices follow from where none are given.
    """
    stops = tuple(accumulate(len(spec.replicas) for spec in specs))
    known = {(pool.name, pool.models[0]): pool for pool in before}
    described = []
    for spec, stop in zip(specs, stops, strict=True):
        given = _as_given(spec, stop, tokens_per_s.get(spec.name, ASSUMED_TOKENS_PER_S))
        described.append(describe_pool(given, replicas[given.rows], known.get((spec.name, spec.models[0]))))
    return tuple(described)


def _as_given(spec: PoolSpec, stop: int, tokens_per_s: float) -> Pool:
    """The pool as far as its specification says, with replicas up to row `stop`."""
    return Pool(
        spec.name,
        spec.tier,
        spec.models,
        prices_of(spec, tokens_per_s),
        stop - len(spec.replicas),
        stop,
        role=spec.role,
        cold_start_wait_s=spec.cold_start_wait_s,
        footprint=footprint_of(spec.hosting, tokens_per_s),
        ttft_ms=spec.ttft_ms,
        tpot_ms=spec.tpot_ms,
    )


def describe_pool(given: Pool, replicas: Sequence[Replica], before: Pool | None = None) -> Pool:
    """The pool as decisions see it: an ability counts only where every replica has it, being simulated where any is.

    Usable replicas decide; while there are none, those that ever reported, and those of `before`, so that the last known answer
    stays: also of a pool that is scaled to zero.
    """
    reports = [r.report for r in replicas if r.usable and r.report] or [r.report for r in replicas if r.report]
    if not reports:
        told = {name: getattr(before, name) for name in _REPORTED} if before is not None else {"known": False}
        return replace(given, **told)
    contexts = [report.max_context_tokens for report in reports if report.max_context_tokens > 0]
    return replace(
        given,
        engine=", ".join(sorted({report.engine for report in reports})),
        simulated=any(report.simulated for report in reports),
        embeddings=all(report.embeddings for report in reports),
        max_context_tokens=min(contexts, default=0),
        reports_token_ids=all(report.reports_token_ids for report in reports),
        parses_tool_calls=all(report.parses_tool_calls for report in reports),
        kv_block_tokens=max(report.kv_block_tokens for report in reports),
    )
