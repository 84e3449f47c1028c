"""How well the trained predictor chooses, on public outcomes, beside random, prompt length, fixed choices, TF-IDF, the oracle.

    make bench NAME=routing_quality ARGS="--data DIR"              all sets, in-domain and unseen domains
    make bench NAME=routing_quality ARGS="--data DIR --attempts"   also each part of the model alone

DIR holds the tables (datasets of RouteLLM, LLMRouter and RouterBench as .csv.gz; tests/bench/routing_data.py names the files).
In-domain: 5 folds, equal prompts together. Unseen: 5 folds of whole domains. Every fold is a whole `fit` on the other folds,
and predictions are the router's own (`extract`, then `predict`). Figures: APGR and CPT of a pair (RouteLLM, arXiv 2406.18665),
AIQ of a pool (RouterBench, arXiv 2403.12031), expected calibration error, CPU of one prediction. Half of each public table is
read here; the aims are for halves that are not here, so a figure here is an estimate.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from router.choosing.quality.prediction import Predictor
from router.choosing.quality.text import read
from tests.bench.report import Report
from tests.bench.routing_data import NoData, Trial, trials
from training.fit.calibration import calibration_error
from training.fit.fitting import fit
from training.fit.heads import HEADS
from training.outcomes.table import Floats, Ints, Outcomes, read_features
from training.report.curves import choices, cost_at, curve_of, gap_recovered, hull, mean_height, weights_of_cost
from training.report.folds import by_domain, by_prompt

SEED = 0
REPEATS = 7
Says = Callable[[Outcomes, Outcomes], Floats]


def ours(train: Outcomes, test: Outcomes) -> Floats:
    model = fit(train, SEED).model
    return np.array([model.predict(read_features(prompt)).quality for prompt in test.prompts])


def one_head(at: int, train: Outcomes, test: Outcomes) -> Floats:
    """One part of the model alone, at full weight, on the same rows."""
    model = fit(train, SEED, heads=np.eye(len(HEADS))[at]).model
    return np.array([model.predict(read_features(prompt)).quality for prompt in test.prompts])


def tfidf(train: Outcomes, test: Outcomes) -> Floats:
    """Words and pairs, logistic regression per pool, and for a pair on the gain itself."""
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    x, new = words.fit_transform(train.prompts), words.transform(test.prompts)
    quality = np.nan_to_num(train.quality)
    targets = [quality[:, at] > 0.5 for at in range(len(train.pools))]
    if len(targets) == 2:
        targets = [np.zeros(len(train), dtype=bool), quality[:, 1] > quality[:, 0]]
    said = np.zeros((len(test), len(targets)))
    for at, target in enumerate(targets):
        if target.any() and not target.all():
            said[:, at] = LogisticRegression(max_iter=300).fit(x, target).predict_proba(new)[:, 1]
    return said


def prompt_length(_: Outcomes, test: Outcomes) -> Floats:
    """The longer, the more the strong pool is to gain."""
    lengths = np.array([len(prompt) for prompt in test.prompts], dtype=np.float64)
    return np.stack([np.zeros(len(test)), lengths / 1e5], axis=1)


def at_random(_: Outcomes, test: Outcomes) -> Floats:
    return np.random.default_rng(SEED).random(test.quality.shape)


def domain_means(train: Outcomes, test: Outcomes) -> Floats:
    """Is told each prompt's domain, which no router is; constants where the domain is new."""
    named = np.array(train.domain or ("",) * len(train))
    told = test.domain or ("",) * len(test)
    means = {name: train.quality[named == name].mean(axis=0) for name in set(told) & set(named)}
    return np.array([means.get(name, train.mean_quality) for name in told])


def held_out(table: Outcomes, folds: Ints, says: Says) -> Floats:
    said = np.zeros_like(table.quality)
    for fold in np.unique(folds):
        inside = folds == fold
        train = ~np.isin(table.groups, table.groups[inside])
        said[inside] = says(table.rows(train), table.rows(inside))
    return said


def figures_of(trial: Trial, said: Floats) -> dict[str, float]:
    quality = trial.table.quality
    if trial.cost is None:
        gain = said[:, 1] - said[:, 0]
        shares = [least_share(gain, quality, part) for part in (0.5, 0.8)]
        return {"apgr": gap_recovered(gain, quality[:, 0], quality[:, 1]), "cpt50_pct": shares[0], "cpt80_pct": shares[1]}
    means = trial.cost.mean(axis=0)
    curve = curve_of(choices(said, means, weights_of_cost(said, means)), quality, trial.cost)
    cover = hull(curve.cost, curve.quality)
    best = int(quality.mean(axis=0).argmax())
    dense = np.linspace(cover.cost[0], cover.cost[-1], 4001)
    reach = cost_at(type(cover)(dense, np.interp(dense, cover.cost, cover.quality)), float(quality[:, best].mean()))
    told = {"aiq": mean_height(curve, means.min(), means.max())}
    # Left out where the curve never gets as good as the best single pool.
    return told | ({"cost_at_best_single_pct": 100 * reach / means[best]} if np.isfinite(reach) else {})


