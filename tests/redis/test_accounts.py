"""Budgets on a real Redis that works: what is granted, refused, given back and shown."""

import asyncio
from math import inf
from random import Random

import pytest

from router.admission.money import Hold
from router.admission.records import record_key
from router.admission.redis_accounts import RedisMoney
from router.admission.redis_link import RedisLink, connections
from router.admission.redis_records import RedisRecords
from router.admission.windows import bounds
from router.config import BudgetSettings
from router.errors import BudgetExhausted
from router.snapshot import Budget, Tenant
from tests.redis.accounts import accounts, until
from tests.redis.server import RedisServer

pytestmark = pytest.mark.requires("redis")

HARD = Tenant("team", budgets=(Budget("team", 1.0, "month", hard=True),))
SOFT = Tenant("soft", budgets=(Budget("soft", 1.0, "month"),))
UNDER = Tenant("team", budgets=(Budget("team", 1.0, "month", hard=True), Budget("org", 1.5, "", hard=True)))
SISTER = Tenant("sister", budgets=(Budget("org", 1.5, "", hard=True),))


def spent_nano(server: RedisServer, tenant: str, window: str = "month") -> int:
    with server.client() as client:
        return int(client.hget(record_key(tenant, window), "spent") or 0)


async def test_the_largest_bound_that_fits_is_held_and_the_rest_given_back(redis_server: RedisServer) -> None:
    async with accounts(redis_server, lease_share=0) as money:
        first = await money.reserve("a", HARD, (0.1, 0.7))
        second = await money.reserve("b", HARD, (0.1, 0.7))
        assert (first.usd, second.usd) == (0.7, 0.1)
        assert [state.spent_usd for state in second.states] == [0.8]
        assert [state.reserved_usd for state in second.states] == [0.8]
        money.settle(HARD, first, 0.25)
        assert (money.states(HARD)[0].spent_usd, money.states(HARD)[0].reserved_usd) == (0.35, 0.1)  # told before it is done
        money.settle(HARD, first, 0.0)  # once only
        await until(lambda: not money.figures().waiting)
        (state,) = await money.look(HARD)
        assert (state.spent_usd, state.reserved_usd, state.remaining_usd, state.hard) == (0.35, 0.1, 0.65, True)
        assert money.states(HARD) == (state,)
    assert spent_nano(redis_server, "team") == 350_000_000


async def test_the_same_id_from_a_caller_is_not_one_request(redis_server: RedisServer) -> None:
    async with accounts(redis_server, lease_share=0) as money:
        await asyncio.gather(*(money.reserve("same", HARD, (0.2,)) for _ in range(5)))
        with pytest.raises(BudgetExhausted):
            await money.reserve("same", HARD, (0.2,))


async def test_a_refusal_says_whose_budget_how_much_and_until_when(redis_server: RedisServer) -> None:
    async with accounts(redis_server, lease_share=0) as money:
        await money.reserve("a", HARD, (0.9988,))
        with pytest.raises(BudgetExhausted, match=r"^the budget of team, 1.00 USD per month, does not allow") as refused:
            await money.reserve("b", HARD, (0.0135, 0.5))
        assert "0.9988 USD are spent or held" in refused.value.message
        assert "0.0135 USD" in refused.value.message
        assert refused.value.retry_after_s is not None
        assert 0 < refused.value.retry_after_s <= 31 * 86400
        assert money.figures().refused == 1
        with pytest.raises(BudgetExhausted) as never:
            await money.reserve("c", HARD, (1.5,))  # more than the whole of it: waiting is no use
        assert never.value.retry_after_s is None
        assert (await money.reserve("d", HARD, (0.0,))).usd == 0.0  # what costs nothing is always allowed


async def test_all_budgets_of_the_chain_allow_or_none_is_charged(redis_server: RedisServer) -> None:
    async with accounts(redis_server, lease_share=0) as money:
        await money.reserve("a", SISTER, (0.9,))
        with pytest.raises(BudgetExhausted, match=r"the budget of org, 1\.50 USD, does not allow"):
            await money.reserve("b", UNDER, (0.7,))
        assert [state.spent_usd for state in await money.look(UNDER)] == [0.0, 0.9]
        hold = await money.reserve("c", UNDER, (0.6,))
        assert [state.spent_usd for state in hold.states] == [0.6, 1.5]
        money.settle(UNDER, hold, 0.1)
        await until(lambda: not money.figures().waiting)
        assert [state.spent_usd for state in await money.look(UNDER)] == [0.1, 1.0]


