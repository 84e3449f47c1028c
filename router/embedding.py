"""The path of an embedding call: money → pool → replica → vectors. Safe to repeat, so a lost replica only means another try."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from secrets import token_hex
from typing import Protocol

from router.admission.money import Expected, Hold
from router.admission.unlimited import Unlimited
from router.choosing.pricing import prompt_bound_tokens, used
from router.dispatch import Store
from router.errors import Forbidden, NoReplica, NotFound, ReplicaLost
from router.request import BudgetState, Decision, EmbedCall, Embedding, TextPrompt
from router.routing import Routing
from router.snapshot import Fleet, Pool, Tenant
from router.waiting import WaitingRoom, cold_start_wait_s

# The bound takes each byte for a token.
_BYTES_PER_TOKEN = 4


class EmbeddingWorkers(Protocol):
    async def embed(self, address: str, call: EmbedCall, model: str) -> tuple[tuple[tuple[float, ...], ...], int]: ...


class EmbeddingMoney(Protocol):
    """Tenants' money: `router.admission.treasury.Treasury`."""

    async def hold(self, request_id: str, tenant: Tenant, bounds_usd: Sequence[float], expected: Expected) -> Hold: ...
    def settle(self, tenant: Tenant, hold: Hold, actual_usd: float, expected_usd: float) -> None: ...
    def states(self, tenant: Tenant) -> tuple[BudgetState, ...]: ...


class EmbeddingLedger(Protocol):
    """Counts calls by the pool they are for, and what they came to."""

    def arrived(self, pool: str) -> None: ...
    def embedded(self, tenant: Tenant, found: Embedding) -> None: ...


class Embedder:
    """One per router. `tries` bounds the replicas that one call may go to."""

    def __init__(
        self,
        store: Store,
        workers: EmbeddingWorkers,
        routing: Routing,
        ledger: EmbeddingLedger,
        room: WaitingRoom,
        tries: int,
        money: EmbeddingMoney | None = None,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._room = room
        self._workers = workers
        self._routing = routing
        self._tries = tries
        self._money = money or Unlimited()

    async def embed(self, call: EmbedCall, tenant: Tenant) -> Embedding:
        """Raises NotFound (no pool of that name embeds), BudgetExhausted, NoReplica (none of its replicas answers)."""
        pool = _pool_for(call.model, self._store.view(), tenant)
        self._ledger.arrived(pool.name)
        bound_usd, cost_usd = _bound_usd(pool, call), 0.0
        expected_usd = bound_usd / _BYTES_PER_TOKEN
        # Not under the call's own id: callers choose those, and a reservation that is there already is not made twice.
        hold = await self._money.hold(token_hex(12), tenant, (bound_usd,), Expected(expected_usd, expected_usd))
        try:
            await self._cold_start(call, tenant)
            found = await self._served(call, tenant)
            cost_usd = found.cost_usd
        finally:
            # What brought no vectors costs nothing.
            self._money.settle(tenant, hold, cost_usd, expected_usd)
        found = replace(found, budgets=self._money.states(tenant))
        self._ledger.embedded(tenant, found)
        return found

    async def _served(self, call: EmbedCall, tenant: Tenant) -> Embedding:
        """On as many replicas as it takes."""
        lost: ReplicaLost | None = None
        tried: set[str] = set()
        for _ in range(self._tries):
            fleet = self._store.view()
            pool = _pool_for(call.model, fleet, tenant)
            pick = self._routing.pick_any(call.id, pool, fleet, frozenset(tried))
            if pick is None:
                break
            address = self._store.address(pick.replica_id)
            self._store.assume(pick.replica_id)
            try:
                vectors, tokens = await self._workers.embed(address, call, pool.models[0])
                self._store.succeeded(pick.replica_id)
                decision = Decision(pool.name, pool.models[0], pick.replica_id, f"embeds; {pick.reason}", pool.simulated)
                return Embedding(vectors, tokens, decision, pool.prices.cost_usd(tokens, 0, 0), used(pool, tokens, 0, 0))
            except ReplicaLost as fault:
                lost = fault
                if fault.at_fault:
                    self._store.failed(pick.replica_id)
                tried.add(pick.replica_id)
            finally:
                self._store.release(pick.replica_id)
        raise NoReplica(f"no replica for embeddings of {call.model} answers", retry_after_s=2.0) from lost

    async def _cold_start(self, call: EmbedCall, tenant: Tenant) -> None:
        """Waits where no replica is up and one is started by being asked for, no longer than the caller does."""
        fleet = self._store.view()
        pool = _pool_for(call.model, fleet, tenant)
        if wait_s := cold_start_wait_s([pool], fleet):
            until_s = asyncio.get_running_loop().time() + wait_s
            with self._room.entered([pool.name], begun=False) as ticket:
                await self._room.turn(ticket, min(until_s, until_s if call.deadline is None else call.deadline))


def _bound_usd(pool: Pool, call: EmbedCall) -> float:
    """What the call can't cost more than: embedding has no output, and nothing of it is cached."""
    return pool.prices.cost_usd(sum(prompt_bound_tokens(TextPrompt(text)) for text in call.texts), 0, 0)


def _pool_for(model: str, fleet: Fleet, tenant: Tenant) -> Pool:
    """The pool asked for by name, or for "auto" the cheapest that embeds."""
    named = [pool for pool in fleet.pools if model == "auto" or model in (pool.name, *pool.models)]
    # A pool that was never started has not said yet what it can do; it is asked if it was named.
    embedding = [pool for pool in named if pool.embeddings or (model != "auto" and not pool.known)]
    if not embedding:
        why = "has no embedding engine" if named else "is not a model or pool here"
        raise NotFound(f"{model!r} {why}", param="model")
    allowed = [pool for pool in embedding if tenant.may_use(pool.name)]
    if not allowed:
        raise Forbidden(f"this key may not use {model!r}", param="model")
    return min(allowed, key=lambda pool: (not fleet.ready[pool.rows].any(), pool.prices.input))
