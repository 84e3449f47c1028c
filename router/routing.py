"""Which pool on which replica, and what is learnt from the answer: the decisions of one router, in one place.

Pure but for the memories it owns: of prefixes, and of how long pools take. `dispatch.py` acts on what this decides.
"""

from array import array
from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from router.choosing.choose import Asked, Chooser, PoolChoice, Seen, tried_first
from router.choosing.experience import Experience, Trace
from router.choosing.features import Features, extract
from router.choosing.learning.exploration import Exploration
from router.choosing.learning.signals import Signal
from router.choosing.strategies import Strategy
from router.choosing.terms import OWN_TERMS, Terms
from router.errors import HeadgateError
from router.picking.pipeline import Ask, Pick, Pipeline
from router.picking.prefix_index import PrefixIndex, blocks_within, bytes_of, cached_share, chain
from router.request import ChatPrompt, Decision, Quote, Request, TextPrompt, Usage
from router.snapshot import Fleet, Pool, Tenant

# Of an engine that does not say how large its KV blocks are.
UNKNOWN_BLOCK_TOKENS = 128
# Bytes are told from tokens by the prompt's mean, from which its parts may differ by this factor.
UNEVENNESS = 2
_NOBODY: frozenset[str] = frozenset()


class Plan(NamedTuple):
    """Where a request may go, best pool first. `prefix` is the hash chain over its prompt, under `cache_salt`: cached KV is
    shared only by requests of equal salts, here and in the engines.

    picks   replicas that were picked for the sake of the price, by pool; they hold for the snapshot `fleet`
    """

    request: Request
    choices: tuple[PoolChoice, ...]
    prefix: tuple[int, ...]
    prompt_bytes: int
    features: Features
    fleet: Fleet
    picks: Mapping[str, Pick]
    cache_salt: str = ""
    terms: Terms = OWN_TERMS
    exploration: Exploration | None = None

    def choice(self, pool: str) -> PoolChoice:
        """Raises StopIteration for a pool that is not among the choices."""
        return next(choice for choice in self.choices if choice.pool.name == pool)


