import math
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from router.fleet.hosting import rounded
from router.fleet.specs import HostingSpec, Report
from router.fleet.throughput import ASSUMED_TOKENS_PER_S, HALF_LIFE_S, LEAST_TOKENS_PER_S, MOST_TOKENS_PER_S, Meter, Throughputs
from tests.router.fleet.given import pool, report


def rates(meter: Meter, reports: Iterator[tuple[float, Report]]) -> list[float]:
    """What the meter says, without the reports that complete nothing."""
    return [rate for now_s, said in reports if (rate := meter.heard(said, now_s))]


def steady(
    seconds: float,
    output_per_s: float,
    *,
    start_s: float = 0.0,
    every_s: float = 0.05,
    prompt_per_s: float = 0.0,
    hit: float = 0.0,
    **fields: Any,
) -> Iterator[tuple[float, Report]]:
    """Reports of a replica that goes on at one pace. `hit`: part of its prompts that was cached."""
    for n in range(int(seconds / every_s) + 1):
        t = n * every_s
        prompt = int(prompt_per_s * t)
        totals = {
            "output_tokens_total": int(output_per_s * t),
            "prompt_tokens_total": prompt,
            "prefix_hit_tokens_total": int(hit * prompt),
        }
        yield start_s + t, report(**{"running": 1, **totals, **fields})


def test_a_busy_minute_gives_one_figure() -> None:
    assert rates(Meter(), steady(59.0, 1000.0)) == []
    (rate,) = rates(Meter(), steady(65.0, 1000.0))
    assert rate == pytest.approx(1000.0, rel=0.02)
    assert len(rates(Meter(), steady(301.0, 1000.0))) in (4, 5)


def test_prompt_tokens_count_as_parts_and_cached_ones_as_less() -> None:
    (rate,) = rates(Meter(), steady(65.0, 100.0, prompt_per_s=5000.0, hit=0.4))
    assert rate == pytest.approx(100.0 + 0.2 * 3000.0 + 0.02 * 2000.0, rel=0.02)


def test_idle_time_is_no_work() -> None:
    """Ten busy seconds in every minute, at 1200 tokens a second: six such minutes are one that was busy."""

    def now_and_then() -> Iterator[tuple[float, Report]]:
        total = 0.0
        for second in range(900):
            busy = second % 60 < 10
            for part in range(5):
                total += 240.0 if busy else 0.0
                yield second + part / 5, report(running=int(busy), output_tokens_total=int(total))

    found = rates(Meter(), now_and_then())
    assert len(found) == 2
    assert found == pytest.approx([1200.0] * 2, rel=0.03)


def test_against_a_replica_with_any_load() -> None:
    """Independently: tokens and busy seconds, added up while they happen."""
    chance = Random(7)
    meter, now_s, total, work, busy_s, found = Meter(), 0.0, 0, 0, 0.0, []
    running = 0
    for _ in range(100_000):
        now_s += 0.05
        if chance.random() < 0.02:
            running = chance.choice((0, 0, 1, 8, 32))
        made = running * chance.randint(0, 5)
        total, work, busy_s = total + made, work + made, busy_s + 0.05 * (running > 0)
        if rate := meter.heard(report(running=running, output_tokens_total=total), now_s):
            found.append((rate, work / busy_s))
            work, busy_s = 0, 0.0
    assert len(found) > 20
    for rate, truth in found:
        assert rate == pytest.approx(truth, rel=0.03)


def test_counters_that_come_after_the_work_are_part_of_it() -> None:
    """As where a worker stands before a server whose figures it reads once a second: its own requests it knows at once."""

    def late() -> Iterator[tuple[float, Report]]:
        work = read = 0
        for n in range(4000):
            running = int(n % 80 < 40)  # two seconds in four, at 500 tokens a second
            work += 25 * running
            read = work if n % 20 == 0 else read
            yield n * 0.05, report(running=running, output_tokens_total=read)

    (rate,) = rates(Meter(), late())
    assert rate == pytest.approx(500.0, rel=0.06)


def test_a_process_that_was_replaced_counts_from_nothing() -> None:
    meter = Meter()
    before = steady(50.0, 1000.0, incarnation="a")
    after = steady(50.0, 1000.0, start_s=50.1, incarnation="b")
    assert rates(meter, before) == rates(meter, after) == []
    (rate,) = rates(meter, steady(11.0, 1000.0, start_s=100.2, incarnation="b", output_tokens_total=60_000))
    assert rate == pytest.approx(1000.0, rel=0.05)


