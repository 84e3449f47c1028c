"""Makes the metrics that are counted as things happen, all in one registry and under one prefix."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from router.metrics.families import PREFIX


class Makers:
    """Names come without the prefix; counters without `_total`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self._registry)

    def gauge(self, name: str, text: str) -> Gauge:
        return Gauge(PREFIX + name, text, registry=self._registry)

    def histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(PREFIX + name, text, labels, buckets=buckets, registry=self._registry)
