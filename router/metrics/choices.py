"""Counts what was chosen and what it took: predicted quality, trying pools out, cascades, energy, carbon, water."""

from prometheus_client import Counter, Histogram

from router.metrics import buckets
from router.metrics.makers import Makers
from router.request import Decision, Used


class ChoiceCounts:
    """`payer` is a tenant whose label is bounded already; pools are as many as the topology has."""

    def __init__(self, make: Makers) -> None:
        self._quality = make.histogram("predicted_quality", "Of the pools that answered, 0 to 1.", buckets.SHARE, "pool")
        self._explored = make.counter("explored", "Answers of pools that were taken to learn about them.", "pool")
        self._escalations = make.counter("escalations", "Answers that were not good enough (cascade).", "from", "to")
        self._energy = make.counter("energy_wh", "Of answers, as estimated from their pool's figures.", "pool", "tenant")
        self._carbon = make.counter("carbon_g", "Of answers, as estimated from their pool's figures.", "pool", "tenant")
        self._water = make.counter("water_ml", "Of answers, as estimated from their pool's figures.", "pool", "tenant")

        # Looking children up takes longer than writing to them.
        self._qualities: dict[str, Histogram] = {}
        self._meters: dict[tuple[str, str], tuple[Counter, Counter, Counter]] = {}

    def chosen(self, decision: Decision) -> None:
        if decision.quality is not None:
            pool = decision.pool
            quality = self._qualities.get(pool) or self._qualities.setdefault(pool, self._quality.labels(pool))
            quality.observe(decision.quality)
        if decision.exploring:
            self._explored.labels(decision.pool).inc()

    def escalated(self, from_pool: str, to_pool: str) -> None:
        self._escalations.labels(from_pool, to_pool).inc()

    def took(self, used: Used, pool: str, payer: str) -> None:
        key = (pool, payer)
        meters = self._meters.get(key)
        if meters is None:
            meters = self._meters[key] = self._energy.labels(*key), self._carbon.labels(*key), self._water.labels(*key)
        energy, carbon, water = meters
        energy.inc(used.energy_wh)
        carbon.inc(used.carbon_g)
        water.inc(used.water_ml)