def test_a_gap_is_left_out() -> None:
    """What happened while nobody listened may have taken any part of the time."""
    meter = Meter()
    assert rates(meter, steady(50.0, 1000.0)) == []
    later = [(now_s, said) for now_s, said in steady(700.0, 1000.0) if now_s > 600.0]
    (rate,) = rates(meter, iter(later))
    assert rate == pytest.approx(1000.0, rel=0.02)


@pytest.mark.parametrize("total", [2**64 - 1, 10**15])
def test_no_report_makes_a_replica_infinitely_fast(total: int) -> None:
    said = [(float(s), report(running=1, output_tokens_total=total * s // 100)) for s in range(100)]
    assert rates(Meter(), iter(said)) == [MOST_TOKENS_PER_S]


def test_counters_that_fall_are_no_work() -> None:
    said = [(float(s), report(running=1, output_tokens_total=10_000 - s, prompt_tokens_total=100 - s)) for s in range(100)]
    assert rates(Meter(), iter(said)) == []


def heard(throughputs: Throughputs, spec: Any, rate: float, start_s: float = 0.0, seconds: float = 62.0) -> None:
    meter = Meter()
    for now_s, said in steady(seconds, rate, start_s=start_s, every_s=0.5):
        throughputs.heard(spec, meter, said, now_s)


SMALL = pool("small")


class TestPools:
    def test_what_is_given_holds(self) -> None:
        throughputs, spec = Throughputs(), pool("small", hosting=HostingSpec(tokens_per_s=123.0))
        heard(throughputs, spec, 2000.0)
        assert throughputs.of(spec) == 123.0
        assert throughputs.of(pool("small", hosting=HostingSpec(tokens_per_s=5e-324))) == LEAST_TOKENS_PER_S

    def test_the_replica_that_does_most_speaks_for_its_pool(self) -> None:
        throughputs = Throughputs()
        assert throughputs.of(SMALL) == ASSUMED_TOKENS_PER_S
        heard(throughputs, SMALL, 100.0)
        assert throughputs.of(SMALL) == rounded(100.0)
        heard(throughputs, SMALL, 400.0)
        heard(throughputs, SMALL, 200.0)
        assert throughputs.of(SMALL) == rounded(400.0)
        assert throughputs.of(pool("other")) == ASSUMED_TOKENS_PER_S

    def test_a_peak_halves_in_a_day_of_lesser_work(self) -> None:
        throughputs, meter = Throughputs(), Meter()
        heard(throughputs, SMALL, 4000.0)
        for now_s, said in steady(HALF_LIFE_S, 100.0, start_s=70.0, every_s=1.0):
            throughputs.heard(SMALL, meter, said, now_s)
        assert throughputs.of(SMALL) == pytest.approx(2000.0, rel=0.05)

    def test_a_peak_stays_while_nobody_asks(self) -> None:
        throughputs = Throughputs()
        heard(throughputs, SMALL, 4000.0)
        heard(throughputs, SMALL, 100.0, start_s=30 * HALF_LIFE_S)
        assert throughputs.of(SMALL) == pytest.approx(4000.0, rel=0.03)

    def test_two_routers_that_hear_the_same_at_other_moments_agree(self) -> None:
        chance, found = Random(3), []
        totals = [0]
        for _ in range(20_000):
            totals.append(totals[-1] + chance.randint(40, 60))
        for shift in (0, 3, 11):
            throughputs, meter = Throughputs(), Meter()
            for n in range(shift, len(totals), 1 + shift % 2):
                throughputs.heard(SMALL, meter, report(running=4, output_tokens_total=totals[n]), n * 0.05)
            found.append(throughputs.of(SMALL))
        assert math.isclose(max(found), min(found), rel_tol=0.05 + 1e-9)

    def test_pools_that_left_are_forgotten_and_so_is_another_model(self) -> None:
        throughputs = Throughputs()
        heard(throughputs, SMALL, 100.0)
        throughputs.keep([pool("small", "a", "b")])
        assert throughputs.of(SMALL) == rounded(100.0)
        throughputs.keep([pool("small", models=("another",))])
        assert throughputs.of(SMALL) == ASSUMED_TOKENS_PER_S

    def test_what_is_shown_moves_every_ten_seconds_at_most(self) -> None:
        throughputs = Throughputs()
        assert throughputs.show([SMALL], 0.0)
        heard(throughputs, SMALL, 100.0)
        assert not throughputs.show([SMALL], 9.9)
        assert throughputs.shown == {"small": ASSUMED_TOKENS_PER_S}
        assert throughputs.show([SMALL], 10.0)
        assert throughputs.shown == {"small": rounded(100.0)}
        assert not throughputs.show([SMALL], 20.0), "no change is none"
        throughputs.keep([SMALL])
        assert throughputs.show([SMALL, pool("other")], 20.1), "new pools at once"
