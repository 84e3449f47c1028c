"""Which pools a request may go to at all: by name, by what its tenant may use, by what they can do and hold. Pure.

A caller who names a pool or a model never gets another one.
"""

from collections.abc import Sequence
from difflib import get_close_matches

from router.choosing.features import Features
from router.errors import Forbidden, HeadgateError, InvalidRequest, NoReplica, NotFound
from router.snapshot import Fleet, Pool, Tenant

AUTO = "auto"


def eligible(model: str, features: Features, fleet: Fleet, tenant: Tenant) -> list[Pool]:
    """At least one, in the fleet's order, ready or not.

    Raises NotFound (no such name), Forbidden (not for this tenant), InvalidRequest (no such pool can do what is asked),
    NoReplica (no pool is known yet).
    """
    if model == AUTO:
        return _fitting(_able(_open_to(tenant, fleet), features), features)
    return _able(_named(model, fleet, tenant), features)


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
