"""What a request sets aside, what it may do with that, and what it is charged, however it ends. The book is scripted."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest

from router.admission.money import Hold
from router.continuation import Call, Part
from router.errors import AnswerLost, BudgetExhausted, ReplicaLost
from router.fleet.specs import CascadeSpec, PolicySpec, PolicyWeights, PoolSpec, ReplicaSpec
from router.request import BudgetState, Finished, Piece, Sampling, TextPrompt, TokenLogprob
from router.snapshot import Budget, Prices, Tenant
from tests.router.dispatching import World, losing, request, text, words

pytestmark = pytest.mark.looptime

HARD = Tenant("acme", budgets=(Budget("acme", 1.0, "day", hard=True), Budget("org", 5.0, "month")))
SOFT = Tenant("acme", budgets=(Budget("acme", 1.0, "day"),))
LARGE = PoolSpec("large", "large", ("big",), Prices(10.0, 1.0, 100.0), (ReplicaSpec("l0", "127.0.0.1:7100"),))
COST_USD = (60 * 1.0 + 40 * 0.1 + 10 * 10.0) / 1e6  # of `words`


@dataclass
class Book:
    """Grants up to `left_usd`, and writes down what it is told."""

    left_usd: float = 100.0
    asked: list[tuple[str, list[float]]] = field(default_factory=list)
    settled: list[tuple[str, float]] = field(default_factory=list)

    async def reserve(self, request_id: str, tenant: Tenant, bounds_usd: Sequence[float]) -> Hold:
        await asyncio.sleep(0.001)
        self.asked.append((request_id, list(bounds_usd)))
        for bound in bounds_usd:
            if bound <= self.left_usd:
                return Hold(request_id, bound, self.states(tenant))
        raise BudgetExhausted("the money is spent", retry_after_s=60.0)

    def settle(self, tenant: Tenant, hold: Hold, actual_usd: float) -> None:
        self.settled.append((hold.request_id, actual_usd))

    def states(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        return tuple(BudgetState(each.tenant, each.usd, 0.25, each.window, 0, each.hard, 0.05) for each in tenant.budgets)

    def unavailable(self, tenant: Tenant) -> str:
        return ""

    async def look(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        return self.states(tenant)


@dataclass
class Pacing:
    """A pacer that asks `usd_price` and writes down what it hears."""

    usd_price: float = 0.0
    decided_usd: list[float] = field(default_factory=list)
    spent_usd: list[float] = field(default_factory=list)

    def price(self, now_s: float) -> float:
        return self.usd_price

    def decided(self, now_s: float, cost_usd: float, typical_usd: float) -> None:
        self.decided_usd.append(cost_usd)

    def spent(self, now_s: float, spent_usd: float) -> None:
        self.spent_usd.append(spent_usd)


def world(book: Book, script: object = words, pacing: Pacing | None = None, **more: object) -> World:
    paced = pacing or Pacing()
    return World(script, money=book, pacer=lambda *_: paced, **more)


async def test_money_is_set_aside_before_anything_is_sent_and_settled_with_what_it_cost() -> None:
    book = Book()
    there = world(book)
    events = await there.ask(HARD, sampling=Sampling(max_tokens=50))
    finished = events[-1]
    assert isinstance(finished, Finished)
    ((hold_id, bounds),) = book.asked
    assert bounds[0] >= COST_USD
    assert book.settled == [(hold_id, pytest.approx(COST_USD))]
    assert [state.tenant for state in finished.budgets] == ["acme", "org"]


async def test_callers_ids_do_not_name_what_is_set_aside() -> None:
    book = Book()
    there = world(book)
    await there.ask(HARD)
    await there.ask(HARD)
    assert len({hold_id for hold_id, _ in book.asked}) == 2


async def test_without_money_nothing_is_sent() -> None:
    book = Book(left_usd=0.0)
    there = world(book)
    with pytest.raises(BudgetExhausted) as fault:
        await there.ask(HARD)
    assert fault.value.retry_after_s == 60.0
    assert (there.calls, book.settled, there.ledger.codes) == ([], [], ["budget_exceeded"])
    assert there.is_idle()


async def test_an_answer_without_a_limit_gets_one_where_a_hard_budget_holds() -> None:
    there = world(Book(), budgets={"default_max_tokens": 77})
    await there.ask(HARD, sampling=Sampling())
    await there.ask(SOFT, sampling=Sampling())
    await there.ask(HARD, sampling=Sampling(max_tokens=200))
    assert [call.sampling.max_tokens for _, call in there.calls] == [77, None, 200]


async def test_what_the_money_does_not_cover_is_not_tried() -> None:
    best = {"best": PolicySpec("best", weights=PolicyWeights(cost=0.0))}
    tenant = Tenant("acme", policy="best", budgets=HARD.budgets)
    hard = TextPrompt("Prove the theorem step by step, why and how; explain the design of this algorithm in detail. " * 6)
    asked = {"model": "auto", "sampling": Sampling(max_tokens=100), "prompt": hard}
    rich, poor = Book(), Book(left_usd=0.005)
    assert (await world(rich, more_pools=[LARGE], policies=best).ask(tenant, **asked))[-1].decision.pool == "large"
    assert (await world(poor, more_pools=[LARGE], policies=best).ask(tenant, **asked))[-1].decision.pool == "small"
    assert len(poor.asked[0][1]) == 2
    assert poor.asked[0][1][0] > 0.005 > poor.asked[0][1][1]


async def test_a_caller_who_leaves_pays_for_what_came() -> None:
    book = Book()
    there = world(book)
    async with aclosing(there.dispatcher.generate(request(), HARD)) as events:
        seen = 0
        async for event in events:
            seen += isinstance(event, Piece)
            if seen == 4:
                break
    ((_, charged),) = book.settled
    assert charged == pytest.approx((60 * 1.0 + 40 * 0.1 + 4 * 10.0) / 1e6)
    assert there.is_idle()


@pytest.mark.parametrize("after", [0, 1, 5])
async def test_what_fails_for_good_is_charged_what_was_used(after: int) -> None:
    book = Book()
    with pytest.raises((AnswerLost, Exception)):
        await world(book, losing(99, after), failover={"tries": 2}).ask(HARD)
    ((_, charged),) = book.settled
    delivered = 2 * max(after - 1, 0)  # the second try went on after the first
    assert charged == pytest.approx(((64.0 if after else 0.0) + delivered * 10.0) / 1e6)


async def test_a_resumed_answer_is_charged_once() -> None:
    book = Book()
    await world(book, losing(1, 5)).ask(HARD)
    assert [charged for _, charged in book.settled] == [pytest.approx(COST_USD)]


async def test_a_bug_in_the_wire_settles_too() -> None:
    async def broken(address: str, call: Call) -> AsyncGenerator[Part, None]:
        yield Part(prompt_tokens=100)
        raise RuntimeError("a bug")

    book = Book()
    there = world(book, broken)
    with pytest.raises(BaseException, match=r"a bug|unhandled"):
        await there.ask(HARD)
    assert len(book.settled) == 1
    assert there.is_idle()


async def test_tenants_without_budgets_ask_no_book() -> None:
    book = Book()
    events = await world(book).ask(Tenant("free"))
    assert (book.asked, book.settled, events[-1].budgets) == ([], [], ())


async def test_pacers_hear_the_expected_cost_and_what_was_really_spent() -> None:
    """Reservations are upper bounds: for its own the router counts what it expects instead."""
    pacing = Pacing()
    there = world(Book(), pacing=pacing)
    first = (await there.ask(HARD))[-1]
    (expected,) = set(pacing.decided_usd)
    assert 0 < expected < 0.01
    assert len(pacing.decided_usd) == len(HARD.budgets)
    assert pacing.spent_usd == [pytest.approx(0.25 - 0.05)] * 2
    assert first.cost_usd == pytest.approx(COST_USD)


async def test_every_budget_of_the_chain_has_its_price_and_they_add_up() -> None:
    dear = {"paced": PolicySpec("paced", "budget")}
    tenant = Tenant("acme", policy="paced", budgets=HARD.budgets)
    events = await world(Book(), pacing=Pacing(usd_price=150.0), more_pools=[LARGE], policies=dear).ask(tenant, model="auto")
    assert "a dollar must bring 300" in events[-1].decision.reason
    assert events[-1].decision.policy == "paced"


CASCADE = {"first": PolicySpec("first", cascade=CascadeSpec(("small", "large"), min_confidence=0.5))}


@pytest.mark.parametrize(("logprob", "pool", "escalated"), [(-0.01, "small", 0), (-3.0, "large", 1)])
async def test_a_cascade_is_charged_for_all_it_asked(logprob: float, pool: str, escalated: int) -> None:
    async def sure(address: str, call: Call) -> AsyncGenerator[Part, None]:
        yield Part(prompt_tokens=100, cached_tokens=40)
        for token in range(10):
            said = (TokenLogprob(token, f"{token} ", b"", logprob),) if call.sampling.logprobs is not None else ()
            yield Part((token,), f"{call.model}{token} ", said, finish_reason="stop" if token == 9 else None)

    book = Book()
    there = world(book, sure, more_pools=[LARGE], policies=CASCADE)
    tenant = Tenant("acme", policy="first", budgets=HARD.budgets)
    events = await there.ask(tenant, model="auto")
    finished = events[-1]
    assert (finished.decision.pool, finished.escalated) == (pool, escalated)
    large_usd = (60 * 10.0 + 40 * 1.0 + 10 * 100.0) / 1e6
    assert finished.cost_usd == pytest.approx(COST_USD + escalated * large_usd)
    assert [charged for _, charged in book.settled] == [pytest.approx(finished.cost_usd)]
    assert finished.usage.completion_tokens == 10 * (1 + escalated)
    assert set(text(events).split()) == {f"{'big' if escalated else 'smol'}{token}" for token in range(10)}
    assert "asked small first" in finished.decision.reason
    assert all(not event.logprobs for event in events if isinstance(event, Piece))
    assert book.asked[0][1][0] >= finished.cost_usd
    assert there.ledger.escalations == ([("small", "large")] if escalated else [])
    assert there.is_idle()


async def test_a_cascade_whose_first_pool_is_lost_goes_on() -> None:
    async def only_large(address: str, call: Call) -> AsyncGenerator[Part, None]:
        if call.model == "smol":
            yield Part(prompt_tokens=100)
            raise ReplicaLost("gone")
        async with aclosing(words(address, call)) as parts:
            async for part in parts:
                yield part

    book = Book()
    there = world(book, only_large, more_pools=[LARGE], policies=CASCADE, failover={"tries": 2})
    events = await there.ask(Tenant("acme", policy="first", budgets=HARD.budgets), model="auto")
    assert events[-1].decision.pool == "large"
    assert len(book.settled) == 1
    assert there.is_idle()


async def test_what_fails_after_it_was_settled_is_not_settled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug in the books")

    book = Book()
    there = world(book)
    monkeypatch.setattr(there.ledger, "finished", broken)
    with pytest.raises(RuntimeError, match="a bug in the books"):
        await there.ask(HARD)
    assert len(book.settled) == 1
