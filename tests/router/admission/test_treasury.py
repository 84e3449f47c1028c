"""What money is worth, set aside and settled: a scripted book and pacers that write down what they hear."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf
from random import Random

import pytest

from router.admission.money import Expected, Hold
from router.admission.treasury import HORIZON_S, Treasury
from router.choosing.pacing.plan import Window
from router.fleet.specs import CanarySpec, PolicySpec
from router.request import BudgetState
from router.snapshot import Budget, Tenant

DAY_S = 86_400
NOON_S = 1_750_000_000 // DAY_S * DAY_S + DAY_S / 2
DAILY = Budget("acme", 10.0, "day", hard=True)
YEARS = Budget("org", 500.0)
ACME = Tenant("acme", policy="thrifty", budgets=(DAILY, YEARS))
POLICIES = {"thrifty": PolicySpec("thrifty", "budget")}


@dataclass
class Pacer:
    window: Window
    usd_price: float = 2.0
    decided_usd: list[float] = field(default_factory=list)
    spent_usd: list[float] = field(default_factory=list)
    typical_usd: float = 0.0

    def price(self, now_s: float) -> float:
        return self.usd_price

    def decided(self, now_s: float, cost_usd: float, typical_usd: float) -> None:
        self.decided_usd.append(cost_usd)
        self.typical_usd = typical_usd

    def spent(self, now_s: float, spent_usd: float) -> None:
        self.spent_usd.append(spent_usd)

    def rebudget(self, now_s: float, budget_usd: float) -> None:
        self.window = replace(self.window, budget_usd=budget_usd)

    def followed_by(self, window: Window) -> "Pacer":
        return Pacer(window, self.usd_price + 1)


@dataclass
class Book:
    spent_usd: float = 1.0
    reserved_usd: float = 0.4
    settled: list[float] = field(default_factory=list)
    gone: str = ""

    async def reserve(self, request_id: str, tenant: Tenant, bounds_usd: Sequence[float]) -> Hold:
        return Hold(request_id, bounds_usd[0], self.states(tenant))

    def settle(self, tenant: Tenant, hold: Hold, actual_usd: float) -> None:
        self.settled.append(actual_usd)

    def states(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        return tuple(
            BudgetState(each.tenant, each.usd, self.spent_usd, each.window, 0, each.hard, self.reserved_usd)
            for each in tenant.budgets
        )

    def unavailable(self, tenant: Tenant) -> str:
        return self.gone

    async def look(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        return self.states(tenant)


class World:
    def __init__(self, policies: dict[str, PolicySpec] | None = None) -> None:
        self.now_s = NOON_S
        self.made: list[Pacer] = []
        self.book = Book()
        given = tuple((POLICIES if policies is None else policies).values())
        self.treasury = Treasury(self.book, lambda: given, self._make, lambda: self.now_s, Random(5))

    def _make(self, window: Window) -> Pacer:
        self.made.append(Pacer(window))
        return self.made[-1]


def test_each_budget_has_a_pacer_for_its_window_and_their_prices_add_up() -> None:
    world = World()
    terms = world.treasury.terms(ACME)
    assert (terms.policy, terms.usd_price) == (POLICIES["thrifty"], 4.0)
    daily, endless = world.made
    assert daily.window == Window(NOON_S - DAY_S / 2, NOON_S + DAY_S / 2, 10.0)
    assert endless.window == Window(NOON_S, NOON_S + HORIZON_S, 500.0)
    world.treasury.terms(ACME)
    assert len(world.made) == 2
    assert world.treasury.prices() == {"acme": 2.0, "org": 2.0}


def test_a_new_window_takes_over_and_a_changed_amount_goes_on() -> None:
    world = World()
    world.treasury.terms(ACME)
    world.now_s += DAY_S / 2
    assert world.treasury.terms(ACME).usd_price == 3.0 + 2.0
    assert len(world.made) == 2
    world.treasury.terms(replace(ACME, budgets=(DAILY, replace(YEARS, usd=600.0))))
    assert world.made[1].window.budget_usd == 600.0
    assert len(world.made) == 2
    weekly = replace(DAILY, window="week")
    world.treasury.terms(replace(ACME, budgets=(weekly, YEARS)))
    assert (world.made[2].window.end_s - world.made[2].window.start_s) == 7 * DAY_S


def test_a_budget_without_a_window_goes_on_from_what_was_spent() -> None:
    world = World()
    world.treasury.terms(ACME)
    world.treasury._seen(ACME, world.book.states(ACME))
    world.now_s += HORIZON_S
    world.treasury.terms(ACME)
    assert world.treasury._paced["org"].pacer.window == Window(world.now_s, world.now_s + HORIZON_S, 500.0, 0.6)


def test_without_budgets_money_is_worth_nothing_and_no_book_is_asked() -> None:
    world = World()
    assert world.treasury.terms(Tenant("free")).usd_price == 0.0
    assert world.treasury.terms(Tenant("free", policy="thrifty")).policy.name == "thrifty"
    assert world.treasury.terms(Tenant("free", policy="gone")).policy.name == ""
    assert world.made == []


async def test_a_free_tenant_holds_all_the_money_there_is() -> None:
    world = World()
    hold = await world.treasury.hold("r", Tenant("free"), (), Expected(0.1, 0.1))
    assert hold.usd == inf
    world.treasury.settle(Tenant("free"), hold, 0.1, 0.1)
    assert world.book.settled == []


async def test_for_its_own_requests_under_way_the_expected_cost_counts_and_not_the_bound() -> None:
    world = World()
    world.treasury.terms(ACME)
    first = await world.treasury.hold("a", ACME, (0.3,), Expected(0.02, 0.05))
    await world.treasury.hold("b", ACME, (0.1,), Expected(0.01, 0.04))
    daily = world.made[0]
    assert (daily.decided_usd, daily.typical_usd) == ([0.02, 0.01], 0.04)
    assert daily.spent_usd == [pytest.approx(0.6), pytest.approx(0.62)]
    world.treasury.settle(ACME, first, 0.025, 0.02)
    await world.treasury.look(ACME)
    assert daily.spent_usd[-1] == pytest.approx(0.61)
    assert world.book.settled == [0.025]


def test_only_a_policy_with_canaries_draws() -> None:
    canary = {"thrifty": PolicySpec("thrifty", canaries=(CanarySpec("new", 10),))}
    draws = [World(canary).treasury.terms(ACME).draw for _ in range(3)]
    assert all(0 <= draw < 1 for draw in draws)
    assert World().treasury.terms(ACME).draw == 1.0


def test_a_refusal_says_what_is_left_and_what_is_needed() -> None:
    world = World()
    world.book.spent_usd = 9.5
    assert world.treasury.refusal(ACME, 0.4) == ""
    assert world.treasury.refusal(ACME, 0.6) == "acme has 0.5 USD left, and this may cost up to 0.6"
    assert world.treasury.refusal(Tenant("free"), 1e9) == ""
    world.book.gone = "the store does not answer"
    assert world.treasury.refusal(ACME, 0.0) == "the store does not answer"
    world.book.gone = ""
    soft = replace(ACME, budgets=(replace(DAILY, hard=False),))
    assert world.treasury.refusal(soft, 1e9) == ""
