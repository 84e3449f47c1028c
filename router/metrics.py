"""What the router counts, in Prometheus' form. Names and labels are those of the Gateway API's pickers under our own prefix, so
that their boards port by replacing the prefix. Owns no global state: one registry per `Metrics`.

Cheap on the request path: children of labelled metrics are looked up once per combination. Figures of the fleet cost nothing
until somebody scrapes them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.request import Finished
from router.snapshot import Fleet

PREFIX = "headgate_router_"
MOST_LABEL_VALUES = 1000
OTHER = "other"

# Latency and token buckets are the engine's (vLLM), so that router and engine can be laid over each other.
TTFT_BUCKETS_S: tuple[float, ...] = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0)
TTFT_BUCKETS_S += (2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0)
DURATION_BUCKETS_S: tuple[float, ...] = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0)
DURATION_BUCKETS_S += (120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0)
# The engine's begin at 10 ms; small models are faster than that.
TPOT_BUCKETS_S: tuple[float, ...] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
TPOT_BUCKETS_S += (2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
TOKEN_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 1_000_000)
DECISION_BUCKETS_S = (10e-6, 25e-6, 50e-6, 75e-6, 100e-6, 150e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 10e-3, 50e-3)
SCORE_BUCKETS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

_REQUEST_LABELS = ("model_name", "target_model_name", "fairness_id")


class FleetSource(Protocol):
    """Where the figures of pools come from."""

    def view(self) -> Fleet: ...


@dataclass(frozen=True, slots=True)
class TopologyState:
    """How the router stands with the source of its topology. `refused` topologies made no sense."""

    version: int
    age_s: float
    connected: bool
    refused: int = 0


@dataclass(frozen=True, slots=True)
class ReportState:
    """Load reports to replicas of the control plane: taken, and not."""

    sent: int
    failed: int


class BoundedLabel:
    """Values of one label that callers can choose: the first 1,000 as they are, all later ones as "other"."""

    def __init__(self, most: int = MOST_LABEL_VALUES) -> None:
        self._most = most
        self._known: set[str] = set()

    def bound(self, value: str) -> str:
        if value in self._known:
            return value
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(value)
        return value


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
        self._declare_requests()
        self._running = self._gauge("request_running", "Requests under way.")
        self._errors = self._counter("request_error", "Requests that ended in an error.", "error_code")
        self._resumed = self._counter("request_resumed", "Answers that went on at another replica.", "pool")
        self._decision = self._histogram("decision_seconds", "Choosing pool and replica.", DECISION_BUCKETS_S)
        self._feedback = self._counter("feedback", "Verdicts of callers.", "pool", "label")
        self._scores = self._histogram("feedback_score", "Scores that callers gave, 0 to 1.", SCORE_BUCKETS, "pool")
        self._collector = FleetCollector(fleet)
        self.registry.register(self._collector)

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

    def failed(self, code: str, tenant: str = "", model_name: str = "") -> None:
        """A request that ended in an error. `code` is a HeadgateError's, so there are few."""
        self._errors.labels(code).inc()
        self._total.labels(self._models.bound(model_name), "", self._tenants.bound(tenant)).inc()

    def resumed(self, pool: str) -> None:
        self._resumed.labels(pool).inc()

    def decided(self, seconds: float) -> None:
        self._decision.observe(seconds)

    def judged(self, pool: str, score: float, label: str) -> None:
        self._feedback.labels(pool, self._verdicts.bound(label)).inc()
        self._scores.labels(pool).observe(score)

    def watch_topology(self, state: Callable[[], TopologyState]) -> None:
        """From now on the page tells how old the topology is, and whether its source is there."""
        self._collector.topology = state

    def watch_reports(self, state: Callable[[], ReportState]) -> None:
        """From now on the page tells of load reports."""
        self._collector.reports = state

    def page(self) -> bytes:
        """The exposition: text/plain; version=0.0.4."""
        return generate_latest(self.registry)

    def _declare_requests(self) -> None:
        labels = _REQUEST_LABELS
        self._total = self._counter("request", "Requests that were answered or failed.", *labels)
        self._duration = self._histogram("request_duration_seconds", "Whole answer.", DURATION_BUCKETS_S, *labels)
        self._ttft = self._histogram("request_ttft_seconds", "First token.", TTFT_BUCKETS_S, *labels, "streaming")
        self._tpot = self._histogram("request_streaming_tpot_seconds", "Each later token.", TPOT_BUCKETS_S, *labels)
        self._input = self._histogram("request_input_tokens", "Prompt tokens.", TOKEN_BUCKETS, *labels)
        self._output = self._histogram("request_output_tokens", "Produced tokens.", TOKEN_BUCKETS, *labels)
        self._cached = self._histogram("request_cached_tokens", "Prompt tokens that were cached.", (0, *TOKEN_BUCKETS), *labels)
        self._cost = self._counter("request_cost_usd", "What answers cost.", "pool", "tenant")

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

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"{PREFIX}{name}", text, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}{name}", text, labels, buckets=buckets, registry=self.registry)


class FleetCollector(Collector):
    """Figures of pools and of the topology, read when somebody asks. Averages are over the replicas that are ready."""

    def __init__(self, fleet: FleetSource) -> None:
        self._fleet = fleet
        self.topology: Callable[[], TopologyState] | None = None
        self.reports: Callable[[], ReportState] | None = None

    def collect(self) -> Iterator[Metric]:
        fleet = self._fleet.view()
        yield from self._pools(fleet)
        state = self.topology() if self.topology is not None else TopologyState(fleet.version, 0.0, True)
        yield _gauge("topology_version", "Version of the topology in use.", state.version)
        if self.topology is not None:
            yield _gauge("topology_age_seconds", "For how long it may have been out of date; 0 while connected.", state.age_s)
            yield _gauge("topology_connected", "1 while the source is there and makes sense.", float(state.connected))
            yield _counter("topology_refused", "Topologies that made no sense.", state.refused)
        if self.reports is not None:
            reports = self.reports()
            yield _counter("load_reports", "Load reports that the control plane took.", reports.sent)
            yield _counter("load_report_failures", "Load reports that did not reach it.", reports.failed)

    @staticmethod
    def _pools(fleet: Fleet) -> Iterator[Metric]:
        kv_used = _pool_gauge("average_kv_cache_utilization", "KV cache in use, 0 to 1.")
        queue = _pool_gauge("average_queue_size", "Requests waiting in a replica.")
        running = _pool_gauge("average_running_requests", "Requests running in a replica.")
        ready = _pool_gauge("ready_endpoints", "Replicas that take requests.")
        in_flight = _pool_gauge("in_flight", "Requests that this router has given out and not seen end.")
        for pool in fleet.pools:
            rows, name = pool.rows, [pool.name]
            up = fleet.ready[rows]
            count = int(up.sum())
            some = max(count, 1)
            kv_used.add_metric(name, float(fleet.kv_used[rows][up].sum()) / some)
            queue.add_metric(name, float(fleet.waiting[rows][up].sum()) / some)
            running.add_metric(name, float(fleet.running[rows][up].sum()) / some)
            ready.add_metric(name, count)
            in_flight.add_metric(name, int(fleet.in_flight[rows].sum()))
        yield from (kv_used, queue, running, ready, in_flight)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}{name}", text, value=value)


def _counter(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(f"{PREFIX}{name}", text, value=value)


def _pool_gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}{name}", text, labels=["name"])
