"""What the fronts are offered, but for the answers themselves (test_dispatch) and their wire."""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from router.admission.money import Expected, Hold
from router.admission.unlimited import Unlimited
from router.books import Books
from router.choosing.cascade import Staged
from router.config import RouterConfig, TopologySource
from router.embedding import Embedder
from router.errors import BudgetExhausted, Forbidden, NoReplica, NotFound, ReplicaLost, Unauthenticated
from router.fleet.loads import LoadCounts
from router.fleet.specs import PoolSpec, ReplicaSpec, Report, TenantSpec
from router.fleet.store import FleetStore
from router.metrics import Metrics
from router.request import BudgetState, Decision, EmbedCall, Quote, Request, Sampling, TextPrompt
from router.service import Service
from router.snapshot import Prices, Tenant
from router.verdict import Verdict
from router.waiting import WaitingRoom
from tests.routings import routing_of

KEY = "sk-of-the-search-team"
ANYONE = Tenant("anyone")


def idle() -> SimpleNamespace:
    """A dispatcher with nothing to do."""
    return SimpleNamespace(draining=False, bounded=lambda request, tenant: request, staged=lambda plan: Staged())


class EmbeddingWorkers:
    def __init__(self, lose: int = 0) -> None:
        self.lose, self.asked = lose, []

    async def embed(self, address: str, call: EmbedCall, model: str) -> Any:
        self.asked.append(address)
        if len(self.asked) <= self.lose:
            raise ReplicaLost("gone")
        return tuple((1.0, 0.0) for _ in call.texts), 10


def service_over(
    store: FleetStore, workers: EmbeddingWorkers | None = None, purse: "Purse | Unlimited | None" = None
) -> Service:
    routing = routing_of()
    books, room = Books(Metrics(store), LoadCounts()), WaitingRoom(store, most=8)
    embedder = Embedder(store, workers or EmbeddingWorkers(), routing, books, room, tries=3, money=purse)
    return Service(idle(), embedder, store, routing, books, purse)  # type: ignore[arg-type]


def empty_store() -> FleetStore:
    return FleetStore(RouterConfig(topology=TopologySource(file=Path("none"))), rng=Random(1))


def service(
    tenants: tuple[TenantSpec, ...] = (), workers: EmbeddingWorkers | None = None, purse: "Purse | None" = None
) -> Service:
    """One generating pool and one that embeds, all of it ready."""
    store = empty_store()
    made = service_over(store, workers, purse)
    pair = (ReplicaSpec("v0", "127.0.0.1:7100"), ReplicaSpec("v1", "127.0.0.1:7101"))
    pools = [
        PoolSpec("small", "small", ("smol",), Prices(1.0, 0.1, 2.0), (ReplicaSpec("s0", "127.0.0.1:7000"),)),
        PoolSpec("vectors", "small", ("mini",), Prices(3.0), pair),
    ]
    store.apply_topology(pools, tenants, 1)
    for pool in pools:
        for replica in pool.replicas:
            store.apply_report(replica.id, Report("1", "ready", models=pool.models, embeddings=pool.name == "vectors"))
    return made


def tenant(*pools: str) -> TenantSpec:
    return TenantSpec("search", (hashlib.sha256(KEY.encode()).digest(),), pools)


def test_without_keys_it_is_open_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert service().authenticate(None).name == "anonymous"
    assert sum("no API key is configured" in record.message for record in caplog.records) == 1


def test_with_keys_only_they_open_it(caplog: pytest.LogCaptureFixture) -> None:
    made = service((tenant("small"),))
    assert made.authenticate(KEY).name == "search"
    for wrong in (None, "", "sk-wrong"):
        with pytest.raises(Unauthenticated) as caught:
            made.authenticate(wrong)
        assert "sk-wrong" not in str(caught.value)
    assert not caplog.records


def test_models_are_those_the_tenant_may_use() -> None:
    assert [card.name for card in service().models(ANYONE)] == ["small", "smol", "vectors", "mini"]
    made = service((tenant("small"),))
    assert [card.name for card in made.models(made.authenticate(KEY))] == ["small", "smol"]


async def test_a_quote_runs_nothing() -> None:
    offer = await service().quote(Request("q", "small", TextPrompt("hi")), ANYONE)
    assert [quote.decision.replica for quote in offer.options] == ["s0"]
    assert (offer.budgets, offer.refusal) == ((), "")


