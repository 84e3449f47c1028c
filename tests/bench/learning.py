"""Learning while serving, replayed on recorded outcomes: what it gains over the artefact alone, how fast it follows a change.

    make bench NAME=learning ARGS="--data DIR"

DIR holds llmrouter_9models_14tasks.csv.gz and llmrouter_model_prices.json (scores of nine models on prompts of 14 tasks; prices
per million tokens). An artefact is trained on 200 of the rows by `training.fit`, the others arrive one after the other. Each
goes to the pool of most utility, quality − λ · USD per million tokens. For a share of the answers the score is told back, of
the chosen pool only. Replayed: nothing is generated; an answer costs its pool's price for the prompt's tokens plus 256.

Regret is the utility lost against the oracle, which knows every score; it is given per request, by quarter of the rows.

    steady     the rows as they are
    collapse   from the middle on, the pool that the artefact likes best answers at a fifth of its scores
    misjudged  when the artefact was trained, the three best pools answered at a fifth of their scores

All figures are means over seeds, each with rows, order and labels of its own. CPU is this thread's own.
"""

import argparse
import csv
import gzip
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np

from router.choosing.features import Features, extract
from router.choosing.learning.exploration import Purse, Stakes, explore
from router.choosing.learning.learner import Belief, Learner, Occasion
from router.choosing.learning.learning import Learning
from router.choosing.quality.prediction import Prediction, Predictor
from router.request import Sampling, TextPrompt
from router.snapshot import Floats
from tests.bench.report import Report
from training.fit.fitting import fit
from training.outcomes.table import Outcomes

SEED = 5
SET = "llmrouter_9models_14tasks.csv.gz"
PRICES = "llmrouter_model_prices.json"
TRAINED_ON = 200
LABELLED = 0.3
PRICE_OF_QUALITY = 0.1  # λ: utility per USD per million tokens
OUTPUT_TOKENS = 256
FALLEN_TO = 0.2
MISJUDGED = 3
QUARTERS = 4


@dataclass(frozen=True)
class World:
    """Rows in the order they arrive: score and cost [N, K], what the artefact says of each, and its constants."""

    pools: tuple[str, ...]
    score: Floats
    cost_usd: Floats
    price: Floats
    features: list[Features]
    predictions: list[Prediction]
    prior: Floats

    @property
    def utility(self) -> Floats:
        return self.score - PRICE_OF_QUALITY * self.price


@dataclass
class Run:
    """What one contestant did, a row per request."""

    chosen: list[int] = field(default_factory=list)
    spent_usd: float = 0.0
    extra_usd: float = 0.0
    tried: int = 0
    steps: Counter[str] = field(default_factory=Counter)


