"""Everything a caller can ask for, one method each. Every front offers these and nothing else."""

import logging
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Protocol

from router.admission.keys import Keyring
from router.admission.unlimited import Unlimited
from router.books import Books
from router.choosing.cascade import Staged
from router.choosing.terms import Terms
from router.dispatch import Dispatcher
from router.embedding import Embedder
from router.errors import BudgetExhausted
from router.fleet.store import FleetStore
from router.request import BudgetState, EmbedCall, Embedding, Event, ModelCard, Offer, Quote, Request
from router.routing import Routing
from router.snapshot import Tenant
from router.verdict import Verdict

log = logging.getLogger(__name__)


class Purse(Protocol):
    """A tenant's money, as far as a quote tells of it: `router.admission.treasury.Treasury`."""

    def terms(self, tenant: Tenant) -> Terms:
        """What a request of this tenant would be decided under, now."""
        ...

    async def look(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        """Asked anew: its own first, then those above it."""
        ...

    def refusal(self, tenant: Tenant, bound_usd: float) -> str:
        """Why a request that can cost this much would be refused, by what `look` last saw; "" where it would not be."""
        ...


class Service:
    """One per router process. Errors are of `router.errors`; the fronts give them their status."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        embedder: Embedder,
        store: FleetStore,
        routing: Routing,
        books: Books,
        purse: Purse | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._embedder = embedder
        self._store = store
        self._routing = routing
        self._books = books
        self._purse = purse or Unlimited()
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

    async def quote(self, request: Request, tenant: Tenant) -> Offer:
        """Where the request could go and what it would cost there, best first. Nothing is run and nothing reserved."""
        fleet = self._store.view()
        request = self._dispatcher.bounded(request, tenant)
        plan = self._routing.plan(request, tenant, fleet, self._purse.terms(tenant))
        budgets = await self._purse.look(tenant)
        try:
            staged = self._dispatcher.staged(plan)
        except BudgetExhausted as fault:
            return Offer((), budgets, fault.message)
        options = _in_stages(self._routing.quote(plan, fleet), staged)
        refusals = [self._purse.refusal(tenant, option.max_cost_usd) for option in options]
        if not options:
            return Offer((), budgets, "no replica that could take it is ready")
        if all(refusals):
            # What needs the least money is the last to be refused.
            refusal = min(zip(options, refusals, strict=True), key=lambda each: each[0].max_cost_usd)[1]
            return Offer(tuple(options), budgets, refusal)
        return Offer(tuple(_affordable_first(options, refusals)), budgets)

    async def budget(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        """What the tenant may spend and has spent: its own budget first, then those above it; none: without limit."""
        return await self._purse.look(tenant)

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

    def feedback(self, verdict: Verdict, tenant: Tenant) -> str:
        """Takes a tenant's verdict on an answer of its own; returns the pool it was about. Raises NotFound."""
        return self._books.judged(verdict, tenant)

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


def _affordable_first(options: list[Quote], refusals: list[str]) -> list[Quote]:
    """Money is looked at when the request comes: what it does not reach for is passed over."""
    priced = list(zip(options, refusals, strict=True))
    return [
        *(option for option, refusal in priced if not refusal),
        *(
            replace(option, decision=replace(option.decision, reason=f"{option.decision.reason}; not now: {refusal}"))
            for option, refusal in priced
            if refusal
        ),
    ]


def _in_stages(options: list[Quote], staged: Staged) -> list[Quote]:
    """Where a cascade would run, its pools come first, in the order in which they would be asked, and say so."""
    order = [stage.pool for stage in staged.stages]
    asked = {option.decision.pool: option for option in options if option.decision.pool in order}
    first = []
    for place, stage in enumerate(staged.stages):
        if (option := asked.get(stage.pool)) is not None:
            reason = f"asked as number {place + 1} of {len(order)} of a cascade; {option.decision.reason}"
            decision = replace(option.decision, reason=reason)
            first.append(replace(option, decision=decision, max_cost_usd=stage.bound_usd))
    return [*first, *(option for option in options if option.decision.pool not in order)]
