"""How well a budget lasts: spend against plan at each quarter, and quality against the offline optimum. Simulated.

    make bench NAME=pacing ARGS="--data DIR [--quick]"

Arrivals and tokens are real (DIR/traces), each request is a real row of outcomes (DIR/routing), drawn with a seed. The router's
own Pacer decides λ, the choice is argmax of predicted quality − λ·cost, and a hard budget refuses what does not fit, at no
quality. Plan: budget × share of the expected traffic gone by. The optimum is a linear program that knows all arrivals (HiGHS),
under the same budget. Budgets are 20, 40, 60 and 80 % of the way from the cheapest pool for all to the best pool for all.

`even`           nothing is known of the traffic
`like windows`   learnt from windows that are the trace's other requests: what a profile is worth where days repeat
`second half`    the second half of the trace after the first, with what was learnt there: nothing repeats
`×4`             four routers share the load at random and read the books once a second
"""

import argparse
import statistics
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

import numpy as np

from router.choosing.pacing.pacer import Pacer
from router.choosing.pacing.plan import Window
from router.choosing.pacing.profile import Profile
from tests.bench import pacing_load
from tests.bench.pacing_load import Load
from tests.bench.pacing_oracle import QUARTERS, best_quality, is_reachable
from tests.bench.pacing_rivals import EvenThenCheapest, FixedPrice, Proportional, picks, spend_usd
from tests.bench.report import Report

SEED = 5
BUDGETS = (0.2, 0.4, 0.6, 0.8)
LIKE_WINDOWS = 6
RIVALS = {
    "baseline: fixed λ of the first 10 %": FixedPrice,
    "baseline: best while even, then cheapest": EvenThenCheapest,
    "baseline: proportional": Proportional,
}


class Policy(Protocol):
    def price(self, now_s: float) -> float: ...
    def decided(self, now_s: float, cost_usd: float, typical_usd: float | None = None) -> None: ...
    def spent(self, now_s: float, spent_usd: float) -> None: ...


@dataclass
class Run:
    """What came of one window. `spent_usd` is at each quarter of its time."""

    quality: float
    spent_usd: list[float]
    refused: int


def simulate(load: Load, budget_usd: float, policies: Sequence[Policy], late_s: float = 0.0) -> Run:
    """Routers take requests at random, and read the books at each multiple of `late_s`; at 0, before each request."""
    rng = Random(SEED)
    at_s, quality, cost_usd = load.at_s.tolist(), load.quality.tolist(), load.cost_usd.tolist()
    times, books = [float("-inf")], [0.0]
    told = [0.0] * len(policies)
    total, refused = 0.0, 0
    for now_s, offers, costs in zip(at_s, quality, cost_usd, strict=True):
        router = rng.randrange(len(policies))
        policy = policies[router]
        read_s = now_s // late_s * late_s if late_s else now_s
        if read_s > told[router] or not late_s:
            policy.spent(read_s, books[bisect_right(times, read_s) - 1])
            told[router] = read_s
        price = policy.price(now_s)
        fit = [pool for pool, cost in enumerate(costs) if books[-1] + cost <= budget_usd]
        if not fit:
            refused += 1
            continue
        pool = max(fit, key=lambda pool: (offers[pool] - price * costs[pool], -costs[pool]))
        policy.decided(now_s, costs[pool], sum(costs) / len(costs))
        total += offers[pool]
        times.append(now_s)
        books.append(books[-1] + costs[pool])
    ends = [books[bisect_right(times, quarter * load.end_s) - 1] for quarter in QUARTERS]
    return Run(total, ends, refused)


def budgets(load: Load) -> Iterator[tuple[float, float]]:
    least, most = float(load.cost_usd.min(axis=1).sum()), spend_usd(load, 0.0)
    yield from ((part, least + part * (most - least)) for part in BUDGETS)


def like_windows(load: Load, budget_usd: float) -> Pacer:
    """The pacer for the odd requests of a trace, after some windows of its even ones."""
    window = Window(0.0, load.end_s, budget_usd)
    pacer = Pacer(window)
    for _ in range(LIKE_WINDOWS):
        simulate(load, budget_usd, [pacer])
        pacer = pacer.followed_by(window)
    return pacer


def even(part: float) -> float:
    return part


def show(report: Report, name: str, load: Load, runs: Callable[[float], Iterator[tuple[str, Run, Profile]]]) -> None:
    for part, budget_usd in budgets(load):
        optimum = best_quality(load, budget_usd)
        for label, run, profile in runs(budget_usd):
            plans = [usd / (budget_usd * profile.share(quarter)) for usd, quarter in zip(run.spent_usd, QUARTERS, strict=True)]
            figures = dict(zip(("at_25", "at_50", "at_75", "at_100"), plans, strict=True))
            off = max(abs(plan - 1) for plan in plans)
            report.row(
                f"{name} {part:.0%}, {label}", quality_of_optimum=run.quality / optimum, **figures, off=off, refused=run.refused
            )


def on_whole(report: Report, name: str, load: Load) -> None:
    """The trace as one window with an even plan, beside baselines, and what the plan itself costs and allows."""

    def runs(budget_usd: float) -> Iterator[tuple[str, Run, Profile]]:
        window = Window(0.0, load.end_s, budget_usd)
        yield "pacer, even", simulate(load, budget_usd, [Pacer(window)]), Profile()
        yield "pacer ×4, even", simulate(load, budget_usd, [Pacer(window) for _ in range(4)], late_s=1.0), Profile()
        for label, rival in RIVALS.items():
            yield label, simulate(load, budget_usd, [rival(load, budget_usd)]), Profile()

    show(report, name, load, runs)
    best_usd = np.take_along_axis(load.cost_usd, picks(load, 0.0)[:, None], 1)[:, 0]
    for part, budget_usd in budgets(load):
        ratio = best_quality(load, budget_usd, even) / best_quality(load, budget_usd)
        reachable = is_reachable(load, budget_usd, best_usd, even)
        report.row(f"{name} {part:.0%}, oracle held to the even plan", quality_of_optimum=ratio, reachable=reachable)