def read(folder: Path) -> tuple[list[str], list[str], tuple[str, ...], Floats, Floats]:
    """Prompts, tasks, pools, scores [N, K], USD per million tokens [K]. Ends with what is missing."""
    for name in (SET, PRICES):
        if not (folder / name).is_file():
            sys.exit(f"--data: {folder / name} is missing")
    with gzip.open(folder / SET, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    prices = json.loads((folder / PRICES).read_text(encoding="utf-8"))
    pools = tuple(name for name in rows[0] if name not in ("question", "task", "upstream_split"))
    score = np.array([[float(row[pool]) for pool in pools] for row in rows])
    price = np.array([float(prices[pool]["input_price"]) for pool in pools])
    return [row["question"] for row in rows], [row["task"] for row in rows], pools, score, price


def world(folder: Path, seed: int, scenario: str) -> World:
    prompts, tasks, pools, score, price = read(folder)
    order = np.random.default_rng(seed).permutation(len(prompts))
    train, served = order[:TRAINED_ON], order[TRAINED_ON:]
    seen = score[train].copy()
    if scenario == "misjudged":
        seen[:, np.argsort((score - PRICE_OF_QUALITY * price).mean(axis=0))[-MISJUDGED:]] *= FALLEN_TO
    outcomes = Outcomes(tuple(prompts[at] for at in train), pools, seen, domain=tuple(tasks[at] for at in train))
    model: Predictor = fit(outcomes, seed=seed).model
    features = [extract(TextPrompt(prompts[at]), Sampling()) for at in served]
    predictions = [model.predict(each) for each in features]
    scores = score[served].copy()
    if scenario == "collapse":
        says = np.array([each.quality for each in predictions]) - PRICE_OF_QUALITY * price
        liked = Counter(says.argmax(axis=1).tolist()).most_common(1)[0][0]
        scores[len(served) // 2 :, liked] *= FALLEN_TO
    tokens = np.array([each.prompt_tokens + OUTPUT_TOKENS for each in features])
    cost_usd = tokens[:, None] * price[None, :] / 1e6
    return World(pools, scores, cost_usd, price, features, predictions, np.asarray(model.prior))


def serve(seen: World, seed: int, *, learns: bool, share: float, artefact: bool = True) -> Run:
    """The router's own objects, one row after the other. Without `artefact` nothing is known beforehand: 0.5 of each pool."""
    rng, run, purse = Random(seed), Run(), Purse(share)
    learning = Learning(enabled=learns, on_step=lambda step: run.steps.update([step.kind]))
    learning.tenants(1)
    unknown = np.full(len(seen.pools), 0.5)
    for row, (features, told) in enumerate(zip(seen.features, seen.predictions, strict=True)):
        prediction = told if artefact else Prediction(unknown, np.full(len(unknown), 0.25), told.output_tokens)
        context = learning.context(features, prediction)
        belief = learning.belief(seen.pools, prediction.quality, prediction.uncertainty, context)
        pick = decide(seen, row, belief, purse, rng, run)
        run.chosen.append(pick)
        if rng.random() < LABELLED:
            prior = float(seen.prior[pick] if artefact else 0.5)
            predicted, believed = float(prediction.quality[pick]), float(belief.mean[pick])
            occasion = Occasion(seen.pools[pick], context, predicted, believed, prior)
            learning.heard(occasion, float(seen.score[row, pick]), float(row))
    return run


def decide(seen: World, row: int, belief: Belief, purse: Purse, rng: Random, run: Run) -> int:
    utility = belief.mean - PRICE_OF_QUALITY * seen.price
    cost_usd = seen.cost_usd[row].tolist()
    purse.asked()
    found = explore(Stakes(utility.tolist(), cost_usd, cost_usd), belief, purse, rng.random())
    pick = int(utility.argmax()) if found is None else found.index
    if found is not None:
        purse.take(found)
        purse.settle(found, cost_usd[pick])
        run.tried += 1
    purse.spent(cost_usd[pick])
    run.spent_usd += cost_usd[pick]
    run.extra_usd = purse.extra_usd
    return pick


def fixed(seen: World, choose: Callable[[int], int]) -> Run:
    run = Run([choose(row) for row in range(len(seen.score))])
    run.spent_usd = float(sum(seen.cost_usd[row, pick] for row, pick in enumerate(run.chosen)))
    return run


def figures(seen: World, run: Run) -> dict[str, float]:
    rows = np.arange(len(seen.score))
    regret = seen.utility.max(axis=1) - seen.utility[rows, run.chosen]
    out = {"utility": float(seen.utility[rows, run.chosen].mean()), "quality": float(seen.score[rows, run.chosen].mean())}
    out |= {f"regret q{at + 1}": float(part.mean()) for at, part in enumerate(np.array_split(regret, QUARTERS))}
    out["explored_%"] = 100 * run.tried / len(rows)
    out["extra_%"] = 100 * run.extra_usd / run.spent_usd
    out["alarms"] = float(run.steps.total())
    return out


def contestants(seen: World, seed: int) -> dict[str, Run]:
    best = int(seen.utility.mean(axis=0).argmax())
    drawn = Random(seed)
    return {
        "oracle": fixed(seen, lambda row: int(seen.utility[row].argmax())),
        "random": fixed(seen, lambda row: drawn.randrange(len(seen.pools))),
        "best single pool, in hindsight": fixed(seen, lambda row: best),
        "baseline: artefact alone": serve(seen, seed, learns=False, share=0.0),
        "artefact, learning": serve(seen, seed, learns=True, share=0.0),
        "artefact, learning, exploring 2 %": serve(seen, seed, learns=True, share=0.02),
        "artefact, learning, exploring 10 %": serve(seen, seed, learns=True, share=0.1),
        "no artefact, learning": serve(seen, seed, learns=True, share=0.0, artefact=False),
        "no artefact, learning, exploring 10 %": serve(seen, seed, learns=True, share=0.1, artefact=False),
    }


def cpu_us(work: Callable[[], object], repeats: int = 2000) -> float:
    """Median of 5 means, after a warm-up."""
    work()
    means = []
    for _ in range(5):
        began = time.thread_time_ns()
        for _ in range(repeats // 5):
            work()
        means.append((time.thread_time_ns() - began) / 1000 / (repeats // 5))
    return statistics.median(means)


def costs(report: Report) -> None:
    """CPU of what the request path and an outcome pay, at 4 pools that are known well."""
    pools, quality, doubt = ("a", "b", "c", "d"), np.array([0.4, 0.5, 0.6, 0.7]), np.full(4, 0.1)
    learning, features, rng = Learning(), Features(200, 256, code=True), Random(SEED)
    learning.tenants(1)
    prediction = Prediction(quality, doubt, np.zeros(4), 0.9, 3)
    context = learning.context(features, prediction)
    for at in range(400):
        learning.heard(Occasion(pools[at % 4], context, 0.5, 0.5, 0.5), float(rng.random() < 0.5), 0.0)
    belief = learning.belief(pools, quality, doubt, context)
    purse, numbers = Purse(0.1), quality.tolist()
    stakes = Stakes(numbers, numbers, numbers)
    purse.spent(1e9)
    learner = Learner()
    spent_us = {
        "context": cpu_us(lambda: learning.context(features, prediction)),
        "belief": cpu_us(lambda: learning.belief(pools, quality, doubt, context)),
        "explore": cpu_us(lambda: explore(stakes, belief, purse, 0.5)),
        "observe": cpu_us(lambda: learner.observe("a", context, 0.5, 1.0)),
        "a verdict": cpu_us(lambda: learning.heard(Occasion("a", context, 0.5, 0.5, 0.5), 0.5, 0.0)),
    }
    report.note("CPU in µs, 4 pools: " + ", ".join(f"{name} {each:.1f}" for name, each in spent_us.items()))
    report.aim("µs CPU of one belief over 4 pools", spent_us["belief"], at_most=15.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help=f"folder with {SET} and {PRICES}")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    report = Report("learning", "Regret of choosing, replayed on recorded outcomes (quarters of the rows)", seed=SEED)
    for scenario in ("steady", "collapse", "misjudged"):
        runs: dict[str, list[dict[str, float]]] = {}
        for seed in range(SEED, SEED + options.seeds):
            seen = world(options.data, seed, scenario)
            for name, run in contestants(seen, seed).items():
                runs.setdefault(name, []).append(figures(seen, run))
        means = {name: {key: statistics.mean(each[key] for each in all_) for key in all_[0]} for name, all_ in runs.items()}
        for name, each in means.items():
            report.row(f"{scenario}: {name}", **each)
        alone, learnt = means["baseline: artefact alone"]["utility"], means["artefact, learning"]["utility"]
        tried = means["artefact, learning, exploring 2 %"]["utility"]
        report.aim(f"{scenario}: utility, learning over the artefact alone", learnt - alone, at_least=0.0)
        report.aim(f"{scenario}: utility lost by exploring 2 %", learnt - tried, at_most=0.02)
    costs(report)
    report.note(
        f"trained on {TRAINED_ON} rows; {LABELLED:.0%} of answers were labelled; λ {PRICE_OF_QUALITY}; {options.seeds} seeds"
    )
    report.note(
        "collapse: from the middle on (q3, q4) the pool that the artefact chooses most answers at a fifth of its scores"
    )
    report.note("half-life, prior and the scale of exploring were chosen on other seeds (101 to 104) of the same rows")
    report.note("exploring buys what greedy learning can't see; in a run this short, with so many pools, it need not pay back")
    report.note("explored and extra are in percent of requests and of what was spent; the share bounds extra")
    report.finish()


if __name__ == "__main__":
    main()