class Routing:
    """One per router. Every method is synchronous and takes the snapshot it decides on. `own`: choosers of the settings."""

    def __init__(
        self,
        experience: Experience,
        pipeline: Pipeline,
        index: PrefixIndex,
        rng: Random,
        own: Mapping[str, Strategy] = MappingProxyType({}),
    ) -> None:
        self._chooser = Chooser(experience.believe, own)
        self.experience = experience
        self._pipeline = pipeline
        self._index = index
        self._rng = rng
        self._uncached: set[str] = set()  # replicas that had nothing where something was remembered
        self.latency = experience.latency

    def plan(self, request: Request, tenant: Tenant, fleet: Fleet, terms: Terms = OWN_TERMS) -> Plan:
        """Ranks the pools, each at the price of the replica that would serve there. Raises NotFound, Forbidden, InvalidRequest
        or NoReplica.
        """
        data = prompt_bytes(request)
        # The tenant's part has a fixed length, so no choice of a caller's own salt leads into another tenant's cache.
        salt = f"{tenant.cache_salt}-{request.cache_salt}" if tenant.cache_salt else request.cache_salt
        prefix = chain(data, salt)
        picks: dict[str, Pick] = {}
        shares: dict[str, float] = {}
        for pool, blocks in zip(fleet.pools, self._index.deepest(prefix, fleet), strict=True):
            # The replica that holds the most may be too busy: what counts is the one that is picked.
            if blocks and (pick := self._picked(request, prefix, pool, fleet, _NOBODY)) is not None:
                picks[pool.name] = pick
                shares[pool.name] = cached_share(pick.matched_blocks, len(data))
        features = extract(request.prompt, request.sampling)
        seen = Seen(fleet, fleet.ready.tobytes(), shares, self.latency.timings)
        choices = self._chooser.choose(Asked(request, features, tenant), seen, terms)
        return Plan(request, choices, prefix, len(data), features, fleet, picks, salt, terms)

    def begin(self, plan: Plan, *, try_another: bool = True) -> Plan:
        """The plan as it is carried out: with another pool in front where that is worth learning about. `end` must follow."""
        self.experience.asks(plan.request, prompt_bytes(plan.request))
        exploration = self.experience.another(plan.choices, plan.terms) if try_another else None
        if exploration is None:
            return plan
        self.experience.take(exploration, plan.terms)
        ready = [choice for choice in plan.choices if choice.ready]
        choices = tried_first(plan.choices, ready[exploration.index].pool.name)
        return plan._replace(choices=choices, exploration=exploration)

    def end(self, plan: Plan, cost_usd: float) -> None:
        """Once for every plan that was begun, however it ended."""
        self.experience.paid(plan.terms, cost_usd, plan.exploration)

    def timed(self, decision: Decision | None, usage: Usage, ttft_s: float | None, rest_s: float) -> None:
        """How long an answer took on one replica: `ttft_s` from sending, `rest_s` from the first token on."""
        if decision is not None and ttft_s is not None:
            later_tokens = usage.completion_tokens - 1
            tpot_s = rest_s / later_tokens if later_tokens > 0 else 0.0
            self.latency.answered(decision.pool, usage.prompt_tokens - usage.cached_tokens, ttft_s, tpot_s)

    def answered(self, plan: Plan, pool: str, weak: Sequence[str], *, broke_form: bool = False) -> Trace | None:
        """This pool gave the answer, after those of `weak` had been found too weak. Returns what a verdict on it is about."""
        request, features = plan.request, plan.features
        if broke_form:
            self.experience.saw(request, features, plan.choice(pool), Signal.BROKE_FORM)
        for name in weak:
            self.experience.saw(request, features, plan.choice(name), Signal.ESCALATED)
        return self.experience.answered(request, features, plan.choice(pool), prompt_bytes(request))

    def pick(self, plan: Plan, pool: Pool, fleet: Fleet, excluded: frozenset[str]) -> Pick | None:
        """The replica of this pool to serve it now; None while none can."""
        if plan.fleet is fleet and not excluded and (pick := plan.picks.get(pool.name)) is not None:
            return pick
        return self._picked(plan.request, plan.prefix, pool, fleet, excluded)

    def _picked(
        self, request: Request, prefix: tuple[int, ...], pool: Pool, fleet: Fleet, excluded: frozenset[str]
    ) -> Pick | None:
        ask = Ask(prefix, self._index.matched(prefix, fleet, pool), request.session, request.id)
        return self._pipeline.pick(ask, pool, fleet, excluded, self._rng)

    def refusal(self, plan: Plan, pool: Pool, fleet: Fleet) -> HeadgateError:
        """Why `pick` found nobody in this pool."""
        ask = Ask(plan.prefix, np.zeros(pool.stop - pool.start, dtype=np.int32))
        return self._pipeline.refusal(ask, pool, fleet, frozenset())

    def pick_any(self, request_id: str, pool: Pool, fleet: Fleet, excluded: frozenset[str]) -> Pick | None:
        """A replica for work that no prefix cache helps with."""
        ask = Ask((), np.zeros(pool.stop - pool.start, dtype=np.int32), "", request_id)
        return self._pipeline.pick(ask, pool, fleet, excluded, self._rng)

    def decision(self, plan: Plan, pool: Pool, pick: Pick, *, staged: bool = False) -> Decision:
        """Puts both reasons into one line. `staged`: a cascade says itself why this pool."""
        choice = plan.choice(pool.name)
        return Decision(
            pool.name,
            pool.models[0],
            pick.replica_id,
            pick.reason if staged else f"{choice.reason}; {pick.reason}",
            pool.simulated,
            choice.quality,
            plan.terms.policy.name,
            choice.exploring,
        )

    def learn(self, plan: Plan, pool: Pool, pick: Pick, prompt_tokens: int, cached_tokens: int) -> None:
        """A replica has read this prompt, and told how much of it it held before: so it holds its prefix now, unless it held
        clearly less than was remembered. Then that memory goes, and the prompt is not remembered either: the cache is too small
        for it, or off. A replica that had nothing where something was remembered is not trusted again before it has a hit.
        """
        if not plan.prefix:
            return
        if cached_tokens:
            self._uncached.discard(pick.replica_id)
        token_bytes = plan.prompt_bytes / max(prompt_tokens, 1)
        # Engines count whole KV blocks, so up to one block more may have been there.
        at_most_bytes = UNEVENNESS * token_bytes * (cached_tokens + (pool.kv_block_tokens or UNKNOWN_BLOCK_TOKENS))
        if at_most_bytes < min(bytes_of(pick.matched_blocks), plan.prompt_bytes):
            self._index.correct(plan.prefix, pick.replica_id, blocks_within(int(token_bytes * cached_tokens)))
            if not cached_tokens:
                self._uncached.add(pick.replica_id)
        elif pick.replica_id not in self._uncached:
            self._index.remember(plan.prefix, pick.replica_id)

    def forget(self, replica_id: str) -> None:
        """The replica was replaced, or its cache cleared: it is empty."""
        self._index.forget(replica_id)
        self._uncached.discard(replica_id)

    def quote(self, plan: Plan, fleet: Fleet) -> list[Quote]:
        """Every pool the request could go to, best first, with what it would cost there."""
        quotes = []
        for choice in plan.choices:
            pick = self.pick(plan, choice.pool, fleet, frozenset())
            if pick is not None:
                quotes.append(_quote(choice, self.decision(plan, choice.pool, pick)))
        return quotes


def _quote(choice: PoolChoice, decision: Decision) -> Quote:
    guess = choice.estimate
    return Quote(
        decision,
        guess.cost_usd,
        guess.prompt_tokens,
        guess.cached_tokens,
        guess.output_tokens,
        choice.bound_usd,
        None if choice.quality is None else choice.option.uncertainty,
        choice.option.used,
        choice.utility,
        choice.option.ttft_s,
    )


def prompt_bytes(request: Request) -> bytes:
    """What the prefix memory hashes. A conversation's JSON grows at its end, so its own bytes have the prefix property."""
    prompt = request.prompt
    if isinstance(prompt, ChatPrompt):
        return prompt.messages_json
    if isinstance(prompt, TextPrompt):
        return prompt.text.encode("utf-8", "surrogatepass")
    return array("q", prompt.ids).tobytes()
