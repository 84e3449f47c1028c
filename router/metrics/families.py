"""Small makers of metric families, for figures that are read when somebody scrapes. Names come without the prefix; counters
without `_total`.

    metrics.watch(lambda: [gauge("lease_usd", "Money taken in advance.", lease.left_usd)])
"""

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

PREFIX = "headgate_router_"

# Values of the labels, in their order, → figure. Of two rows with equal labels the last one counts.
Rows = Iterable[tuple[tuple[str, ...], float]]


def gauge(name: str, text: str, value: float) -> Metric:
    """What rises and falls."""
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def counter(name: str, text: str, value: float) -> Metric:
    """What only rises while the process lives."""
    return CounterMetricFamily(PREFIX + name, text, value=value)


def gauges(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    """One gauge per row."""
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for values, figure in dict(rows).items():
        family.add_metric(values, figure)
    return family


def counters(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    """One counter per row."""
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for values, figure in dict(rows).items():
        family.add_metric(values, figure)
    return family


def info(name: str, text: str, said: Mapping[str, str]) -> Metric:
    """Words as labels of a series that is 1; its name ends in `_info`."""
    family = InfoMetricFamily(PREFIX + name, text)
    family.add_metric([], dict(said))
    return family
