"""The figures that `headgate top` shows, from two readings of a router's metrics page. Pure; drawing is in cli/top.py."""

from collections.abc import Mapping
from dataclasses import dataclass

from cli.router_page import Labels, Page, quantile

_PREFIX = "headgate_router_"


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A pool now. `running` and `waiting` are averages over its ready replicas; `kv_used` is 0 to 1; cost and energy since the
    start. `quality` is the mean of what was predicted of its answers, None where nothing was.
    """

    name: str
    ready: int
    in_flight: int
    running: float
    waiting: float
    kv_used: float
    cost_usd: float
    cost_usd_per_hour: float
    quality: float | None
    energy_wh: float


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model over the window. None: nothing happened that could be measured. `cached_share` is 0 to 1."""

    name: str
    answers: int
    answers_per_s: float
    tokens_in_per_s: float
    tokens_out_per_s: float
    cached_share: float | None
    ttft_p50_s: float | None
    ttft_p95_s: float | None


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """A budget that was asked for lately; `spent_usd` has what is reserved."""

    tenant: str
    window: str
    limit_usd: float
    spent_usd: float
    hard: bool

    @property
    def share(self) -> float:
        return self.spent_usd / self.limit_usd if self.limit_usd > 0 else 1.0


@dataclass(frozen=True, slots=True)
class Board:
    """One frame. Counts are since the router started.

    refused     requests for which no budget was left
    escalated   answers that were not good enough, so that a stronger pool was asked
    explored    answers of pools that were taken to learn about them
    budgets     the scarcest first
    standing    what the trained choice goes by (docs/learning.md); "" where there is none
    """

    pools: tuple[PoolRow, ...]
    models: tuple[ModelRow, ...]
    running: int
    answers: int
    errors: int
    resumed: int
    cost_usd: float
    refused: int
    escalated: int
    explored: int
    budgets: tuple[BudgetRow, ...]
    standing: str


def board(now: Page, before: Page, seconds: float, measured_from: Page | None = None) -> Board:
    """Rates are from `before` to `now`, `seconds` apart; TTFT and cache hits from `measured_from`, else from `before`."""
    since = before if measured_from is None else measured_from
    names = now.by(_PREFIX + "ready_endpoints", "name")
    models = now.by(_PREFIX + "request_total", "target_model_name")
    return Board(
        pools=tuple(_pool(name, now, before, seconds) for name in names),
        models=tuple(
            _model(name, now, before, seconds, since) for name in sorted(models) if name
        ),  # "": failed before a model had it
        running=int(_total(now, "request_running")),
        answers=int(_total(now, "request_total")),
        errors=int(_total(now, "request_error_total")),
        resumed=int(_total(now, "request_resumed_total")),
        cost_usd=_total(now, "request_cost_usd_total"),
        refused=int(_total(now, "budget_refused_total")),
        escalated=int(_total(now, "escalations_total")),
        explored=int(_total(now, "explored_total")),
        budgets=_budgets(now),
        standing=next((state for state, on in now.by(_PREFIX + "drift_state", "state").items() if on), ""),
    )


def _pool(name: str, now: Page, before: Page, seconds: float) -> PoolRow:
    def value(metric: str, label: str = "name", page: Page = now) -> float:
        return page.by(_PREFIX + metric, label).get(name, 0.0)

    cost_usd = value("request_cost_usd_total", "pool")
    spent_usd = cost_usd - value("request_cost_usd_total", "pool", before)
    predicted = value("predicted_quality_count", "pool")
    return PoolRow(
        name=name,
        ready=int(value("ready_endpoints")),
        in_flight=int(value("in_flight")),
        running=value("average_running_requests"),
        waiting=value("average_queue_size"),
        kv_used=value("average_kv_cache_utilization"),
        cost_usd=cost_usd,
        cost_usd_per_hour=max(spent_usd, 0.0) / seconds * 3600,
        quality=value("predicted_quality_sum", "pool") / predicted if predicted else None,
        energy_wh=value("energy_wh_total", "pool"),
    )


def _budgets(now: Page) -> tuple[BudgetRow, ...]:
    def of(metric: str, labels: Labels) -> float:
        return now.samples.get(_PREFIX + metric, {}).get(labels, 0.0)

    rows = []
    for labels, limit_usd in now.samples.get(_PREFIX + "budget_limit_usd", {}).items():
        named, spent_usd = dict(labels), of("budget_spent_usd", labels)
        rows.append(
            BudgetRow(named.get("tenant", ""), named.get("window", ""), limit_usd, spent_usd, bool(of("budget_hard", labels)))
        )
    return tuple(sorted(rows, key=lambda row: (-row.share, row.tenant, row.window)))


def _model(name: str, now: Page, before: Page, seconds: float, since: Page) -> ModelRow:
    def grown(metric: str, start: Page) -> float:
        label = "target_model_name"
        # A router that was restarted counts from zero again: what it counted then is all that is known.
        current, then = (page.by(_PREFIX + metric, label).get(name, 0.0) for page in (now, start))
        return current - then if current >= then else current

    prompt_tokens = grown("request_input_tokens_sum", since)
    buckets = _ttft_buckets(name, now, since)
    return ModelRow(
        name=name,
        answers=int(now.by(_PREFIX + "request_total", "target_model_name").get(name, 0.0)),
        answers_per_s=grown("request_total", before) / seconds,
        tokens_in_per_s=grown("request_input_tokens_sum", before) / seconds,
        tokens_out_per_s=grown("request_output_tokens_sum", before) / seconds,
        cached_share=grown("request_cached_tokens_sum", since) / prompt_tokens if prompt_tokens else None,
        ttft_p50_s=quantile(buckets, 0.5),
        ttft_p95_s=quantile(buckets, 0.95),
    )


def _ttft_buckets(model: str, now: Page, since: Page) -> list[tuple[float, float]]:
    current, then = _counts(model, now), _counts(model, since)
    if any(count < then.get(bound, 0.0) for bound, count in current.items()):
        then = {}
    return [(bound, count - then.get(bound, 0.0)) for bound, count in current.items()]


def _counts(model: str, page: Page) -> dict[float, float]:
    """Cumulative counts by upper bound, over every other label of the model."""
    found: Mapping[Labels, float] = page.samples.get(_PREFIX + "request_ttft_seconds_bucket", {})
    counts: dict[float, float] = {}
    for labels, value in found.items():
        named = dict(labels)
        if named.get("target_model_name") == model:
            bound = float(named["le"])
            counts[bound] = counts.get(bound, 0.0) + value
    return counts


def _total(page: Page, metric: str) -> float:
    return sum(page.samples.get(_PREFIX + metric, {}).values())
