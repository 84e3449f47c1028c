"""What predictions on unseen prompts are worth: curves, savings with an interval, calibration, lengths. Pure numpy."""

from dataclasses import dataclass

import numpy as np

from training.outcomes.table import Floats, Ints, Outcomes
from training.report.curves import (
    STEPS,
    Curve,
    choices,
    cost_at,
    curve_of,
    gap_recovered,
    hull,
    mean_height,
    oracle,
    weights_of_cost,
)
from training.report.predicted import Predicted
from training.report.redrawing import Interval, interval, redrawn_means
from training.report.reliability import Reliability, reliability

# A curve over fewer prompts says nothing.
FEWEST_COMPLETE = 50
# So many prompts make the curve smooth with fewer points, and each point costs memory for every prompt.
_MANY, _STEPS_OF_MANY = 20_000, 40
NEARLY = 0.99


@dataclass(frozen=True, slots=True)
class Lengths:
    """Of one pool: mean absolute error of the predicted answer length, in tokens, and that of always saying the mean."""

    answers: int
    error_tokens: float
    mean_error_tokens: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What choosing by these predictions comes to, over the prompts with a known quality of every pool.

    cost_usd     mean cost of each pool's answer; relative where `priced` is False: the worst pool 0, the best 1
    best         the best fixed choice
    aiq          mean height of the curve between the cheapest and the dearest pool: ours, zero router, oracle
    chosen       int64[N]: pools at the setting that costs least for the best fixed choice's quality, else at the best setting
    rows         int64[N]: their rows in the table
    saving       part of the best fixed choice's cost that is saved at its quality; 0 where that quality is not reached
    nearly       the same at 99 % of that quality: less at the mercy of a few answers
    gain         quality above the best fixed choice at no more than its cost; may be negative
    """

    rows: Ints
    priced: bool
    cost_usd: Floats
    mean_quality: Floats
    best: int
    ours: Curve
    oracle: Curve
    aiq: tuple[float, float, float]
    random: tuple[float, float]
    chosen: Ints
    reached: bool
    saving: Interval
    nearly: Interval
    gain: Interval
    gap_recovered: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one way of testing. `choice` is None where too few prompts have a known quality of every pool."""

    tested: int
    choice: Choice | None
    reliability: tuple[Reliability, ...]
    lengths: tuple[Lengths | None, ...]
    low_trust: float

    @property
    def error(self) -> float:
        """Mean ECE over the pools that were tested."""
        errors = np.array([pool.error for pool in self.reliability])
        return float(np.nanmean(errors)) if not np.isnan(errors).all() else float("nan")


def judge(outcomes: Outcomes, said: Predicted, seed: int) -> Verdict:
    """`said` is of the same rows; rows that were not predicted are left out."""
    at = said.known
    outcomes, known = outcomes.rows(at), said.rows(at)
    pools = range(len(outcomes.pools))
    trust = known.trust
    return Verdict(
        tested=len(at),
        choice=_choice(outcomes, known, at, seed),
        reliability=tuple(_reliability(known.quality[:, pool], outcomes.quality[:, pool]) for pool in pools),
        lengths=tuple(_lengths(known.output_tokens[:, pool], outcomes.output_tokens[:, pool]) for pool in pools),
        low_trust=float((trust < 0.5).mean()) if len(trust) else float("nan"),
    )


def _reliability(predicted: Floats, observed: Floats) -> Reliability:
    told = ~np.isnan(predicted)
    return reliability(predicted[told], observed[told])