def least_share(gain: Floats, quality: Floats, part: float) -> float:
    """CPT: least share of strong answers, in percent, that recovers this part of the gap."""
    order = np.argsort(-gain, kind="stable")
    recovered = np.cumsum((quality[:, 1] - quality[:, 0])[order]) / (quality[:, 1] - quality[:, 0]).sum()
    return float(100 * (1 + np.argmax(recovered >= part)) / len(gain))


def zero_router(trial: Trial) -> float:
    if trial.cost is None:
        return 0.5
    means = trial.cost.mean(axis=0)
    singles = curve_of(np.tile(np.arange(len(means))[:, None], (1, len(trial.table))), trial.table.quality, trial.cost)
    return mean_height(singles, means.min(), means.max())


def cpu_us(model: Predictor, prompts: tuple[str, ...], size: int) -> tuple[float, float]:
    """Median over repeats of one prediction's CPU and of the part that reads the text, over many prompts of `size` letters."""
    joined = " ".join(prompts[:2000])
    seen = [read_features(joined[at : at + size]) for at in range(0, min(len(joined), 300 * size), size)]
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        for into, work in zip(spent, (model.predict, read), strict=True):
            started = time.thread_time_ns()
            for features in seen:
                work(features)
            into.append((time.thread_time_ns() - started) / 1000 / len(seen))
    return statistics.median(spent[0]), statistics.median(spent[1])


def show(report: Report, trial: Trial, attempts: bool) -> None:
    rivals: dict[str, Says] = {"random": at_random, "TF-IDF + logistic regression": tfidf, "ours": ours}
    if trial.cost is None:
        rivals = {"prompt length": prompt_length, **rivals}
    if trial.table.domain is not None:
        rivals = {"mean of the true domain (is told it)": domain_means, **rivals}
    if attempts:
        rivals |= {f"ours, {name} alone": partial(one_head, at) for at, name in enumerate(HEADS)}
    splits = {
        "in-domain": (by_prompt(trial.table, SEED), trial.aim),
        "unseen": (by_domain(trial.table, SEED), trial.unseen_aim),
    }
    for split, (folds, aim) in splits.items():
        if folds is None:
            continue
        report.row(f"{trial.name}, {split}: fixed choices", **{trial.figure: zero_router(trial)})
        for name, says in rivals.items():
            said = held_out(trial.table, folds, says)
            told = figures_of(trial, said)
            if name == "ours":
                errors = [calibration_error(said[:, at], trial.table.quality[:, at]) for at in range(said.shape[1])]
                told["ece"] = float(np.mean(errors))
                if aim is not None:
                    report.aim(f"{trial.figure} of {trial.name}, {split}", told[trial.figure], at_least=aim)
            report.row(f"{trial.name}, {split}: {name}", **told)
        report.row(f"{trial.name}, {split}: oracle", **figures_of(trial, trial.table.quality))


def main() -> None:
    options = argparse.ArgumentParser(description="How well the trained predictor chooses, on public outcomes.")
    options.add_argument("--data", type=Path, help="folder of the tables")
    options.add_argument("--attempts", action="store_true", help="each part of the model alone, too")
    options.add_argument("--only", default="", help="sets whose name holds this")
    asked = options.parse_args()
    if asked.data is None:
        sys.exit("routing_quality: give the folder of the routing tables: --data DIR (see tests/bench/routing_data.py)")
    try:
        sets = [trial for trial in trials(asked.data) if asked.only.lower() in trial.name.lower()]
    except NoData as fault:
        sys.exit(f"routing_quality: {fault}")
    report = Report("routing_quality", "Choosing a pool by the predicted quality, held-out prompts", SEED)
    for trial in sets:
        show(report, trial, asked.attempts)
    pools = Outcomes(sets[0].table.prompts, tuple("abcd"), np.tile(sets[0].table.quality, 2)[:, :4])
    for size in (500, 2048):
        total_us, read_us = cpu_us(fit(pools, SEED).model, pools.prompts, size)
        report.row(f"CPU of one prediction, {size} letters, 4 pools", cpu_us=total_us, reading_us=read_us)
    report.aim("cpu_us at 2,048 letters", total_us, at_most=60.0)
    report.note("random alone moves APGR by 0.02 on MMLU's rows and by 0.05 on GSM8K's, in 95 of 100 draws")
    report.finish()


if __name__ == "__main__":
    main()
