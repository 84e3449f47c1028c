"""Which pool serves a request: the one asked for by name or, for "auto", the cheapest of the tier that the rule asks for.

Pure. A caller who names a pool or a model never gets another one; "auto" goes to a stronger tier where the needed one can't
serve, to a weaker one as the last resort, and the reason says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from router.choosing.features import Features
from router.choosing.pricing import Estimate, estimate
from router.choosing.rule import STRENGTH, AutoRule, needed_tier
from router.errors import Forbidden, HeadgateError, InvalidRequest, NoReplica, NotFound
from router.request import Request
from router.snapshot import Fleet, Pool, Tenant, Tier

__all__ = ["AUTO", "AutoRule", "PoolChoice", "choose"]

AUTO = "auto"
_COLD: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PoolChoice:
    """A pool the request could go to, why, and what it will probably use and cost there. `ready`: has a ready replica."""

    pool: Pool
    reason: str
    estimate: Estimate
    ready: bool = True

    @property
    def cost_usd(self) -> float:
        return self.estimate.cost_usd


def choose(
    request: Request,
    features: Features,
    fleet: Fleet,
    tenant: Tenant,
    auto: AutoRule,
    cached_share: Mapping[str, float] = _COLD,
) -> tuple[PoolChoice, ...]:
    """Pools in the order to try them; at least one. Those without a ready replica are last, not left out.

    `cached_share`: by pool name, the part of the prompt, 0 to 1, that its best replica probably holds; it lowers the price.
    Raises NotFound (no such name), Forbidden (not for this tenant), InvalidRequest (no such pool can do what is asked),
    NoReplica (no pool is known yet).
    """
    need: Tier | None = None
    if request.model == AUTO:
        pools = _fitting(_able(_open_to(tenant, fleet), features), features)
        need, found = needed_tier(features, auto)
    else:
        pools = _able(_named(request.model, fleet, tenant), features)
        found = "asked for by name"
    # Bytes are searched three times as fast as a short array is reduced.
    ready = fleet.ready.tobytes()
    ranked = []
    for pool in pools:
        down = ready.find(1, pool.start, pool.stop) < 0
        distance = 0 if need is None else _distance(pool.tier, need)
        cost = estimate(pool, features, request.n, cached_share.get(pool.name, 0.0))
        ranked.append((down, distance, cost.cost_usd, pool.name, pool, cost))
    # Names differ, so what comes after them is never compared.
    ranked.sort()
    alike = sum(1 for down, distance, *_ in ranked if not down and not distance)
    return tuple(
        PoolChoice(pool, found + _why_here(place, alike, pool, need, down), cost, not down)
        for place, (down, _, _, _, pool, cost) in enumerate(ranked)
    )


def _open_to(tenant: Tenant, fleet: Fleet) -> list[Pool]:
    """Pools that "auto" may use. Embedding pools may be unable to generate, and prefill pools work for others: they are taken
    only where there is nothing else.
    """
    if not fleet.pools:
        raise NoReplica("no pool is known yet", retry_after_s=1.0)
    allowed = [pool for pool in fleet.pools if tenant.may_use(pool.name)]
    if not allowed:
        raise Forbidden("this key may use no pool", param="model")
    return [pool for pool in allowed if not pool.embeddings and pool.role != "prefill"] or allowed


def _named(model: str, fleet: Fleet, tenant: Tenant) -> list[Pool]:
    """The pool of that name, else every pool that serves a model of that name."""
    pools = [pool for pool in fleet.pools if pool.name == model] or [pool for pool in fleet.pools if model in pool.models]
    allowed = [pool for pool in pools if tenant.may_use(pool.name)]
    if not allowed:
        raise Forbidden(f"this key may not use {model!r}", param="model") if pools else _unknown(model, fleet, tenant)
    return allowed


def _unknown(model: str, fleet: Fleet, tenant: Tenant) -> HeadgateError:
    """Names only what the tenant may use."""
    known = {AUTO: None}
    for pool in fleet.pools:
        if tenant.may_use(pool.name):
            known.update(dict.fromkeys((pool.name, *pool.models)))
    close = get_close_matches(model[:100], known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return NotFound(f"{model[:100]!r} is not a model or pool here; {hint}known: {', '.join(known)}", param="model")


def _able(pools: Sequence[Pool], features: Features) -> list[Pool]:
    # What no replica ever reported may be: a pool that was never started is asked, and then says it itself.
    able = [pool for pool in pools if pool.parses_tool_calls or not features.tools or not pool.known]
    if not able:
        names = ", ".join(pool.name for pool in pools)
        raise InvalidRequest(f"no replica of {names} parses tool calls", param="tools")
    return able


def _fitting(pools: Sequence[Pool], features: Features) -> list[Pool]:
    """Pools whose context takes the prompt and an answer; where none does, those with the longest: the estimate may be off."""
    tokens = features.prompt_tokens + features.output_tokens
    fitting = [pool for pool in pools if not pool.max_context_tokens or tokens <= pool.max_context_tokens]
    if fitting:
        return fitting
    longest = max(pool.max_context_tokens for pool in pools)
    return [pool for pool in pools if pool.max_context_tokens == longest]


def _distance(tier: Tier, need: Tier) -> int:
    """0 for the needed tier, then the stronger ones, nearest first, then the weaker ones, nearest first."""
    above = STRENGTH[tier] - STRENGTH[need]
    return above if above >= 0 else len(STRENGTH) - above


def _why_here(place: int, alike: int, pool: Pool, need: Tier | None, down: bool) -> str:
    """Why a pool has its place. `alike`: how many ready pools serve the need equally well."""
    if need is not None and pool.tier != need:
        kind = "stronger" if STRENGTH[pool.tier] > STRENGTH[need] else "weaker"
        if place:
            return f"; {pool.tier} ({kind}) should no better one take it"
        return f"; no {need} pool can take it now, so {pool.tier} ({kind})"
    if down:
        return "; no replica is ready"
    if alike > 1:
        return f"; cheapest of {alike}" if place == 0 else f"; number {place + 1} of {alike} by price"
    return ""
