"""Reads a router's metrics page: fetched over HTTP, parsed into plain numbers. Knows the metric names, and only here."""

import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_S = 5.0
# A proxy from the environment can't reach this machine's own addresses.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Page:
    """Samples by name, then by labels."""

    samples: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)

    def by(self, name: str, label: str) -> dict[str, float]:
        """The metric's values summed over all labels but one."""
        sums: dict[str, float] = {}
        for labels, value in self.samples.get(name, {}).items():
            key = dict(labels).get(label, "")
            sums[key] = sums.get(key, 0.0) + value
        return sums


def fetch(url: str) -> Page:
    """The page of the router at `url` (http://host:port). Raises OSError when it can't be had."""
    with _direct.open(f"{url}/metrics", timeout=_TIMEOUT_S) as answer:
        return parse(answer.read().decode("utf-8"))


def parse(text: str) -> Page:
    samples: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return Page(samples)


def ready_replicas(url: str) -> dict[str, int]:
    """Ready replicas by pool, as the router sees them now; nothing while it can't say."""
    try:
        return {pool: int(count) for pool, count in fetch(url).by("headgate_router_ready_endpoints", "name").items()}
    except (OSError, ValueError):
        return {}


def quantile(buckets: Iterable[tuple[float, float]], share: float) -> float | None:
    """The value below which `share` of the observations lie, from a histogram's (upper bound, cumulative count) pairs.

    Linear within a bucket, as PromQL's histogram_quantile; None without observations.
    """
    ordered = sorted(buckets)
    if not ordered or ordered[-1][1] <= 0:
        return None
    rank = share * ordered[-1][1]
    below_bound, below_count = 0.0, 0.0
    for bound, count in ordered:
        if count >= rank:
            if bound == float("inf"):
                return below_bound
            inside = count - below_count
            return below_bound + (bound - below_bound) * ((rank - below_count) / inside if inside else 1.0)
        below_bound, below_count = bound, count
    return below_bound
