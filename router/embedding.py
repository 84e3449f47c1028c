"""The path of an embedding call: pool → replica → vectors. Safe to repeat, so a lost replica only means another try."""

import asyncio
from typing import Protocol

from router.dispatch import Store
from router.errors import Forbidden, NoReplica, NotFound, ReplicaLost
from router.request import Decision, EmbedCall, Embedding
from router.routing import Routing
from router.snapshot import Fleet, Pool, Tenant
from router.waiting import WaitingRoom, cold_start_wait_s


class EmbeddingWorkers(Protocol):
    async def embed(self, address: str, call: EmbedCall, model: str) -> tuple[tuple[tuple[float, ...], ...], int]: ...


class Arrivals(Protocol):
    """Counts calls by the pool they are for."""

    def arrived(self, pool: str) -> None: ...


class Embedder:
    """One per router. `tries` bounds the replicas that one call may go to."""

    def __init__(
        self, store: Store, workers: EmbeddingWorkers, routing: Routing, ledger: Arrivals, room: WaitingRoom, tries: int
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._room = room
        self._workers = workers
        self._routing = routing
        self._tries = tries

    async def embed(self, call: EmbedCall, tenant: Tenant) -> Embedding:
        """Raises NotFound where no pool of that name embeds, NoReplica where none of its replicas answers."""
        lost: ReplicaLost | None = None
        tried: set[str] = set()
        self._ledger.arrived(_pool_for(call.model, self._store.view(), tenant).name)
        await self._cold_start(call, tenant)
        for _ in range(self._tries):
            fleet = self._store.view()
            pool = _pool_for(call.model, fleet, tenant)
            pick = self._routing.pick_any(call.id, pool, fleet, frozenset(tried))
            if pick is None:
                break
            self._store.assume(pick.replica_id)
            try:
                vectors, tokens = await self._workers.embed(self._store.address(pick.replica_id), call, pool.models[0])
                self._store.succeeded(pick.replica_id)
                decision = Decision(pool.name, pool.models[0], pick.replica_id, f"embeds; {pick.reason}", pool.simulated)
                return Embedding(vectors, tokens, decision, pool.prices.cost_usd(tokens, 0, 0))
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
