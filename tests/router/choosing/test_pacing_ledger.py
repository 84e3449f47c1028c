"""What one router knows of what all have spent, against sums by hand."""

import pytest

from router.choosing.pacing.ledger import LATE_S, Ledger


def ledger_of(times: list[float]) -> Ledger:
    """One USD was decided at each time, on top of 10."""
    ledger = Ledger(10.0)
    for now_s in times:
        ledger.add(now_s, 1.0)
    return ledger


def test_it_begins_with_what_the_books_opened_with():
    assert ledger_of([]).spent_usd == 10
    assert ledger_of([1.0, 2.0]).spent_usd == 12


@pytest.mark.parametrize(("at_s", "later"), [(0.5, 4), (1.0, 3), (1.7, 3), (2.0, 2), (3.9, 1), (4.0, 0), (9.0, 0)])
def test_a_report_is_completed_by_what_came_after_it_was_made(at_s, later):
    ledger = ledger_of([1.0, 2.0, 3.0, 4.0])
    assert ledger.told(at_s, 50.0)
    assert ledger.spent_usd == 50 + later


def test_reports_in_order_each_replace_the_one_before():
    ledger = ledger_of([1.0, 2.0])
    ledger.told(1.5, 20.0)
    ledger.add(3.0, 1.0)
    ledger.told(2.5, 30.0)
    assert ledger.spent_usd == 31
    ledger.told(3.5, 5.0)  # books that have less than before are believed
    assert ledger.spent_usd == 5


def test_an_overtaken_report_says_nothing():
    ledger = ledger_of([1.0])
    ledger.told(5.0, 20.0)
    assert not ledger.told(4.0, 99.0)
    assert ledger.spent_usd == 20


def test_a_report_from_long_ago_is_a_clock_that_was_set():
    ledger = ledger_of([1000.0])
    ledger.told(1000.0, 20.0)
    assert ledger.told(1000.0 - LATE_S - 1, 25.0)
    assert ledger.told(1000.0 - LATE_S, 26.0)
    assert ledger.spent_usd >= 26


def test_a_clock_that_was_set_back_loses_nothing_that_was_decided():
    ledger = ledger_of([100.0, 101.0, 50.0, 51.0])
    assert ledger.spent_usd == 14
    ledger.told(52.0, 30.0)
    assert ledger.spent_usd == 30
    ledger.add(53.0, 1.0)
    assert ledger.spent_usd == 31


def test_many_decisions_are_kept_apart_for_a_minute_only():
    """At a thousand a second, the last minute can still be told apart to within 50 ms."""
    ledger = ledger_of([at / 1000 for at in range(100_000)])
    ledger.told(99.0, 0.0)
    assert ledger.spent_usd == pytest.approx(1000, abs=60)
