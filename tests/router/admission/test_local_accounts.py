"""Budgets of a router without Redis."""

from math import inf

import pytest

from router.admission.local_accounts import LocalMoney
from router.config import BudgetSettings
from router.errors import BudgetExhausted
from router.snapshot import Budget, Tenant

HARD = Tenant("team", budgets=(Budget("team", 1.0, "hour"), Budget("org", 9.0, "day", hard=True)))
SOFT = Tenant("soft", budgets=(Budget("soft", 1.0, "hour"), Budget("all", 1.0)))


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def test_a_hard_budget_is_refused_with_the_reason() -> None:
    money = LocalMoney(BudgetSettings(), Clock())
    with pytest.raises(BudgetExhausted, match=r"the budget of org, .*HEADGATE_REDIS_URL"):
        await money.reserve("a", HARD, (0.0,))
    assert money.figures().refused == 1
    assert (await money.reserve("a", Tenant("free"), (1.0,))).usd == inf


async def test_it_is_served_where_the_operator_says_open() -> None:
    money = LocalMoney(BudgetSettings(when_away="open"), Clock())
    money.settle(HARD, await money.reserve("a", HARD, (10.0,)), 9.5)
    assert [state.spent_usd for state in money.states(HARD)] == [9.5, 9.5]


async def test_soft_budgets_are_counted_by_window() -> None:
    clock = Clock()
    money = LocalMoney(BudgetSettings(), clock)
    hold = await money.reserve("a", SOFT, (0.5, 2.0))
    assert hold.usd == 2.0
    money.settle(SOFT, hold, 1.25)
    money.settle(SOFT, hold, 1.25)
    own, above = await money.look(SOFT)
    assert (own.spent_usd, own.resets_at_s, above.spent_usd, above.resets_at_s) == (1.25, 3600, 1.25, 0)
    clock.now_s = 3600.0
    assert [state.spent_usd for state in money.states(SOFT)] == [0.0, 1.25]
    money.settle(SOFT, await money.reserve("b", SOFT, (1.0,)), 5.0)
    assert [state.spent_usd for state in money.states(SOFT)] == [1.0, 2.25]
    assert [state.spent_usd for state in money.figures().states] == [1.0, 2.25]
    assert not money.figures().store
    assert await money.close()