async def test_soft_budgets_count_and_never_refuse(redis_server: RedisServer) -> None:
    async with accounts(redis_server) as money:
        for _ in range(3):
            hold = await money.reserve("a", SOFT, (0.8, 0.1))
            assert hold.usd == 0.8
            money.settle(SOFT, hold, 0.8)
        await until(lambda: not money.figures().waiting)
        (state,) = await money.look(SOFT)
        assert (state.spent_usd, state.remaining_usd) == (2.4, 0.0)
        unbounded = await money.reserve("b", SOFT, (inf,))
        money.settle(SOFT, unbounded, 0.5)
    assert spent_nano(redis_server, "soft") == 2_900_000_000


async def test_who_has_no_budget_costs_redis_nothing(redis_server: RedisServer) -> None:
    async with accounts(redis_server) as money:
        hold = await money.reserve("a", Tenant("free"), (5.0,))
        assert hold == Hold("a", inf)
        money.settle(Tenant("free"), hold, 5.0)
        assert money.states(Tenant("free")) == ()
    with redis_server.client() as client:
        assert not client.keys("headgate:{budgets}:of:*")


async def test_more_than_was_held_is_not_charged_but_told(redis_server: RedisServer) -> None:
    async with accounts(redis_server, lease_share=0) as money:
        hold = await money.reserve("a", HARD, (0.25,))
        money.settle(HARD, hold, 0.5)
        odd = await money.reserve("b", HARD, (0.25,))
        money.settle(HARD, odd, float("nan"))
        figures = money.figures()
        assert (figures.overruns, figures.overrun_usd) == (2, 0.25)
    assert spent_nano(redis_server, "team") == 500_000_000


async def test_a_caller_who_leaves_before_the_answer_leaves_nothing_behind(redis_server: RedisServer) -> None:
    async with accounts(redis_server, lease_share=0) as money:
        asking = [asyncio.create_task(money.reserve("a", HARD, (0.01,))) for _ in range(60)]
        for task in asking:
            await asyncio.sleep(0)
            task.cancel()
        done = await asyncio.gather(*asking, return_exceptions=True)
        for hold in done:
            if isinstance(hold, Hold):
                money.settle(HARD, hold, 0.0)
        assert any(isinstance(each, asyncio.CancelledError) for each in done)
    assert spent_nano(redis_server, "team") == 0


async def test_a_crash_leaves_spent_what_was_held(redis_server: RedisServer) -> None:
    async with accounts(redis_server, lease_share=0.1, crash=True) as money:
        await money.reserve("a", HARD, (0.2,))
        await until(lambda: money.figures().leased_usd > 0)
    assert spent_nano(redis_server, "team") == 300_000_000


async def test_a_router_that_ends_in_order_gives_its_lease_back(redis_server: RedisServer) -> None:
    async with accounts(redis_server, lease_share=0.1) as money:
        hold = await money.reserve("a", HARD, (0.2,))
        await until(lambda: money.figures().leased_usd == 0.1)
        money.settle(HARD, hold, 0.2)
    assert spent_nano(redis_server, "team") == 200_000_000


async def test_a_lease_that_is_just_being_taken_goes_back_too(redis_server: RedisServer) -> None:
    for turns in range(12):
        async with accounts(redis_server, lease_share=0.1) as money:
            money.settle(HARD, await money.reserve("a", HARD, (0.2,)), 0.0)
            for _ in range(turns):  # anywhere between asking for it and having it
                await asyncio.sleep(0)
        assert spent_nano(redis_server, "team") == 0


