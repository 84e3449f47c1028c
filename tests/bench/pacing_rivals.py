"""What `pacing` compares with: three simple ways to make a budget last, with the pacer's own methods."""

from bisect import bisect_left

import numpy as np

from tests.bench.pacing_load import Load

NEVER = 1e12  # quality per USD at which nothing but the cheapest is chosen


class FixedPrice:
    """One price for the whole window: the one at which the first tenth of its time would have spent a tenth of the money."""

    def __init__(self, load: Load, budget_usd: float) -> None:
        first = load.slice(0.0, load.end_s / 10)
        prices = [0.0, *np.geomspace(1e-4, 1e6, 400)]
        # Spending falls with the price, so its negative ascends.
        self._price = float(prices[min(bisect_left(prices, -budget_usd / 10, key=lambda price: -spend_usd(first, price)), 400)])

    def price(self, now_s: float) -> float:
        return self._price

    def decided(self, now_s: float, cost_usd: float, typical_usd: float | None = None) -> None:
        pass

    def spent(self, now_s: float, spent_usd: float) -> None:
        pass


class EvenThenCheapest:
    """The best while spending is behind an even plan, else the cheapest."""

    def __init__(self, load: Load, budget_usd: float) -> None:
        self._usd_per_s = budget_usd / load.end_s
        self._spent_usd = 0.0

    def price(self, now_s: float) -> float:
        return 0.0 if self._spent_usd <= self._usd_per_s * now_s else NEVER

    def decided(self, now_s: float, cost_usd: float, typical_usd: float | None = None) -> None:
        self._spent_usd += cost_usd

    def spent(self, now_s: float, spent_usd: float) -> None:
        self._spent_usd = spent_usd


class Proportional(EvenThenCheapest):
    """A price in proportion to how far spending is ahead: 1 % of the budget is half a mean request's worth of quality."""

    def __init__(self, load: Load, budget_usd: float) -> None:
        super().__init__(load, budget_usd)
        self._band_usd = 0.01 * budget_usd
        self._requests, self._usd = 0, 0.0

    def price(self, now_s: float) -> float:
        ahead = (self._spent_usd - self._usd_per_s * now_s) / self._band_usd
        return max(0.0, ahead) * 0.05 * self._requests / self._usd if self._usd else 0.0

    def decided(self, now_s: float, cost_usd: float, typical_usd: float | None = None) -> None:
        super().decided(now_s, cost_usd)
        self._requests += 1
        self._usd += cost_usd


def spend_usd(load: Load, price: float) -> float:
    """What all of the load costs at one price; the cheapest of equals."""
    return float(np.take_along_axis(load.cost_usd, picks(load, price)[:, None], 1).sum())


def picks(load: Load, price: float) -> np.ndarray:
    worth = load.quality - price * load.cost_usd
    best = worth >= worth.max(axis=1, keepdims=True)
    return np.where(best, load.cost_usd, np.inf).argmin(axis=1)
