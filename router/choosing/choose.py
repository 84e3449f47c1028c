"""Which pool serves a request: the one asked for by name or, for "auto", the one that the tenant's policy ranks first.

Pure. Every pool that may serve it gets an option (what its answer is probably worth, and what it will cost at the replica that
holds the most of the prompt), a strategy gives each option a utility, and the reason says both. The rest of the ranking is what
is gone through when the first can't take the request.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from router.choosing.beliefs import Belief
from router.choosing.eligible import AUTO, eligible
from router.choosing.features import Features
from router.choosing.latency import Timing, least_waiting, miss
from router.choosing.pricing import Estimate, bound_usd, estimate, prompt_bound_tokens, used
from router.choosing.reasons import named_reason, reason
from router.choosing.rule import STRENGTH
from router.choosing.strategies import STRATEGIES, Option, Strategy
from router.choosing.terms import OWN_TERMS, Terms
from router.errors import NoReplica
from router.request import Request
from router.snapshot import Fleet, Pool, Tenant

__all__ = ["AUTO", "Asked", "Chooser", "PoolChoice", "Seen"]


class Asked(NamedTuple):
    """The request, what was found in its prompt, and who asks."""

    request: Request
    features: Features
    tenant: Tenant


class Seen(NamedTuple):
    """The fleet, the part of the prompt (0 to 1) that each pool's replica probably holds, and how long pools take."""

    fleet: Fleet
    ready: bytes
    cached_share: Mapping[str, float] = MappingProxyType({})
    timings: Mapping[str, Timing] = MappingProxyType({})


class Ranking(NamedTuple):
    """All that was weighed. A tuple, as its parts are: they are made for every request, and frozen dataclasses take three times
    as long to make.

    belief        None where the caller chose; its entries are for `asked_about`
    options       with their utilities, best first
    """

    asked: Asked
    terms: Terms
    belief: Belief | None
    asked_about: Sequence[Option]
    strategy: Strategy
    options: tuple[tuple[Option, float], ...]


class PoolChoice(NamedTuple):
    """A pool the request could go to: its place in the ranking. What is seldom asked for is worked out when it is.

    utility     what the choices are ranked by; 0 where the caller chose
    exploring   ranked first to learn about it
    """

    option: Option
    utility: float
    place: int
    ranking: Ranking
    exploring: bool = False

    @property
    def pool(self) -> Pool:
        return self.option.pool

    @property
    def ready(self) -> bool:
        """Has a ready replica."""
        return self.option.ready

    @property
    def estimate(self) -> Estimate:
        return self.option.estimate

    @property
    def cost_usd(self) -> float:
        return self.option.estimate.cost_usd

    @property
    def quality(self) -> float | None:
        """Predicted; None where nothing was."""
        belief = self.ranking.belief
        return self.option.quality if belief is not None and belief.need is None else None

    @property
    def bound_usd(self) -> float:
        """It can't cost more there."""
        request = self.ranking.asked.request
        return bound_usd(self.pool, prompt_bound_tokens(request.prompt), request.sampling.max_tokens, request.n)

    @property
    def reason(self) -> str:
        options, terms, belief = self.ranking.options, self.ranking.terms, self.ranking.belief
        if belief is None:
            return named_reason(options, self.place)
        why = reason(belief, options, terms, self.place)
        return f"tried to learn about it; {why}" if self.exploring else why


