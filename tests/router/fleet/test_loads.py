import pytest

from router.fleet.loads import LoadCounts, PoolCount
from tests.router.fleet.given import pool


def test_what_is_counted_is_the_pools_own() -> None:
    loads = LoadCounts()
    loads.follow([pool("a"), pool("b")])
    for name in ("a", "a", "b", "gone"):
        loads.arrived(name)
    loads.answered("gone", 0.0, 0.0)
    assert [loads.of(name).arrivals for name in ("a", "b", "gone")] == [2, 1, 0]


@pytest.mark.parametrize(
    ("ttft_ms", "tpot_ms", "met"),
    [(0, 0, (1, 1)), (500, 20, (1, 1)), (499, 20, (0, 1)), (500, 19, (1, 0)), (0, 19, (1, 0)), (100, 10, (0, 0))],
)
def test_an_objective_is_met_up_to_its_limit_and_one_that_is_not_set_always(
    ttft_ms: int, tpot_ms: int, met: tuple[int, int]
) -> None:
    loads = LoadCounts()
    loads.follow([pool("a", ttft_ms=ttft_ms, tpot_ms=tpot_ms)])
    loads.answered("a", 0.5, 0.02)
    count = loads.of("a")
    assert (count.answers, count.ttft_met, count.tpot_met) == (1, *met)


def test_counts_outlive_a_change_of_the_objectives_and_not_the_pool() -> None:
    loads = LoadCounts()
    loads.follow([pool("a", ttft_ms=100)])
    loads.answered("a", 0.5, 0.0)
    loads.follow([pool("a", ttft_ms=1000)])
    loads.answered("a", 0.5, 0.0)
    assert (loads.of("a").answers, loads.of("a").ttft_met) == (2, 1)
    loads.follow([])
    loads.follow([pool("a")])
    assert loads.of("a") == PoolCount()
