"""Families of what is known of budgets. Read when somebody scrapes:

metrics.watch(lambda: money(accounts.figures(), treasury.prices()))
"""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import Metric

from router.admission.figures import MoneyFigures
from router.metrics.families import counter, gauge, gauges
from router.metrics.labels import MOST_LABEL_VALUES
from router.request import BudgetState


def money(figures: MoneyFigures, prices: Mapping[str, float]) -> Iterator[Metric]:
    """`prices`: what a dollar must bring now, in units of quality, by the tenant whose budget it is."""
    yield from _budgets(_scarcest(figures.states))
    dearest = sorted(prices.items(), key=lambda priced: -priced[1])[:MOST_LABEL_VALUES]
    yield gauges("budget_price", "Quality that a USD must bring now.", ("tenant",), [((name,), at) for name, at in dearest])
    if figures.store:
        yield gauge("budget_redis_up", "1 while the store of budgets answers.", float(figures.connected))
        yield counter("budget_redis_losses", "Times that it stopped to.", figures.went_away)
    yield gauge("budget_settlements_waiting", "Answers whose money is still to be settled.", figures.waiting)
    yield counter("budget_settlements_dropped", "Those that were given up; the money stays spent.", figures.dropped)
    yield gauge("budget_records_lost", "Budgets that are refused, since their record was lost.", figures.lost_records)
    yield counter("budget_overruns", "Answers that cost more than was held for them.", figures.overruns)
    yield counter("budget_overrun_usd", "What of their cost was not charged.", figures.overrun_usd)
    yield gauge("budget_lease_usd", "Taken in advance for the time without the store, and left.", figures.leased_usd)
    yield counter("budget_lease_spent_usd", "Spent from what was taken in advance.", figures.lease_spent_usd)
    yield gauge("budget_unbooked_usd", "Spent without the store, and not booked yet.", figures.unbooked_usd)
    yield counter("budget_unbooked_lost_usd", "Spent without the store, and never booked.", figures.unbooked_lost_usd)


def _budgets(states: Sequence[BudgetState]) -> Iterator[Metric]:
    labels = ("tenant", "window")
    names = [(state.tenant, state.window) for state in states]
    limits, spent = [state.limit_usd for state in states], [state.spent_usd for state in states]
    reserved, hard = [state.reserved_usd for state in states], [float(state.hard) for state in states]
    yield gauges("budget_limit_usd", "What may be spent in the window.", labels, zip(names, limits, strict=True))
    yield gauges("budget_spent_usd", "Spent in it, with what is reserved.", labels, zip(names, spent, strict=True))
    yield gauges("budget_reserved_usd", "Reserved by requests under way.", labels, zip(names, reserved, strict=True))
    yield gauges("budget_hard", "1 where nothing may go beyond it.", labels, zip(names, hard, strict=True))


def _scarcest(states: Sequence[BudgetState]) -> list[BudgetState]:
    """As many as a page may hold, those first that have the least of their limit left."""
    by_rest = sorted(states, key=lambda state: state.remaining_usd / state.limit_usd if state.limit_usd else 0.0)
    return by_rest[:MOST_LABEL_VALUES]
