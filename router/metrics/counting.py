"""Counts requests as they happen. Owns no global state: one registry per `Metrics`.

Cheap on the request path: children of labelled metrics are looked up once per combination.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from router.metrics import buckets
from router.metrics.choices import ChoiceCounts
from router.metrics.fleet import FleetFigures, FleetSource, ReportState, TopologyState
from router.metrics.labels import BoundedLabel
from router.metrics.makers import Makers
from router.request import Embedding, Finished

_REQUEST_LABELS = ("model_name", "target_model_name", "fairness_id")

# Model asked for, model that answered, pool, tenant, streaming.
_Kind = tuple[str, str, str, str, bool]


@dataclass(frozen=True, slots=True)
class _Series:
    """The children that one kind of request writes to."""

    total: Counter
    duration: Histogram
    ttft: Histogram
    tpot: Histogram
    input_tokens: Histogram
    output_tokens: Histogram
    cached_tokens: Histogram
    cost_usd: Counter


class Metrics:
    """One per router process, written from its event loop. `page` is what /metrics answers."""

    def __init__(self, fleet: FleetSource, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._models, self._tenants, self._verdicts = BoundedLabel(), BoundedLabel(), BoundedLabel()
        self._series: dict[_Kind, _Series] = {}
        make = Makers(self.registry)
        self._declare_requests(make)
        self._choices = ChoiceCounts(make)
        self._running = make.gauge("request_running", "Requests under way.")
        self._errors = make.counter("request_error", "Requests that ended in an error.", "error_code")
        self._budget_refused = make.counter("budget_refused", "Requests that no budget was left for.", "tenant")
        self._resumed = make.counter("request_resumed", "Answers that went on at another replica.", "pool")
        self._decision = make.histogram("decision_seconds", "Choosing pool and replica.", buckets.DECISION_S)
        self._feedback = make.counter("feedback", "Answers that callers judged.", "pool", "label")
        self._changed = make.counter("feedback_changed", "Verdicts that a later one on the same answer replaced.", "pool")
        self._scores = make.histogram("feedback_score", "What verdicts were worth, 0 to 1.", buckets.SHARE, "pool")
        self._fleet = FleetFigures(fleet)
        self._watched = _Watched()
        self._watched.sources.append(self._fleet.collect)
        self.registry.register(self._watched)

    def started(self) -> None:
        self._running.inc()

    def ended(self) -> None:
        """Once for every `started`, however the request ended."""
        self._running.dec()

    def finished(self, event: Finished, tenant: str, model_name: str = "", *, streaming: bool = True) -> None:
        """A request that was answered whole. `model_name` is what the caller asked for; the pool where it is not told."""
        decision, usage = event.decision, event.usage
        key = (model_name or decision.pool, decision.model, decision.pool, tenant, streaming)
        series = self._series.get(key) or self._resolve(key)
        series.total.inc()
        series.duration.observe(event.total_s)
        series.ttft.observe(event.ttft_s)
        if usage.completion_tokens > 1:
            series.tpot.observe((event.total_s - event.ttft_s) / (usage.completion_tokens - 1))
        series.input_tokens.observe(usage.prompt_tokens)
        series.output_tokens.observe(usage.completion_tokens)
        series.cached_tokens.observe(usage.cached_tokens)
        series.cost_usd.inc(event.cost_usd)
        self._choices.chosen(decision)
        if event.used is not None:
            self._choices.took(event.used, decision.pool, self._tenants.bound(tenant))

    def embedded(self, found: Embedding, tenant: str) -> None:
        """An embedding call that was answered: what it cost and took."""
        pool, payer = found.decision.pool, self._tenants.bound(tenant)
        self._cost.labels(pool, payer).inc(found.cost_usd)
        if found.used is not None:
            self._choices.took(found.used, pool, payer)

    def failed(self, code: str, tenant: str = "", model_name: str = "") -> None:
        """A request that ended in an error. `code` is a HeadgateError's, so there are few."""
        self._errors.labels(code).inc()
        payer = self._tenants.bound(tenant)
        self._total.labels(self._models.bound(model_name), "", payer).inc()
        if code == "budget_exceeded":
            self._budget_refused.labels(payer).inc()

    def resumed(self, pool: str) -> None:
        self._resumed.labels(pool).inc()

    def escalated(self, from_pool: str, to_pool: str) -> None:
        """A cascade went on: the first pool's answer was not good enough."""
        self._choices.escalated(from_pool, to_pool)

    def decided(self, seconds: float) -> None:
        self._decision.observe(seconds)

    def judged(self, pool: str, score: float | None, label: str) -> None:
        """The first verdict on an answer. `score` None: it was a preference, or a label that stands for none."""
        self._feedback.labels(pool, self._verdicts.bound(label)).inc()
        if score is not None:
            self._scores.labels(pool).observe(score)

    def rejudged(self, pool: str) -> None:
        """A later verdict on the same answer: the first stays counted."""
        self._changed.labels(pool).inc()

    def watch(self, source: Callable[[], Iterable[Metric]]) -> None:
        """From now on the page has the families that `source` makes, each time somebody scrapes (`families.py` has makers)."""
        self._watched.sources.append(source)

    def watch_topology(self, state: Callable[[], TopologyState]) -> None:
        """From now on the page tells how old the topology is, and whether its source is there."""
        self._fleet.topology = state

    def watch_reports(self, state: Callable[[], ReportState]) -> None:
        """From now on the page tells of load reports."""
        self._fleet.reports = state

    def page(self) -> bytes:
        """The exposition: text/plain; version=0.0.4."""
        return generate_latest(self.registry)

    def _declare_requests(self, make: Makers) -> None:
        labels = _REQUEST_LABELS
        self._total = make.counter("request", "Requests that were answered or failed.", *labels)
        self._duration = make.histogram("request_duration_seconds", "Whole answer.", buckets.DURATION_S, *labels)
        self._ttft = make.histogram("request_ttft_seconds", "First token.", buckets.TTFT_S, *labels, "streaming")
        self._tpot = make.histogram("request_streaming_tpot_seconds", "Each later token.", buckets.TPOT_S, *labels)
        self._input = make.histogram("request_input_tokens", "Prompt tokens.", buckets.TOKENS, *labels)
        self._output = make.histogram("request_output_tokens", "Produced tokens.", buckets.TOKENS, *labels)
        self._cached = make.histogram("request_cached_tokens", "Prompt tokens that were cached.", (0, *buckets.TOKENS), *labels)
        self._cost = make.counter("request_cost_usd", "What answers cost.", "pool", "tenant")

    def _resolve(self, key: _Kind) -> _Series:
        """Looks children up for this kind of request. Kinds beyond the label bound share theirs and are not kept."""
        model_name, target, pool, tenant, streaming = key
        model, payer = self._models.bound(model_name), self._tenants.bound(tenant)
        labels = (model, target, payer)
        series = _Series(
            total=self._total.labels(*labels),
            duration=self._duration.labels(*labels),
            ttft=self._ttft.labels(*labels, str(streaming).lower()),
            tpot=self._tpot.labels(*labels),
            input_tokens=self._input.labels(*labels),
            output_tokens=self._output.labels(*labels),
            cached_tokens=self._cached.labels(*labels),
            cost_usd=self._cost.labels(pool, payer),
        )
        if model == model_name and payer == tenant:
            self._series[key] = series
        return series


class _Watched(Collector):
    """What is read from its owners when somebody scrapes."""

    def __init__(self) -> None:
        self.sources: list[Callable[[], Iterable[Metric]]] = []

    def collect(self) -> Iterator[Metric]:
        for source in self.sources:
            yield from source()
