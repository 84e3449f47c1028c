"""Figures of pools, of the topology and of load reports, read when somebody asks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from prometheus_client.core import Metric

from router.metrics.families import counter, gauge, gauges
from router.snapshot import Fleet


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


class FleetFigures:
    """Averages are over the replicas that are ready."""

    def __init__(self, fleet: FleetSource) -> None:
        self._fleet = fleet
        self.topology: Callable[[], TopologyState] | None = None
        self.reports: Callable[[], ReportState] | None = None

    def collect(self) -> Iterator[Metric]:
        fleet = self._fleet.view()
        yield from _pools(fleet)
        state = self.topology() if self.topology is not None else TopologyState(fleet.version, 0.0, True)
        yield gauge("topology_version", "Version of the topology in use.", state.version)
        if self.topology is not None:
            yield gauge("topology_age_seconds", "For how long it may have been out of date; 0 while connected.", state.age_s)
            yield gauge("topology_connected", "1 while the source is there and makes sense.", float(state.connected))
            yield counter("topology_refused", "Topologies that made no sense.", state.refused)
        if self.reports is not None:
            reports = self.reports()
            yield counter("load_reports", "Load reports that the control plane took.", reports.sent)
            yield counter("load_report_failures", "Load reports that did not reach it.", reports.failed)


def _pools(fleet: Fleet) -> Iterator[Metric]:
    kv_used, queue, running, ready, in_flight = [], [], [], [], []
    for pool in fleet.pools:
        rows, name = pool.rows, (pool.name,)
        up = fleet.ready[rows]
        count = int(up.sum())
        some = max(count, 1)
        kv_used.append((name, float(fleet.kv_used[rows][up].sum()) / some))
        queue.append((name, float(fleet.waiting[rows][up].sum()) / some))
        running.append((name, float(fleet.running[rows][up].sum()) / some))
        ready.append((name, float(count)))
        in_flight.append((name, float(fleet.in_flight[rows].sum())))
    yield gauges("average_kv_cache_utilization", "KV cache in use, 0 to 1.", ("name",), kv_used)
    yield gauges("average_queue_size", "Requests waiting in a replica.", ("name",), queue)
    yield gauges("average_running_requests", "Requests running in a replica.", ("name",), running)
    yield gauges("ready_endpoints", "Replicas that take requests.", ("name",), ready)
    yield gauges("in_flight", "Requests that this router has given out and not seen end.", ("name",), in_flight)
