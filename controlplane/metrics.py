"""What the control plane tells Prometheus. Every name that it exports is declared here."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX = "headgate_controlplane_"
RECONCILE_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """One ModelPool, as its status has it."""

    namespace: str
    name: str
    wanted: int
    ready: int
    available: bool
    degraded: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """What is read when somebody asks. `calls` are requests to the API server by (verb, resource)."""

    leading: bool
    synced: bool
    queue_depth: int
    queue_busy: int
    objects: Mapping[str, int]
    calls: Mapping[tuple[str, str], int]
    watch_restarts: int
    topology_version: int
    topology_pushes: int
    routers: int
    reports: int
    reports_refused: int
    pools: tuple[PoolFigures, ...]


class Source(Protocol):
    def figures(self) -> Figures: ...


class Metrics:
    """`page` is the exposition. Reconciles are counted as they happen, the rest is read from `source`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reconciles = Counter(f"{PREFIX}reconciles", "Reconciles.", ("kind", "outcome"), registry=self.registry)
        self._seconds = Histogram(
            f"{PREFIX}reconcile_seconds",
            "One reconcile, API calls included.",
            ("kind",),
            buckets=RECONCILE_BUCKETS_S,
            registry=self.registry,
        )
        self._writes = Counter(f"{PREFIX}writes", "Objects applied or deleted.", ("kind", "what"), registry=self.registry)
        self._up = Gauge(f"{PREFIX}start_time_seconds", "When this process started, Unix time.", registry=self.registry)
        self._up.set_to_current_time()

    def read_from(self, source: Source) -> None:
        self.registry.register(_Figures(source.figures))

    def reconciled(self, kind: str, outcome: str, seconds: float) -> None:
        """`outcome` is ok, retry, refused or failed."""
        self._reconciles.labels(kind, outcome).inc()
        self._seconds.labels(kind).observe(seconds)

    def wrote(self, kind: str, what: str) -> None:
        """`what` is apply, status or delete."""
        self._writes.labels(kind, what).inc()

    def page(self) -> bytes:
        """The exposition: text/plain; version=0.0.4."""
        return generate_latest(self.registry)


class _Figures(Collector):
    def __init__(self, read: Callable[[], Figures]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        seen = self._read()
        yield _gauge("leading", "1 on the replica that acts.", seen.leading)
        yield _gauge("synced", "1 once the whole cluster has been listed.", seen.synced)
        yield _gauge("queue_depth", "Keys that wait for a reconcile.", seen.queue_depth)
        yield _gauge("queue_busy", "Keys that are reconciled now.", seen.queue_busy)
        yield _gauge("routers", "Routers that watch the topology here.", seen.routers)
        yield _gauge("topology_version", "Version of the newest topology.", seen.topology_version)
        yield _counter("topology_pushes", "Topologies sent to routers.", seen.topology_pushes)
        yield _counter("reports", "Load reports taken from routers.", seen.reports)
        yield _counter("reports_refused", "Load reports that made no sense.", seen.reports_refused)
        yield _counter("watch_restarts", "Times that watching had to start anew.", seen.watch_restarts)
        objects = GaugeMetricFamily(f"{PREFIX}objects", "Objects in the cache.", labels=["kind"])
        for kind, count in seen.objects.items():
            objects.add_metric([kind], count)
        calls = CounterMetricFamily(
            f"{PREFIX}api_requests", "Requests to the API server, but watches.", labels=["verb", "resource"]
        )
        for (verb, resource), number in seen.calls.items():
            calls.add_metric([verb, resource], number)
        yield from (objects, calls, *_pools(seen.pools))


def _pools(pools: tuple[PoolFigures, ...]) -> Iterator[Metric]:
    labels = ["namespace", "name"]
    wanted = GaugeMetricFamily(f"{PREFIX}pool_wanted_replicas", "Replicas that a pool should have.", labels=labels)
    ready = GaugeMetricFamily(f"{PREFIX}pool_ready_replicas", "Replicas that are ready.", labels=labels)
    available = GaugeMetricFamily(f"{PREFIX}pool_available", "1 while the pool is Available.", labels=labels)
    degraded = GaugeMetricFamily(f"{PREFIX}pool_degraded", "1 while the pool is Degraded.", labels=labels)
    for pool in pools:
        label = [pool.namespace, pool.name]
        wanted.add_metric(label, pool.wanted)
        ready.add_metric(label, pool.ready)
        available.add_metric(label, pool.available)
        degraded.add_metric(label, pool.degraded)
    yield from (wanted, ready, available, degraded)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}{name}", text, value=float(value))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}{name}", text, value=value)
