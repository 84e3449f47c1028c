"""Why each pool has its place, in one line for people. Pure."""

from collections.abc import Sequence

from router.choosing.beliefs import Belief
from router.choosing.rule import STRENGTH
from router.choosing.strategies import Option
from router.choosing.terms import Terms
from router.snapshot import Tier

Ranked = Sequence[tuple[Option, float]]


def reason(belief: Belief, ranked: Ranked, terms: Terms, place: int) -> str:
    """Of the option at `place`, where the choice was the router's."""
    under = _policy(terms)
    if terms.policy.strategy == "fixed":
        return under
    if belief.need is None:
        return f"{under}{_predicted(belief, ranked, place)}"
    return f"{under}{belief.why}{_by_tier(ranked, place, belief.need)}"


def named_reason(ranked: Ranked, place: int) -> str:
    """Of the option at `place`, where the caller named the model."""
    alike = sum(option.ready for option, _ in ranked)
    if not ranked[place][0].ready:
        return "asked for by name; no replica is ready"
    return f"asked for by name{_rank(place, alike)}"


def _policy(terms: Terms) -> str:
    policy = terms.policy
    if not policy.name:
        return ""
    match policy.strategy:
        case "qualityFloor":
            return f"policy {policy.name}, {policy.quality_floor:g} or better at least cost: "
        case "budget":
            return f"policy {policy.name}, a dollar must bring {terms.usd_price:.3g}: "
        case "fixed":
            return f"policy {policy.name}: always {policy.pool}"
        case _:
            return f"policy {policy.name}: "


def _predicted(belief: Belief, ranked: Ranked, place: int) -> str:
    option = ranked[place][0]
    text = f"predicted {_worth(option)}{belief.why}"
    if not option.ready:
        return f"{text}; no replica is ready"
    if place:
        return f"{text}; number {place + 1} of {len(ranked)}"
    if len(ranked) > 1:
        second = ranked[1][0]
        return f"{text}; next {second.pool.name} {_worth(second)}"
    return text


def _worth(option: Option) -> str:
    return f"{option.quality:.2f} for {option.estimate.cost_usd:.3g} USD"


def _by_tier(ranked: Ranked, place: int, need: Tier) -> str:
    option = ranked[place][0]
    tier = option.pool.tier
    if tier != need:
        kind = "stronger" if STRENGTH[tier] > STRENGTH[need] else "weaker"
        if place:
            return f"; {tier} ({kind}) should no better one take it"
        if any(other.pool.tier == need and other.ready for other, _ in ranked):
            return f"; {tier} ({kind}) is cheaper"
        return f"; no {need} pool can take it now, so {tier} ({kind})"
    if not option.ready:
        return "; no replica is ready"
    alike = [other for other, _ in ranked if other.ready and other.pool.tier == need]
    return _rank(alike.index(option), len(alike))


def _rank(at: int, of: int) -> str:
    if of < 2:
        return ""
    return f"; cheapest of {of}" if at == 0 else f"; number {at + 1} of {of} by price"
