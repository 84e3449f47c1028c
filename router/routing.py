"""Which pool, then which replica, and what is learnt from the answer: the decisions of one router, in one place.

Pure but for the prefix memory it owns. `dispatch.py` acts on what this decides.
"""

from array import array
from dataclasses import dataclass
from random import Random

import numpy as np

from router.choosing.choose import AutoRule, PoolChoice, choose
from router.choosing.features import extract
from router.errors import HeadgateError
from router.picking.pipeline import Ask, Pick, Pipeline
from router.picking.prefix_index import PrefixIndex, blocks_within, bytes_of, cached_share, chain
from router.request import ChatPrompt, Decision, Quote, Request, TextPrompt
from router.snapshot import Fleet, Pool, Tenant

# Of an engine that does not say how large its KV blocks are.
UNKNOWN_BLOCK_TOKENS = 128
# Bytes are told from tokens by the prompt's mean, from which its parts may differ by this factor.
UNEVENNESS = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a request may go, best pool first. `prefix` is the hash chain over its prompt, under `cache_salt`: cached KV is
    shared only by requests of equal salts, here and in the engines.
    """

    request: Request
    choices: tuple[PoolChoice, ...]
    prefix: tuple[int, ...]
    prompt_bytes: int
    cache_salt: str = ""


class Routing:
    """One per router. Every method is synchronous and takes the snapshot it decides on."""

    def __init__(self, auto: AutoRule, pipeline: Pipeline, index: PrefixIndex, rng: Random) -> None:
        self._auto = auto
        self._pipeline = pipeline
        self._index = index
        self._rng = rng
        self._uncached: set[str] = set()  # replicas that had nothing where something was remembered

    def plan(self, request: Request, tenant: Tenant, fleet: Fleet) -> Plan:
        """Ranks the pools; a cached prefix lowers the price. Raises NotFound, Forbidden or InvalidRequest."""
        data = prompt_bytes(request)
        # The tenant's part has a fixed length, so no choice of a caller's own salt leads into another tenant's cache.
        salt = f"{tenant.cache_salt}-{request.cache_salt}" if tenant.cache_salt else request.cache_salt
        prefix = chain(data, salt)
        shares = {
            pool.name: cached_share(blocks, len(data))
            for pool, blocks in zip(fleet.pools, self._index.deepest(prefix, fleet), strict=True)
            if blocks
        }
        features = extract(request.prompt, request.sampling)
        choices = choose(request, features, fleet, tenant, self._auto, shares)
        return Plan(request, choices, prefix, len(data), salt)

    def pick(self, plan: Plan, pool: Pool, fleet: Fleet, excluded: frozenset[str]) -> Pick | None:
        """The replica of this pool to serve it now; None while none can."""
        matched = self._index.matched(plan.prefix, fleet, pool)
        ask = Ask(plan.prefix, matched, plan.request.session, plan.request.id)
        return self._pipeline.pick(ask, pool, fleet, excluded, self._rng)

    def refusal(self, plan: Plan, pool: Pool, fleet: Fleet) -> HeadgateError:
        """Why `pick` found nobody in this pool."""
        ask = Ask(plan.prefix, np.zeros(pool.stop - pool.start, dtype=np.int32))
        return self._pipeline.refusal(ask, pool, fleet, frozenset())

    def pick_any(self, request_id: str, pool: Pool, fleet: Fleet, excluded: frozenset[str]) -> Pick | None:
        """A replica for work that no prefix cache helps with."""
        ask = Ask((), np.zeros(pool.stop - pool.start, dtype=np.int32), "", request_id)
        return self._pipeline.pick(ask, pool, fleet, excluded, self._rng)

    def decision(self, plan: Plan, pool: Pool, pick: Pick) -> Decision:
        """Puts both reasons into one line."""
        why = next(choice.reason for choice in plan.choices if choice.pool.name == pool.name)
        return Decision(pool.name, pool.models[0], pick.replica_id, f"{why}; {pick.reason}", pool.simulated)

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
                guess = choice.estimate
                decision = self.decision(plan, choice.pool, pick)
                quotes.append(Quote(decision, guess.cost_usd, guess.prompt_tokens, guess.cached_tokens, guess.output_tokens))
        return quotes


def prompt_bytes(request: Request) -> bytes:
    """What the prefix memory hashes. A conversation's JSON grows at its end, so its own bytes have the prefix property."""
    prompt = request.prompt
    if isinstance(prompt, ChatPrompt):
        return prompt.messages_json
    if isinstance(prompt, TextPrompt):
        return prompt.text.encode("utf-8", "surrogatepass")
    return array("q", prompt.ids).tobytes()
