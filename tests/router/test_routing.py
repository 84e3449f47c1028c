"""Pool and replica together, and what the answers teach."""

from pathlib import Path
from random import Random

import pytest

from router.config import RouterConfig, TopologySource
from router.errors import NoReplica, NotFound
from router.fleet.specs import PoolSpec, ReplicaSpec, Report
from router.fleet.store import FleetStore
from router.picking.prefix_index import chain
from router.request import ChatPrompt, Request, Sampling, TextPrompt, TokenPrompt
from router.routing import prompt_bytes
from router.snapshot import Prices, Tenant
from tests.routings import routing_of

ANYONE = Tenant("anyone")
LONG = TextPrompt("A long system prompt that every request of this application begins with. " * 60)


class World:
    def __init__(self) -> None:
        config = RouterConfig(topology=TopologySource(file=Path("none")))
        self.store = FleetStore(config, rng=Random(1))
        pools = [
            PoolSpec("small", "small", ("smol",), Prices(1.0, 0.1, 2.0), self._replicas("s", 4)),
            PoolSpec("large", "large", ("big",), Prices(10.0, 1.0, 20.0), self._replicas("l", 2)),
        ]
        self.store.apply_topology(pools, [], 1)
        for pool in pools:
            for replica in pool.replicas:
                report = Report("1", "ready", max_running=8, models=pool.models, max_context_tokens=32_000)
                self.store.apply_report(replica.id, report)
        self.routing = routing_of()

    @staticmethod
    def _replicas(letter: str, count: int) -> tuple[ReplicaSpec, ...]:
        base = 7000 if letter == "s" else 7100
        return tuple(ReplicaSpec(f"{letter}{i}", f"127.0.0.1:{base + i}") for i in range(count))

    def place(self, request: Request):
        fleet = self.store.view()
        plan = self.routing.plan(request, ANYONE, fleet)
        pick = self.routing.pick(plan, plan.choices[0].pool, fleet, frozenset())
        assert pick is not None
        return plan, pick


def ask(model: str = "small", **more: object) -> Request:
    return Request("q", model, more.pop("prompt", LONG), Sampling(), **more)


def test_a_prompt_goes_back_to_the_replica_that_read_it() -> None:
    world = World()
    plan, first = world.place(ask())
    world.routing.learn(plan, plan.choices[0].pool, first, 1000, 0)
    assert {world.place(ask())[1].replica_id for _ in range(20)} == {first.replica_id}


def test_a_corrected_memory_holds_nothing_of_the_chain() -> None:
    world = World()
    plan, first = world.place(ask())
    world.routing.learn(plan, plan.choices[0].pool, first, 1000, 0)
    plan, again = world.place(ask())
    assert again.matched_blocks
    index = world.routing._index
    index.correct(plan.prefix, again.replica_id, 0)
    assert not index.matched(plan.prefix, world.store.view(), plan.choices[0].pool).any()


def test_a_replaced_replica_holds_nothing() -> None:
    world = World()
    plan, first = world.place(ask())
    world.routing.learn(plan, plan.choices[0].pool, first, 1000, 0)
    world.routing.forget(first.replica_id)
    assert world.place(ask())[1].matched_blocks == 0


def test_a_different_cache_salt_shares_nothing() -> None:
    world = World()
    plan, first = world.place(ask(cache_salt="a"))
    world.routing.learn(plan, plan.choices[0].pool, first, 1000, 0)
    assert world.place(ask(cache_salt="b"))[1].matched_blocks == 0


def test_a_quote_names_every_pool_best_first_and_a_cached_prompt_is_cheaper() -> None:
    world = World()
    fleet = world.store.view()
    before = world.routing.quote(world.routing.plan(ask("auto", prompt=TextPrompt("hi")), ANYONE, fleet), fleet)
    assert [quote.decision.pool for quote in before] == ["small", "large"]
    assert before[0].cost_usd < before[1].cost_usd
    plan, pick = world.place(ask())
    cold = world.routing.quote(plan, world.store.view())[0]
    world.routing.learn(plan, plan.choices[0].pool, pick, 1000, 0)
    warm = world.routing.quote(world.place(ask())[0], world.store.view())[0]
    assert warm.cached_tokens > 0
    assert warm.cost_usd < cold.cost_usd


def test_both_reasons_are_given() -> None:
    world = World()
    plan, pick = world.place(ask())
    decision = world.routing.decision(plan, plan.choices[0].pool, pick)
    assert decision.reason.startswith("asked for by name; ")
    assert "score" in decision.reason


def test_nobody_ready_says_so() -> None:
    world = World()
    for number in range(4):
        world.store.lost(f"s{number}")
    fleet = world.store.view()
    plan = world.routing.plan(ask(), ANYONE, fleet)
    assert world.routing.pick(plan, plan.choices[0].pool, fleet, frozenset()) is None
    assert isinstance(world.routing.refusal(plan, plan.choices[0].pool, fleet), NoReplica)