class Chooser:
    """`believe` says how good each of some pools would be for a prompt; `own` are strategies of the router's settings."""

    def __init__(
        self, believe: Callable[[Features, Sequence[Pool]], Belief], own: Mapping[str, Strategy] = MappingProxyType({})
    ) -> None:
        self._believe = believe
        self._strategies = {name: cls() for name, cls in STRATEGIES.items()}
        self._own = own

    def choose(self, asked: Asked, seen: Seen, terms: Terms) -> tuple[PoolChoice, ...]:
        """Pools in the order to try them; at least one. Those without a ready replica are last, not left out.

        Raises what `eligible` does, and NoReplica where the policy's pool is not among them.
        """
        pools = eligible(asked.request.model, asked.features, seen.fleet, asked.tenant)
        if asked.request.model != AUTO:
            return _by_price(asked, seen, pools)
        belief = self._believe(asked.features, pools)
        options = [
            _option(asked, seen, pool, quality, uncertainty, tokens)
            for pool, quality, uncertainty, tokens in zip(
                pools, belief.quality, belief.uncertainty, belief.output_tokens, strict=True
            )
        ]
        strategy = self._strategy(terms)
        utilities = strategy.utilities(options, terms)
        ranked = [
            (not option.ready, -utility, STRENGTH[option.pool.tier], option.pool.name, option)
            for option, utility in zip(options, utilities, strict=True)
            if utility is not None
        ]
        if not ranked:
            raise NoReplica(f"policy {terms.policy.name} wants {terms.policy.pool or 'a pool'}, which can't serve this request")
        # Of equals the weaker tier: it will do. Names differ, so what comes after them is never compared.
        ranked.sort()
        _canary_first(ranked, terms)
        return _choices(
            Ranking(asked, terms, belief, options, strategy, tuple((option, -cost) for _, cost, _, _, option in ranked))
        )

    def _strategy(self, terms: Terms) -> Strategy:
        policy = terms.policy
        if policy.strategy != "custom":
            return self._strategies[policy.strategy]
        if (own := self._own.get(policy.custom)) is None:
            raise NoReplica(f"policy {policy.name} wants the chooser {policy.custom!r}, which this router has not")
        return own


def _option(asked: Asked, seen: Seen, pool: Pool, quality: float, uncertainty: float, expected_tokens: float) -> Option:
    guess = estimate(pool, asked.features, asked.request.n, seen.cached_share.get(pool.name, 0.0), expected_tokens)
    ttft_s = late = 0.0
    if (pool.ttft_ms or pool.tpot_ms) and (timing := seen.timings.get(pool.name)) is not None:
        ttft_s = timing.ttft_s(guess.prompt_tokens - guess.cached_tokens, least_waiting(pool, seen.fleet))
        late = miss(pool, timing, ttft_s)
    takes = None
    if pool.footprint is not None:
        takes = used(pool, guess.prompt_tokens - guess.cached_tokens, guess.cached_tokens, guess.output_tokens)
    # Bytes are searched three times as fast as a short array is reduced.
    ready = seen.ready.find(1, pool.start, pool.stop) >= 0
    return Option(pool, guess, quality, uncertainty, ttft_s, late, takes, ready)


def _canary_first(ranked: list[tuple[bool, float, int, str, Option]], terms: Terms) -> None:
    """Moves the canary pool that this request is drawn for to the front, where it can serve."""
    share = 0.0
    for canary in terms.policy.canaries:
        share += canary.percent / 100
        if terms.draw < share:
            at = next((at for at, (down, _, _, name, _) in enumerate(ranked) if name == canary.pool and not down), None)
            if at is not None:
                ranked.insert(0, ranked.pop(at))
            return


def _by_price(asked: Asked, seen: Seen, pools: Sequence[Pool]) -> tuple[PoolChoice, ...]:
    """The pools that serve the name asked for, cheapest first."""
    options = [_option(asked, seen, pool, 0.0, 0.0, 0.0) for pool in pools]
    options.sort(key=lambda option: (not option.ready, option.estimate.cost_usd, option.pool.name))
    return _choices(Ranking(asked, OWN_TERMS, None, options, _PRICE, tuple((option, 0.0) for option in options)))


def _choices(ranking: Ranking) -> tuple[PoolChoice, ...]:
    return tuple(PoolChoice(option, utility, place, ranking) for place, (option, utility) in enumerate(ranking.options))


def tried_first(choices: tuple[PoolChoice, ...], pool: str) -> tuple[PoolChoice, ...]:
    """The same choices with this pool in front, to learn about it."""
    first = next(choice for choice in choices if choice.pool.name == pool)
    return (first._replace(exploring=True), *(choice for choice in choices if choice is not first))


_PRICE = STRATEGIES["balanced"]()
