"""How a policy ranks pools: one small class per strategy, and the explicit map from names to them. Pure.

All of them maximise  quality − money − lateness − footprint, each in units of quality (0 to 1); they differ in what money is
worth, and in which pools count. A strategy of one's own is a class with `utilities`, named in the router's settings.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from router.choosing.pricing import Estimate
from router.choosing.terms import Terms
from router.request import Used
from router.snapshot import Pool


class Option(NamedTuple):
    """A pool that the request could go to, and what is to be expected there.

    quality       probability that the answer is good, `uncertainty` its standard deviation
    ttft_s        predicted; 0 where nothing is known
    miss          how far beyond the pool's objectives, 0 to 1
    """

    pool: Pool
    estimate: Estimate
    quality: float
    uncertainty: float = 0.0
    ttft_s: float = 0.0
    miss: float = 0.0
    used: Used | None = None
    ready: bool = True


class Strategy(Protocol):
    """Stateless: what it needs is in the options and the terms."""

    def utilities(self, options: Sequence[Option], terms: Terms) -> Sequence[float | None]:
        """One per option: the higher the better; None: not to be taken at all. At least one must not be None."""
        ...


class Balanced:
    """The best of quality, cost and lateness as the policy weighs them. Cost is relative to the dearest option, so that the
    weight needs no unit; a budget that runs short makes it count for more."""

    def utilities(self, options: Sequence[Option], terms: Terms) -> list[float | None]:
        dearest_usd = max(option.estimate.cost_usd for option in options)
        price = terms.policy.weights.cost / dearest_usd if dearest_usd else 0.0
        return [_utility(option, max(price, terms.usd_price), terms) for option in options]


class BestForTheMoney:
    """The best that the tenant's budget lasts for: money counts by the budget's dual price alone."""

    def utilities(self, options: Sequence[Option], terms: Terms) -> list[float | None]:
        return [_utility(option, terms.usd_price, terms) for option in options]


class CheapestGoodEnough:
    """Of the options at or above the policy's floor the cheapest, lateness and footprint weighed in; those below the floor
    come after all others, the best first."""

    def utilities(self, options: Sequence[Option], terms: Terms) -> list[float | None]:
        floor = terms.policy.quality_floor or 0.0
        dearest_usd = max(option.estimate.cost_usd for option in options) or 1.0
        below = -2.0 - _heaviest(options, terms)
        return [
            -option.estimate.cost_usd / dearest_usd - _burden(option, terms)
            if option.quality >= floor
            else below + option.quality
            for option in options
        ]


class Always:
    """One pool and no other, whatever it costs."""

    def utilities(self, options: Sequence[Option], terms: Terms) -> list[float | None]:
        return [0.0 if option.pool.name == terms.policy.pool else None for option in options]


STRATEGIES: Mapping[str, type[Strategy]] = {
    "balanced": Balanced,
    "budget": BestForTheMoney,
    "qualityFloor": CheapestGoodEnough,
    "fixed": Always,
}


def _utility(option: Option, usd_price: float, terms: Terms) -> float:
    return terms.policy.weights.quality * option.quality - usd_price * option.estimate.cost_usd - _burden(option, terms)


def _burden(option: Option, terms: Terms) -> float:
    """What counts against an option beside its price."""
    weights = terms.policy.weights
    burden = weights.latency * option.miss
    if (used := option.used) is not None:
        burden += weights.energy * used.energy_wh + weights.carbon * used.carbon_g + weights.water * used.water_ml
    return burden


def _heaviest(options: Sequence[Option], terms: Terms) -> float:
    return max(_burden(option, terms) for option in options)
