"""Everything a caller can ask for, one method each. Every front offers these and nothing else."""

import logging
from collections.abc import AsyncGenerator

from router.admission.keys import Keyring
from router.books import Books
from router.dispatch import Dispatcher
from router.embedding import Embedder
from router.fleet.store import FleetStore
from router.request import EmbedCall, Embedding, Event, ModelCard, Quote, Request
from router.routing import Routing
from router.snapshot import Tenant

log = logging.getLogger(__name__)


class Service:
    """One per router process. Errors are of `router.errors`; the fronts give them their status."""

    def __init__(self, dispatcher: Dispatcher, embedder: Embedder, store: FleetStore, routing: Routing, books: Books) -> None:
        self._dispatcher = dispatcher
        self._embedder = embedder
        self._store = store
        self._routing = routing
        self._books = books
        self._keyring = Keyring(store.tenants)
        self._told_open = False
        store.subscribe(lambda _: self._renew_keys())

    def authenticate(self, bearer: str | None) -> Tenant:
        """The tenant that holds this API key. Raises Unauthenticated."""
        return self._keyring.tenant_for(bearer)

    def generate(self, request: Request, tenant: Tenant) -> AsyncGenerator[Event, None]:
        """Streams one answer: Started, Pieces, Finished. Closing the generator cancels it in the engine."""
        return self._dispatcher.generate(request, tenant)

    async def embed(self, call: EmbedCall, tenant: Tenant) -> Embedding:
        """One vector per text."""
        return await self._embedder.embed(call, tenant)

    def quote(self, request: Request, tenant: Tenant) -> list[Quote]:
        """Where the request could go and what it would cost there, best first. Nothing is run."""
        fleet = self._store.view()
        return self._routing.quote(self._routing.plan(request, tenant, fleet), fleet)

    def models(self, tenant: Tenant) -> list[ModelCard]:
        """Every name this tenant may ask for."""
        fleet = self._store.view()
        cards = []
        for pool in fleet.pools:
            if not tenant.may_use(pool.name):
                continue
            ready = int(fleet.ready[pool.rows].sum())
            for name in dict.fromkeys((pool.name, *pool.models)):
                cards.append(
                    ModelCard(
                        name,
                        pool.name,
                        pool.tier,
                        pool.engine,
                        pool.simulated,
                        ready,
                        pool.prices,
                        pool.embeddings,
                        pool.max_context_tokens,
                    )
                )
        return cards

    def feedback(self, request_id: str, score: float, label: str, tenant: Tenant) -> str:
        """Counts a tenant's verdict on an answer of its own; returns the pool it was about. Raises NotFound."""
        return self._books.judged(request_id, score, label, tenant)

    def ready(self) -> bool:
        """True once a request can be answered and the router is not shutting down: a replica is ready, or is started by being
        asked for. Where a topology without any pool was given, all there is to do is to say so.
        """
        fleet = self._store.view()
        wakeable = any(pool.cold_start_wait_s for pool in fleet.pools)
        nothing_wanted = fleet.version > 0 and not fleet.pools
        return not self._dispatcher.draining and (bool(fleet.ready.any()) or wakeable or nothing_wanted)

    @property
    def draining(self) -> bool:
        return self._dispatcher.draining

    @draining.setter
    def draining(self, value: bool) -> None:
        self._dispatcher.draining = value

    def _renew_keys(self) -> None:
        self._keyring = Keyring(self._store.tenants)
        if self._keyring.open and not self._told_open:
            log.warning("no API key is configured: everyone who reaches this router may use every pool")
        self._told_open = self._keyring.open
