"""Requests played through a Pacer in virtual time, with all that its bounds are stated in (docs/pacing.md)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from router.choosing.pacing.pacer import Pacer

Options = Sequence[tuple[float, float]]  # (quality, cost in USD) per pool
CELLS = 64


@dataclass
class Played:
    """Per request: price, quality and cost of the choice, gap before it; `gaps` has the last gap too."""

    prices: list[float] = field(default_factory=list)
    quality: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    over: float = 0.0  # R of the theorem

    @property
    def set_aside(self) -> list[float]:
        """p of the theorem: what the plan gave between a request and the next."""
        return [cost - (after - gap) for cost, (gap, after) in zip(self.costs, pairwise(self.gaps), strict=True)]

    @property
    def dual(self) -> tuple[float, float]:
        """Σ λ·(spent − set aside), and the sum of the parts' sizes."""
        parts = [price * (after - gap) for price, (gap, after) in zip(self.prices, pairwise(self.gaps), strict=True)]
        return sum(parts), sum(abs(part) for part in parts)


def chosen(options: Options, price: float) -> tuple[float, float]:
    return max(options, key=lambda option: (option[0] - price * option[1], -option[1]))


def typical(options: Options) -> float:
    return sum(cost for _, cost in options) / len(options)


def play(pacer: Pacer, requests: Sequence[tuple[float, Options]], end_s: float) -> Played:
    """Requests are (when, options), in order."""
    played = Played()
    for now_s, options in requests:
        played.prices.append(pacer.price(now_s))
        played.gaps.append(pacer.figures(now_s).ahead_usd)
        quality, cost_usd = chosen(options, played.prices[-1])
        pacer.decided(now_s, cost_usd, typical(options))
        played.quality.append(quality)
        played.costs.append(cost_usd)
    played.gaps.append(pacer.figures(end_s).ahead_usd)
    return played


def play_with_remainder(pacer: Pacer, requests: Sequence[tuple[float, Options]], end_s: float, target_usd: float) -> Played:
    """The same with an even plan that never gives way, from 0; `over` is the theorem's R.

    λ as a function of the gap, all else as it is, is had by asking at other times: the plan is a straight line from (0, 0) to
    (`end_s`, `target_usd`). Ends before the request that would take spending beyond that line's end.
    """
    played = Played(gaps=[0.0])
    for at, (now_s, options) in enumerate(requests):
        spent = pacer.figures(now_s).spent_usd
        price = pacer.price(now_s)
        quality, cost_usd = chosen(options, price)
        if spent + cost_usd > target_usd:
            break
        next_s = requests[at + 1][0] if at + 1 < len(requests) else end_s
        gap, after = (spent - target_usd * now_s / end_s), (spent + cost_usd - target_usd * next_s / end_s)

        def link(gap_usd: float, spent: float = spent) -> float:
            return pacer.price((spent - gap_usd) / target_usd * end_s)

        # R's telescope, term by term: what the far ends of the integrals share cancels out.
        played.over += (link(after) - price) * (after - gap) - integral(link, gap, after)
        pacer.decided(now_s, cost_usd, typical(options))
        played.prices.append(price)
        played.quality.append(quality)
        played.costs.append(cost_usd)
        played.gaps[-1:] = (gap, after)
    return played


def integral(link: Callable[[float], float], begin: float, end: float) -> float:
    """By midpoints."""
    step = (end - begin) / CELLS
    return step * sum(link(begin + (cell + 0.5) * step) for cell in range(CELLS))


def best_quality_at_most(requests: Sequence[tuple[float, Options]], budget_usd: float) -> float:
    """No choice within the budget brings more: the least of the Lagrangian's dual, which is convex in the price."""
    most = max(len(options) for _, options in requests)
    # Where a request has fewer options than others, one of them stands for the missing.
    padded = np.array([[*options, *[options[0]] * (most - len(options))] for _, options in requests])

    def dual(price: float) -> float:
        return float((padded[..., 0] - price * padded[..., 1]).max(axis=1).sum() + price * budget_usd)

    low, high = 0.0, 1e3 * len(requests) / max(budget_usd, 1e-9)
    for _ in range(120):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if dual(left) <= dual(right):
            high = right
        else:
            low = left
    return min(dual(low), dual(0.0))