def _choice(outcomes: Outcomes, said: Predicted, at: Ints, seed: int) -> Choice | None:
    complete = np.flatnonzero(~np.isnan(outcomes.quality).any(axis=1) & ~np.isnan(said.quality).any(axis=1))
    if len(complete) < FEWEST_COMPLETE or len(outcomes.pools) < 2:
        return None
    table, predicted = outcomes.rows(complete), said.quality[complete]
    quality, mean_quality = table.quality, table.quality.mean(axis=0)
    priced, costs = _costs(outcomes.mean_cost_usd, mean_quality)
    cost = np.where(np.isnan(table.cost_usd), costs, table.cost_usd) if priced else np.broadcast_to(costs, quality.shape)
    mean_cost = cost.mean(axis=0)
    best = int(np.lexsort((mean_cost, -mean_quality))[0])
    steps = _STEPS_OF_MANY if len(table) > _MANY else STEPS
    chosen = choices(predicted, costs, weights_of_cost(predicted, costs, steps))
    ours, knows_all = curve_of(chosen, quality, cost), oracle(quality, mean_cost)
    low, high = float(mean_cost.min()), float(mean_cost.max())
    heights = (mean_height(ours, low, high), mean_height(Curve(mean_cost, mean_quality), low, high))
    setting, reached = _setting(ours, float(mean_quality[best]))
    saving, nearly, gain = _redrawn(chosen, quality, cost, table.groups, best, seed)
    return Choice(
        rows=at[complete],
        priced=priced,
        cost_usd=mean_cost,
        mean_quality=mean_quality,
        best=best,
        ours=ours,
        oracle=knows_all,
        aiq=(*heights, mean_height(knows_all, low, high)),
        random=(float(mean_cost.mean()), float(mean_quality.mean())),
        chosen=chosen[setting],
        reached=reached,
        saving=saving,
        nearly=nearly,
        gain=gain,
        gap_recovered=_gap(predicted, quality, mean_quality),
    )


def _costs(told: Floats, mean_quality: Floats) -> tuple[bool, Floats]:
    """Mean cost per pool; where not every pool has one, the place by quality: the worst 0, the best 1."""
    if not np.isnan(told).any() and told.max() > 0:
        return True, told
    places = np.argsort(np.argsort(mean_quality, kind="stable"), kind="stable")
    return False, places / max(len(places) - 1, 1)


def _gap(predicted: Floats, quality: Floats, mean_quality: Floats) -> float:
    """APGR, defined for two pools."""
    if quality.shape[1] != 2:
        return float("nan")
    weak, strong = np.argsort(mean_quality, kind="stable")
    return gap_recovered(predicted[:, strong] - predicted[:, weak], quality[:, weak], quality[:, strong])


def _setting(curve: Curve, quality: float) -> tuple[int, bool]:
    """The cheapest point that is as good as `quality`, else the best one; and whether it is as good."""
    enough = np.flatnonzero(curve.quality >= quality - 1e-12)
    if len(enough):
        return int(enough[np.argmin(curve.cost[enough])]), True
    return int(np.argmax(curve.quality)), False


def _redrawn(
    chosen: Ints, quality: Floats, cost: Floats, groups: Ints, best: int, seed: int
) -> tuple[Interval, Interval, Interval]:
    """Saving at all and at 99 % of the best fixed choice's quality, and gain, with intervals by redrawing groups of prompts."""
    rows = np.arange(len(quality))
    figures = (quality[rows, chosen], cost[rows, chosen], quality[None, :, best], cost[None, :, best])
    savings, nearly, gains = [], [], []
    for our_quality, our_cost, best_quality, best_cost in redrawn_means(figures, groups, seed):
        curve, goal, price = Curve(our_cost, our_quality), float(best_quality[0]), float(best_cost[0])
        savings.append(_saving(curve, goal, price))
        nearly.append(_saving(curve, NEARLY * goal, price))
        cover = hull(our_cost, our_quality)
        gains.append(float(np.interp(price, cover.cost, cover.quality)) - goal)
    return interval(savings), interval(nearly), interval(gains)


def _saving(curve: Curve, quality: float, cost: float) -> float:
    """Part of `cost` that is saved at this quality; 0 where it is not reached for less."""
    least = cost_at(curve, quality)
    return 1 - least / cost if least < cost * (1 - 1e-9) else 0.0


def _lengths(predicted: Floats, observed: Floats) -> Lengths | None:
    known = ~np.isnan(observed) & (predicted > 0)
    if not known.any():
        return None
    said, true = predicted[known], observed[known]
    return Lengths(int(known.sum()), float(np.abs(said - true).mean()), float(np.abs(true.mean() - true).mean()))
