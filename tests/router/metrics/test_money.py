"""Budgets on the metrics page."""

from router.admission.figures import MoneyFigures
from router.metrics import MOST_LABEL_VALUES, Metrics
from router.metrics.money import money
from router.request import BudgetState
from tests.router.test_metrics import Fleets, samples, value


def test_budgets_and_their_store() -> None:
    states = (
        BudgetState("red", 10.0, 2.5, "day", 1_800_000_000, hard=True, reserved_usd=0.5),
        BudgetState("colours", 100.0, 125.0),
    )
    figures = MoneyFigures(
        store=True,
        connected=False,
        went_away=2,
        states=states,
        waiting=3,
        dropped=4,
        lost_records=1,
        overruns=5,
        overrun_usd=0.25,
        leased_usd=0.5,
        lease_spent_usd=0.75,
        unbooked_usd=1.25,
        unbooked_lost_usd=1.5,
    )
    metrics = Metrics(Fleets())
    metrics.watch(lambda: money(figures, {"red": 0.125}))
    red = {"tenant": "red", "window": "day"}
    names = ("budget_limit_usd", "budget_spent_usd", "budget_reserved_usd", "budget_hard")
    assert [value(metrics, name, **red) for name in names] == [10.0, 2.5, 0.5, 1.0]
    assert value(metrics, "budget_spent_usd", tenant="colours", window="") == 125.0
    assert value(metrics, "budget_price", tenant="red") == 0.125
    assert value(metrics, "budget_redis_up") == 0
    assert [
        value(metrics, f"budget_{name}")
        for name in (
            "redis_losses_total",
            "settlements_waiting",
            "settlements_dropped_total",
            "records_lost",
            "overruns_total",
            "overrun_usd_total",
            "lease_usd",
            "lease_spent_usd_total",
            "unbooked_usd",
            "unbooked_lost_usd_total",
        )
    ] == [2, 3, 4, 1, 5, 0.25, 0.5, 0.75, 1.25, 1.5]


def test_without_a_store_there_is_none_to_be_up() -> None:
    metrics = Metrics(Fleets())
    metrics.watch(lambda: money(MoneyFigures(store=False, connected=False), {}))
    assert "budget_redis_up" not in {name for name, _ in samples(metrics)}


def test_of_too_many_budgets_the_scarcest_are_shown() -> None:
    count = MOST_LABEL_VALUES + 20
    states = tuple(BudgetState(f"t{number}", 100.0, 100.0 * number / count) for number in range(count))
    metrics = Metrics(Fleets())
    metrics.watch(lambda: money(MoneyFigures(True, True, states=states), {f"t{number}": number for number in range(count)}))
    for name in ("budget_limit_usd", "budget_price"):
        shown = {dict(labels)["tenant"] for found, labels in samples(metrics) if found == name}
        assert shown == {f"t{number}" for number in range(20, count)}