async def test_leases_are_spent_before_anybody_is_refused(redis_server: RedisServer) -> None:
    async with accounts(redis_server, lease_share=0.1) as money:
        await money.reserve("a", HARD, (0.2,))
        await until(lambda: money.figures().leased_usd == 0.1)
        await money.reserve("b", HARD, (0.7,))
        hold = await money.reserve("c", HARD, (0.08,))
        money.settle(HARD, hold, 0.05)
        with pytest.raises(BudgetExhausted):
            await money.reserve("d", HARD, (0.08,))
        await until(lambda: not money.figures().waiting)
        assert (await money.reserve("e", HARD, (0.05,))).usd == 0.05  # what was left of the lease went back
    assert spent_nano(redis_server, "team") == 1_000_000_000


async def test_a_thousand_at_once_share_a_budget_to_the_last_nano(redis_server: RedisServer) -> None:
    async with (
        accounts(redis_server, timeout_s=20, lease_share=0) as one,
        accounts(redis_server, timeout_s=20, lease_share=0) as two,
    ):
        asked = (money.reserve("a", HARD, (0.002000001, 0.00001)) for _ in range(500) for money in (one, two))
        done = await asyncio.gather(*asked, return_exceptions=True)
        held = sum(round(each.usd * 1e9) for each in done if isinstance(each, Hold))
        assert all(isinstance(each, Hold | BudgetExhausted) for each in done)
        # 499 of the large ones, and then as many of the small ones as fit.
        assert held == 499 * 2_000_001 + 199 * 10_000
    assert spent_nano(redis_server, "team") == held


def money_with_clock(server: RedisServer, wall_s: float) -> RedisMoney:
    link = RedisLink(connections(server.url, server.password), 2.0, Random(1))
    return RedisMoney(RedisRecords(link, "closed", f"router-{wall_s}", wall_s), BudgetSettings(lease_share=0))


async def test_routers_whose_clocks_are_years_apart_share_one_window(redis_server: RedisServer) -> None:
    """Redis's own clock is what counts: neither sees a window of its own, or a refusal."""
    routers = [money_with_clock(redis_server, wall_s) for wall_s in (0.0, 4e9)]
    running = [asyncio.create_task(money.run()) for money in routers]
    holds = [await money.reserve("a", HARD, (0.3,)) for money in routers]
    assert [hold.states[0].spent_usd for hold in holds] == [0.3, 0.6]
    with redis_server.client() as client:
        now_s, _ = client.time()
    start_s, end_s = bounds("month", now_s)
    assert {hold.states[0].resets_at_s for hold in holds} == {end_s}
    assert start_s <= now_s < end_s
    for task in running:
        task.cancel()
    await asyncio.wait(running)


async def test_a_record_does_not_go_back_with_the_clock(redis_server: RedisServer) -> None:
    """Redis's clock was a window ahead for a while, or a replica's is behind: what was spent there is not spent again."""
    async with accounts(redis_server, lease_share=0) as money:
        await money.reserve("a", HARD, (0.3,))
        with redis_server.client() as client:
            _, next_s = bounds("month", client.time()[0])
            client.hset(record_key("team", "month"), "start", next_s)
        async with accounts(redis_server, lease_share=0) as other:
            hold = await other.reserve("b", HARD, (0.3,))
            assert (hold.states[0].spent_usd, hold.states[0].resets_at_s) == (0.6, bounds("month", next_s)[1])
            with pytest.raises(BudgetExhausted):
                await other.reserve("c", HARD, (0.5,))


async def test_a_new_window_begins_with_nothing_spent(redis_server: RedisServer) -> None:
    async with accounts(redis_server, lease_share=0) as money:
        late = await money.reserve("a", HARD, (1.0,))
        with redis_server.client() as client:  # as if it had been reserved a month ago
            key = record_key("team", "month")
            start_s, _ = bounds("month", client.time()[0])
            before_s, _ = bounds("month", start_s - 1)
            client.hset(key, "start", before_s)
            (hold_key,) = client.keys("headgate:{budgets}:hold:*")
            client.set(hold_key, client.get(hold_key).replace(b" %d " % start_s, b" %d " % before_s))
    async with accounts(redis_server, lease_share=0) as money:  # one that saw nothing of that month
        hold = await money.reserve("b", HARD, (0.75,))
        assert hold.states[0].spent_usd == 0.75
        money.settle(HARD, late, 0.0)  # belongs to the month in which it was reserved
        await until(lambda: not money.figures().waiting)
        assert (await money.look(HARD))[0].spent_usd == 0.75