def test_no_such_model() -> None:
    with pytest.raises(NotFound, match="smoll"):
        World().place(ask("smoll"))


@pytest.mark.parametrize(
    ("prompt", "longer"),
    [
        (TextPrompt("x" * 600), TextPrompt("x" * 600 + "y" * 300)),
        (TokenPrompt(tuple(range(200))), TokenPrompt(tuple(range(300)))),
        (
            ChatPrompt(b'[{"role":"user","content":"' + b"x" * 600 + b'"}]'),
            ChatPrompt(b'[{"role":"user","content":"' + b"x" * 900),
        ),
    ],
)
def test_a_prompt_that_grows_at_its_end_keeps_its_prefix(prompt: TextPrompt, longer: TextPrompt) -> None:
    short, long = (chain(prompt_bytes(ask(prompt=each)), "") for each in (prompt, longer))
    assert len(short) >= 2
    assert long[:2] == short[:2]


def hit(world: World, cached_tokens: int, prompt_tokens: int = 1000) -> int:
    """Places the long prompt, tells how much of it was cached, and returns how many of its blocks were remembered."""
    plan, pick = world.place(ask())
    world.routing.learn(plan, plan.choices[0].pool, pick, prompt_tokens, cached_tokens)
    return pick.matched_blocks


def only_one_replica() -> World:
    world = World()
    for number in range(1, 4):
        world.store.lost(f"s{number}")
    return world


def test_an_engine_that_caches_nothing_keeps_no_affinity() -> None:
    world = only_one_replica()
    blocks = [hit(world, cached_tokens=0) for _ in range(6)]
    assert blocks[0] == 0
    assert blocks[1] > 0, "the first answer looked like any cold one"
    assert blocks[2:] == [0] * 4


def test_an_engine_whose_cache_turns_out_to_work_is_trusted_again() -> None:
    world = only_one_replica()
    hit(world, 0)
    hit(world, 0)  # everything was evicted
    assert hit(world, 0) == hit(world, 900) == 0
    assert hit(world, 900) > 0


def test_a_replica_that_was_replaced_is_trusted_again() -> None:
    world = only_one_replica()
    hit(world, 0)
    hit(world, 0)
    world.routing.forget("s0")
    assert hit(world, 0) == 0
    assert hit(world, 900) > 0


@pytest.mark.parametrize(
    ("cached_tokens", "kv_block_tokens", "kept"),
    [
        (1000, 16, True),
        (984, 16, True),  # the last block is never counted as cached
        (500, 16, True),  # the bytes of a token are not the same everywhere
        (400, 16, False),
        (400, 256, True),  # a whole block of them proves nothing
        (400, 0, True),  # nor does one of unknown size
        (300, 0, False),
    ],
)
def test_less_than_was_remembered_is_proof_only_beyond_a_block_and_an_uneven_prompt(
    cached_tokens: int, kv_block_tokens: int, kept: bool
) -> None:
    world = only_one_replica()
    world.store.apply_report("s0", Report("1", "ready", models=("smol",), kv_block_tokens=kv_block_tokens))
    hit(world, 0)
    before = hit(world, cached_tokens)
    after = world.place(ask())[1].matched_blocks
    assert (after == before) == kept
    assert 0 < after <= before


def test_a_short_prompt_that_was_not_cached_proves_nothing() -> None:
    world = only_one_replica()
    world.store.apply_report("s0", Report("1", "ready", models=("smol",), kv_block_tokens=16))
    for _ in range(3):
        plan, pick = world.place(ask(prompt=TextPrompt("hello there")))
        world.routing.learn(plan, plan.choices[0].pool, pick, 3, 0)
    assert pick.matched_blocks == 1


def test_tenants_share_no_prefix_unless_they_share_a_salt() -> None:
    world = only_one_replica()

    def matched(tenant: Tenant, salt: str = "") -> int:
        fleet = world.store.view()
        plan = world.routing.plan(ask(cache_salt=salt), tenant, fleet)
        pick = world.routing.pick(plan, plan.choices[0].pool, fleet, frozenset())
        assert pick is not None
        return pick.matched_blocks

    red, blue, pink = (
        Tenant("red", cache_salt="1" * 32),
        Tenant("blue", cache_salt="2" * 32),
        Tenant("pink", cache_salt="1" * 32),
    )
    fleet = world.store.view()
    plan = world.routing.plan(ask(), red, fleet)
    pick = world.routing.pick(plan, plan.choices[0].pool, fleet, frozenset())
    assert pick is not None
    world.routing.learn(plan, plan.choices[0].pool, pick, 1000, 0)
    assert matched(red) == matched(pink) > 0
    assert matched(blue) == matched(ANYONE) == matched(red, salt="mine") == 0
    assert matched(ANYONE, salt="1" * 32) == matched(ANYONE, salt="1" * 32 + "-") * 0 == 0
    assert plan.cache_salt == "1" * 32 + "-"
