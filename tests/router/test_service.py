"""What the fronts are offered, but for the answers themselves (test_dispatch) and their wire."""

import asyncio
import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from router.books import Books
from router.config import RouterConfig, TopologySource
from router.embedding import Embedder
from router.errors import Forbidden, NoReplica, NotFound, ReplicaLost, Unauthenticated
from router.fleet.loads import LoadCounts
from router.fleet.specs import PoolSpec, ReplicaSpec, Report, TenantSpec
from router.fleet.store import FleetStore
from router.metrics import Metrics
from router.picking.prefix_index import PrefixIndex
from router.picking.registry import build_pipeline
from router.request import EmbedCall, Request, TextPrompt
from router.routing import Routing
from router.service import Service
from router.snapshot import Prices, Tenant
from router.waiting import WaitingRoom

KEY = "sk-of-the-search-team"
ANYONE = Tenant("anyone")


class EmbeddingWorkers:
    def __init__(self, lose: int = 0) -> None:
        self.lose, self.asked = lose, []

    async def embed(self, address: str, call: EmbedCall, model: str) -> Any:
        self.asked.append(address)
        if len(self.asked) <= self.lose:
            raise ReplicaLost("gone")
        return tuple((1.0, 0.0) for _ in call.texts), 10


def service_over(store: FleetStore, workers: EmbeddingWorkers | None = None) -> Service:
    config = RouterConfig(topology=TopologySource(file=Path("none")))
    routing = Routing(config.auto, build_pipeline(config.picking), PrefixIndex(), Random(7))
    books, room = Books(Metrics(store), LoadCounts()), WaitingRoom(store, most=8)
    embedder = Embedder(store, workers or EmbeddingWorkers(), routing, books, room, tries=3)
    return Service(SimpleNamespace(draining=False), embedder, store, routing, books)  # type: ignore[arg-type]


def empty_store() -> FleetStore:
    return FleetStore(RouterConfig(topology=TopologySource(file=Path("none"))), rng=Random(1))


def service(tenants: tuple[TenantSpec, ...] = (), workers: EmbeddingWorkers | None = None) -> Service:
    """One generating pool and one that embeds, all of it ready."""
    store = empty_store()
    made = service_over(store, workers)
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


def test_a_quote_runs_nothing() -> None:
    quotes = service().quote(Request("q", "small", TextPrompt("hi")), ANYONE)
    assert [quote.decision.replica for quote in quotes] == ["s0"]


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