def on_like(report: Report, name: str, load: Load) -> None:
    """Half the requests are the windows before, the other half this one."""
    before, load = load.every(0, 2), load.every(1, 2)

    def runs(budget_usd: float) -> Iterator[tuple[str, Run, Profile]]:
        for routers, label in ((1, "pacer, like windows"), (4, "pacer ×4, like windows")):
            # Each router has seen the same windows: a profile is of the shape, which a quarter of the traffic has too.
            pacers = [like_windows(before, budget_usd) for _ in range(routers)]
            profile = pacers[0].profile
            yield label, simulate(load, budget_usd, pacers, late_s=1.0 if routers > 1 else 0.0), profile

    show(report, name, load, runs)


def on_second_half(report: Report, name: str, load: Load) -> None:
    first, second = load.slice(0.0, load.end_s / 2), load.slice(load.end_s / 2, load.end_s)

    def runs(budget_usd: float) -> Iterator[tuple[str, Run, Profile]]:
        window = Window(0.0, second.end_s, budget_usd)
        yield "second half, pacer, even", simulate(second, budget_usd, [Pacer(window)]), Profile()
        pacer = Pacer(Window(0.0, first.end_s, budget_usd))
        simulate(first, budget_usd, [pacer])
        carried = pacer.followed_by(window, weight=0.0)
        yield "second half, pacer, even, price carried", simulate(second, budget_usd, [carried]), Profile()
        learnt = pacer.followed_by(window)
        profile = learnt.profile
        yield "second half, pacer, price and profile carried", simulate(second, budget_usd, [learnt]), profile

    show(report, name, second, runs)


def cpu_us(work: Callable[[int], object], count: int = 20_000, repeats: int = 9) -> float:
    """Median CPU of this thread in µs per call."""
    spent = []
    for turn in range(repeats):
        started = time.thread_time_ns()
        for at in range(turn * count, (turn + 1) * count):
            work(at)
        spent.append((time.thread_time_ns() - started) / 1000 / count)
    return statistics.median(spent)


def show_cpu(report: Report) -> None:
    loop_us = cpu_us(lambda at: at * 0.01)
    for label, cost_usd in (("on plan", 100 / 3600 * 0.01), ("far ahead of plan", 1e-3)):
        pacer = Pacer(Window(0.0, 3600.0, 100.0))
        figures = {
            "decided_us": cpu_us(lambda at: pacer.decided(at * 0.01, cost_usd, cost_usd)) - loop_us,  # noqa: B023
            "price_us": cpu_us(lambda at: pacer.price(at * 0.01)) - loop_us,  # noqa: B023
            "spent_us": cpu_us(lambda at: pacer.spent(at * 0.01, at * cost_usd)) - loop_us,  # noqa: B023
        }
        report.row(f"CPU per call, {label}", **figures)
        report.aim(f"price_us, {label}", figures["price_us"], at_most=1.0)
        report.aim(f"decided_us, {label}", figures["decided_us"], at_most=3.0)


def aims(report: Report) -> None:
    for words in ("mooncake", "azure"):
        for label in ("pacer, even", "pacer ×4, even", "pacer, like windows", "pacer ×4, like windows"):
            rows = [row.figures for row in report.rows if row.label.startswith(words) and row.label.endswith(f"%, {label}")]
            if rows:
                quality, off = ([float(row[name]) for row in rows] for name in ("quality_of_optimum", "off"))
                report.aim(f"quality of optimum, worst of {len(rows)}: {words}, {label}", min(quality), at_least=0.98)
                report.aim(f"off plan at a quarter, worst of {len(rows)}: {words}, {label}", max(off), at_most=0.02)


def main() -> None:
    flags = argparse.ArgumentParser(prog="pacing")
    flags.add_argument("--data", type=Path, required=True, help="folder with traces/ and routing/")
    flags.add_argument("--quick", action="store_true", help="one set of outcomes, no second half")
    given = flags.parse_args()
    if lacks := pacing_load.missing(given.data):
        sys.exit("pacing: --data lacks " + ", ".join(str(path) for path in lacks))
    report = Report("pacing", "Pacing a budget over a window, simulated on real traces", SEED)
    show_cpu(report)
    traces = {"azure": pacing_load.read_azure(given.data), "mooncake": pacing_load.read_mooncake(given.data)}
    outcomes = {"llmrouter": pacing_load.read_llmrouter, "routerbench": pacing_load.read_routerbench}
    for trace, arrivals in traces.items():
        for kind, read in list(outcomes.items())[: 1 if given.quick else None]:
            load = pacing_load.make_load(arrivals, read(given.data), SEED)
            name = f"{trace} {kind}"
            on_whole(report, name, load)
            on_like(report, name, load)
            if not given.quick:
                on_second_half(report, name, load)
    aims(report)
    report.note("quality is as predicted, out of fold; simulated from recorded outcomes, nothing was sent to a model")
    report.note("at_N: spent / planned after N % of the window; the plan of a profile is budget × its share of traffic gone by")
    report.note(
        "reachable: whether one who knows all arrivals and never pays for nothing could be within 2 % of plan at each quarter"
    )
    report.finish()


if __name__ == "__main__":
    main()
