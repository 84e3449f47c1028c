"""How long pools take, and what counts as too late."""

from dataclasses import replace

import pytest

from router.choosing.latency import LEAST_TOKENS, WEIGHT, LatencyBook, Timing, least_waiting, miss
from tests.fleets import fleet_of, pool_of


def test_the_first_answer_is_taken_as_it_is_and_later_ones_move_the_mean() -> None:
    book = LatencyBook()
    assert book.timings == {}
    book.answered("small", 1000, 0.5, 0.02)
    assert book.timings["small"] == Timing(0.0005, 0.02)
    book.answered("small", 1000, 1.5, 0.06)
    assert book.timings["small"].prefill_s == pytest.approx(0.0005 + WEIGHT * 0.001)
    assert book.timings["small"].tpot_s == pytest.approx(0.02 + WEIGHT * 0.04)


def test_an_answer_of_one_token_says_nothing_of_the_time_per_token() -> None:
    book = LatencyBook()
    book.answered("small", 1000, 0.5, 0.0)
    book.answered("small", 1000, 0.5, 0.03)
    assert book.timings["small"].tpot_s == 0.03
    book.answered("small", 1000, 0.5, 0.0)
    assert book.timings["small"].tpot_s == 0.03


def test_a_cached_prompt_is_no_division_by_nothing() -> None:
    book = LatencyBook()
    book.answered("small", 0, 0.064, 0.01)
    assert book.timings["small"].prefill_s == pytest.approx(0.064 / LEAST_TOKENS)
    assert book.timings["small"].ttft_s(0, 0) == pytest.approx(0.064)


def test_who_waits_before_counts_as_one_prefill_each() -> None:
    timing = Timing(0.001, 0.01)
    assert timing.ttft_s(500, 0) == pytest.approx(0.5)
    assert timing.ttft_s(500, 3) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("ttft_ms", "tpot_ms", "ttft_s", "expected"),
    [
        (0, 0, 99.0, 0.0),  # no objectives
        (1000, 0, 1.0, 0.0),
        (1000, 0, 1.25, 0.25),
        (1000, 0, 9.0, 1.0),
        (1000, 16, 1.25, 0.25),  # TPOT is 20 ms: a quarter too slow as well
        (1000, 10, 1.25, 1.0),
        (0, 40, 9.0, 0.0),
    ],
)
def test_miss(ttft_ms: int, tpot_ms: int, ttft_s: float, expected: float) -> None:
    pool = replace(pool_of("small", 0, 1), ttft_ms=ttft_ms, tpot_ms=tpot_ms)
    assert miss(pool, Timing(0.001, 0.02), ttft_s) == pytest.approx(expected)


def test_pools_that_nobody_asked_lately_are_forgotten() -> None:
    book = LatencyBook()
    for name in ("a", "b"):
        book.answered(name, 100, 0.1, 0.01)
    book.sweep()
    assert set(book.timings) == {"a", "b"}
    book.answered("b", 100, 0.1, 0.01)
    book.sweep()
    assert set(book.timings) == {"b"}
    book.sweep()
    assert book.timings == {}


def test_the_emptiest_ready_replica_counts() -> None:
    pool, none = pool_of("a", 0, 3), pool_of("b", 3, 3)
    fleet = fleet_of((pool, none), waiting=[4, 1, 2], ready=[True, False, True])
    assert (least_waiting(pool, fleet), least_waiting(none, fleet)) == (2, 0)
