"""Trying another pool than the best one, to learn about it: whom, and on whose money. Pure; the draw is an argument.

Whom: Thompson's rule (1933). Each pool's quality is drawn from what is believed of it, and the pool with the best draw is
taken; so one is tried the more often, the more probably it is the best. Three of four times the draws are from a quarter of the
standard deviation, since whole ones try too much (Chapelle and Li 2011 narrow them as well); the fourth time they are whole, or
a pool that the artefact clearly misjudges would never be found.

On whose money: a purse, which fills with `explore_share` of what is spent. It pays what trying costs more than the best choice
would have, and, in a compartment of its own, the quality that it is expected to lose. The bounds, always:

    Σ extra cost of explorations       ≤  explore_share · Σ spent     +  the most that one request can cost extra
    Σ expected loss of explorations    ≤  explore_share · requests    +  the loss of one request

The extra cost of one is what it cost, less what the best choice was estimated to cost, where that is positive. While it is
under way it counts with the most that it can come to.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from router.choosing.learning.learner import Belief

TEMPER = 0.25
WHOLE_SHARE = 0.25
# A pool whose quality is known this well has little to teach.
LEAST_STD = 0.02

_DRAWS = 2**53
_WORD = 2**64 - 1
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Stakes:
    """The options of one request, an entry per pool in the belief's order.

    utility          what the choice is made by, in units of quality
    cost_usd         expected
    bound_usd        the most it can cost
    quality_weight   utility of one unit of quality
    """

    utility: Sequence[float]
    cost_usd: Sequence[float]
    bound_usd: Sequence[float]
    quality_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Exploration:
    """One choice made to learn. `loss` is in units of quality.

    greedy_usd    what the best choice was estimated to cost
    held_usd      the most this one can cost beyond that
    """

    index: int
    greedy: int
    greedy_usd: float
    held_usd: float
    loss: float


class Purse:
    """What may go into trying. One per routing policy and router; it starts empty.

    usd, loss       left; below 0 by no more than one exploration
    extra_usd       what explorations cost so far beyond the best choice, those under way at their most
    """

    def __init__(self, explore_share: float) -> None:
        if not 0.0 <= explore_share <= 1.0:
            raise ValueError("explore_share must be within 0 and 1")
        self.explore_share = explore_share
        self.usd = 0.0
        self.loss = 0.0
        self.extra_usd = 0.0
        self.tried = 0
        self._under_way: dict[int, Exploration] = {}

    def asked(self) -> None:
        """A request came for which exploring would have been right."""
        self.loss += self.explore_share

    def spent(self, usd: float) -> None:
        """An answer cost this, whoever chose it."""
        self.usd += self.explore_share * max(usd, 0.0)

    def covers(self, held_usd: float, loss: float) -> bool:
        """Whether it can pay. With nothing under way a purse that is not empty pays for one request, whatever that costs."""
        # A loss is certain when it is paid, so it may overdraw at any time; a cost is not, so only one at a time may.
        money = held_usd <= 0.0 or held_usd <= self.usd or (self.usd > 0.0 and not self._under_way)
        return money and (loss <= 0.0 or self.loss > 0.0)

    def take(self, exploration: Exploration) -> None:
        """It is carried out. `settle` must follow, however it ends."""
        self.tried += 1
        self._under_way[id(exploration)] = exploration
        self.usd -= exploration.held_usd
        self.extra_usd += exploration.held_usd
        self.loss -= exploration.loss

    def settle(self, exploration: Exploration, actual_usd: float) -> None:
        """It ended and cost this much; what was held beyond it comes back. Once, and only for what this purse paid."""
        if self._under_way.pop(id(exploration), None) is None:
            return
        back = exploration.held_usd - min(max(actual_usd - exploration.greedy_usd, 0.0), exploration.held_usd)
        self.usd += back
        self.extra_usd -= back


def explore(stakes: Stakes, belief: Belief, purse: Purse, draw: float) -> Exploration | None:
    """The option to try in place of the one of most utility, or None to take that. `draw` is uniform in [0, 1).

    Nothing is taken from the purse yet: `Purse.take` does that when the choice stands.
    """
    if purse.explore_share <= 0.0 or len(stakes.utility) < 2:
        return None
    greedy = max(range(len(stakes.utility)), key=stakes.utility.__getitem__)
    std = belief.std.tolist()
    # The scale is told by the first bits of the draw, the normals are made of all of them.
    spread = stakes.quality_weight * (1.0 if draw < WHOLE_SHARE else TEMPER)
    drawn = [
        utility + spread * own * normal
        for utility, own, normal in zip(stakes.utility, std, _normals(draw, len(std)), strict=True)
    ]
    index = max(range(len(drawn)), key=drawn.__getitem__)
    if index == greedy or std[index] < LEAST_STD:
        return None
    held_usd = max(stakes.bound_usd[index] - stakes.cost_usd[greedy], 0.0)
    loss = max(stakes.utility[greedy] - stakes.utility[index], 0.0)
    if not purse.covers(held_usd, loss):
        return None
    return Exploration(index, greedy, stakes.cost_usd[greedy], held_usd, loss)


def _normals(draw: float, count: int) -> Iterator[float]:
    """So many standard normals from one uniform draw: it seeds SplitMix64 (Steele, Lea and Flood 2014)."""
    state = int(draw * _DRAWS)
    for _ in range(count):
        state = mixed = (state + 0x9E3779B97F4A7C15) & _WORD
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _WORD
        mixed ^= mixed >> 31
        yield _NORMAL.inv_cdf(((mixed >> 11) + 0.5) / _DRAWS)