class Purse(Unlimited):
    """Has this much left; `looked` counts how often it was asked."""

    def __init__(self, left_usd: float) -> None:
        self.state = BudgetState("search", 1.0, 1.0 - left_usd, "day", hard=True)
        self.looked = 0
        self.log: list[tuple[str, float]] = []

    async def look(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        self.looked += 1
        return self.states(tenant)

    def states(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        return (self.state,)

    def refusal(self, tenant: Tenant, bound_usd: float) -> str:
        return f"{bound_usd:g} is too much" if bound_usd > self.state.remaining_usd else ""

    async def hold(self, request_id: str, tenant: Tenant, bounds_usd: Sequence[float], expected: Expected) -> Hold:
        if why := self.refusal(tenant, min(bounds_usd)):
            raise BudgetExhausted(why)
        assert 0 < expected.usd < bounds_usd[0]
        self.log.append(("held", bounds_usd[0]))
        return Hold(request_id, bounds_usd[0], (self.state,))

    def settle(self, tenant: Tenant, hold: Hold, actual_usd: float, expected_usd: float) -> None:
        self.log.append(("settled", actual_usd))


def costing(**bounds_usd: float) -> Service:
    """Pools by what a request can cost there, in the order in which routing prefers them."""
    quotes = [Quote(Decision(name, "m", "r0", "why"), usd / 2, 1, 0, 1, usd) for name, usd in bounds_usd.items()]
    routing = SimpleNamespace(plan=lambda *_: None, quote=lambda *_: quotes)
    purse = Purse(left_usd=0.5)
    return Service(idle(), SimpleNamespace(), empty_store(), routing, SimpleNamespace(), purse)  # type: ignore[arg-type]


ASKED = Request("q", "auto", TextPrompt("hi"), Sampling(max_tokens=100))


@pytest.mark.parametrize(
    ("bounds_usd", "order", "refusal"),
    [
        ({"best": 0.5, "next": 0.25}, {"best": "why", "next": "why"}, ""),
        (
            {"best": 0.75, "next": 0.25, "last": 1.0},
            {"next": "why", "best": "why; not now: 0.75 is too much", "last": "why; not now: 1 is too much"},
            "",
        ),
        ({"best": 1.0, "next": 0.75}, {"best": "why", "next": "why"}, "0.75 is too much"),
        ({}, {}, "no replica that could take it is ready"),
    ],
)
async def test_a_quote_tells_of_the_money_and_takes_what_can_be_paid(
    bounds_usd: dict[str, float], order: dict[str, str], refusal: str
) -> None:
    offer = await costing(**bounds_usd).quote(ASKED, ANYONE)
    assert {option.decision.pool: option.decision.reason for option in offer.options} == order
    assert [option.decision.pool for option in offer.options] == list(order)
    assert (offer.refusal, offer.budgets) == (refusal, (Purse(left_usd=0.5).state,))


async def test_a_quote_where_nobody_is_ready_says_so() -> None:
    store = empty_store()
    made = service_over(store)
    store.apply_topology([PoolSpec("small", "small", ("smol",), Prices(), (), cold_start_wait_s=9)], (), 1)
    assert (await made.quote(ASKED, ANYONE)).refusal == "no replica that could take it is ready"


async def test_budgets_are_asked_for_anew() -> None:
    made = service(purse=(purse := Purse(left_usd=0.5)))
    assert (await made.budget(ANYONE), purse.looked) == ((purse.state,), 1)
    assert await service().budget(ANYONE) == ()


def test_a_verdict_goes_to_the_books() -> None:
    with pytest.raises(NotFound) as caught:
        service().feedback(Verdict("never", 1.0), ANYONE)
    assert caught.value.param == "request_id"


async def test_embeddings_are_paid_and_what_fails_is_not() -> None:
    purse = Purse(left_usd=1.0)
    answer = await service(purse=purse).embed(EmbedCall("e", "mini", ("a" * 100, "b")), ANYONE)
    (_, held), (_, settled) = purse.log
    # At 3 USD per million tokens: a byte is a token at most, and the engine counted ten.
    assert held >= 101 * 3e-6
    assert settled == answer.cost_usd == pytest.approx(10 * 3e-6)
    assert answer.budgets == (purse.state,)
    purse.log.clear()
    with pytest.raises(NoReplica):
        await service(workers=EmbeddingWorkers(lose=99), purse=purse).embed(EmbedCall("e", "mini", ("a",)), ANYONE)
    assert purse.log[1] == ("settled", 0.0)
    purse.log.clear()
    asked = EmbeddingWorkers()
    with pytest.raises(BudgetExhausted):
        await service(workers=asked, purse=Purse(left_usd=0.0)).embed(EmbedCall("e", "mini", ("a",)), ANYONE)
    assert not asked.asked


async def test_a_caller_who_leaves_an_embedding_gets_the_money_back() -> None:
    class Stuck(EmbeddingWorkers):
        async def embed(self, address: str, call: EmbedCall, model: str) -> Any:
            await asyncio.Event().wait()

    purse = Purse(left_usd=1.0)
    task = asyncio.create_task(service(workers=Stuck(), purse=purse).embed(EmbedCall("e", "mini", ("a",)), ANYONE))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [what for what, _ in purse.log] == ["held", "settled"]


async def test_embeddings_go_to_a_pool_that_embeds_and_cost_what_its_input_costs() -> None:
    answer = await service().embed(EmbedCall("e", "auto", ("a", "b")), ANYONE)
    assert (answer.decision.pool, len(answer.vectors)) == ("vectors", 2)
    assert answer.cost_usd == pytest.approx(10 * 3.0 / 1e6)


async def test_a_lost_embedding_call_is_sent_elsewhere() -> None:
    workers = EmbeddingWorkers(lose=1)
    await service(workers=workers).embed(EmbedCall("e", "mini", ("a",)), ANYONE)
    assert len(set(workers.asked)) == 2


async def test_embeddings_that_can_not_be() -> None:
    with pytest.raises(NoReplica):
        await service(workers=EmbeddingWorkers(lose=99)).embed(EmbedCall("e", "mini", ("a",)), ANYONE)
    with pytest.raises(NotFound, match="no embedding engine"):
        await service().embed(EmbedCall("e", "small", ("a",)), ANYONE)
    with pytest.raises(NotFound, match="is not a model or pool"):
        await service().embed(EmbedCall("e", "none", ("a",)), ANYONE)
    made = service((tenant("small"),))
    with pytest.raises(Forbidden):
        await made.embed(EmbedCall("e", "mini", ("a",)), made.authenticate(KEY))


VECTORS = PoolSpec("vectors", "small", ("mini",), Prices(3.0), (ReplicaSpec("v0", "127.0.0.1:7100"),))


@pytest.mark.parametrize(
    ("pools", "ready"),
    [
        (None, False),  # no topology yet
        ([], True),  # one without pools: there is nothing to wait for
        ([replace(VECTORS, replicas=())], False),
        ([VECTORS], False),
        ([VECTORS, replace(VECTORS, name="b", models=("b",), replicas=(), cold_start_wait_s=9)], True),
    ],
)
def test_ready_is_who_can_answer_or_wake_someone_who_can(pools: list[PoolSpec] | None, ready: bool) -> None:
    store = empty_store()
    made = service_over(store)
    if pools is not None:
        store.apply_topology(pools, [], 1)
    assert made.ready() == ready
    if pools:
        store.apply_topology([VECTORS], [], 2)
        store.apply_report("v0", Report("1", "ready", models=("mini",)))
        assert made.ready()
    made.draining = True
    assert not made.ready()


@pytest.mark.looptime
async def test_embeddings_wake_a_pool_that_never_was_up() -> None:
    store = empty_store()
    store.apply_topology([replace(VECTORS, replicas=(), cold_start_wait_s=60)], [], 1)
    made = service_over(store)
    asked = asyncio.create_task(made.embed(EmbedCall("e", "mini", ("a",)), ANYONE))
    await asyncio.sleep(5)
    store.apply_topology([replace(VECTORS, cold_start_wait_s=60)], [], 2)
    store.apply_report("v0", Report("1", "ready", models=("mini",), embeddings=True))
    assert (await asked).decision.replica == "v0"
    store.apply_topology([replace(VECTORS, replicas=(), cold_start_wait_s=60)], [], 3)
    with pytest.raises(NoReplica):
        await made.embed(EmbedCall("e", "mini", ("a",), deadline=asyncio.get_running_loop().time() + 7), ANYONE)
    assert asyncio.get_running_loop().time() == pytest.approx(12, abs=0.1)


def test_a_pool_at_zero_is_shown_among_the_models() -> None:
    store = empty_store()
    store.apply_topology([replace(VECTORS, replicas=(), cold_start_wait_s=60)], [], 1)
    assert [(card.name, card.ready_replicas) for card in service_over(store).models(ANYONE)] == [("vectors", 0), ("mini", 0)]
