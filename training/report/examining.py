"""Puts a fitted predictor to the test: on prompts and on whole domains that it was not fitted on. Computes; writes nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from router.choosing.features import Features
from router.choosing.quality.prediction import Predictor
from training.outcomes.overlap import fresh_rows
from training.outcomes.table import Floats, Outcomes
from training.report import folds
from training.report.findings import Findings, PoolFacts
from training.report.predicted import Fit, Predicted, features_of, predict_all, predict_held_out
from training.report.slices import Slice, slices_of
from training.report.verdict import Verdict, judge

Say = Callable[[str], None]
HELD_BACK = 5
# From here on one part is tested in place of all: that is enough prompts, and five more fits would take long.
LARGE_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Trial:
    """How the choice was tested: on which table, what was said of it, and how in words."""

    table: Outcomes
    features: Sequence[Features]
    said: Predicted
    how: str


def trial_by_folds(outcomes: Outcomes, fit: Fit, seed: int, say: Say) -> Trial:
    """Cross-validation: each fifth of the prompts predicted by a model that has seen the rest. Of a large table one fifth."""
    if len(outcomes) > LARGE_ROWS:
        return trial_by_split(outcomes, fit, seed, say)
    say(f"testing on prompts that were held back, {folds.FOLDS} times")
    features = features_of(outcomes)
    said = predict_held_out(outcomes, features, folds.by_prompt(outcomes, seed), fit)
    return Trial(
        outcomes, features, said, f"Tested by cross-validation over {folds.FOLDS} parts, equal prompts always together."
    )


def trial_by_split(outcomes: Outcomes, fit: Fit, seed: int, say: Say) -> Trial:
    """One fifth held back; quicker than folds, and its figures vary more."""
    say("testing on a fifth of the prompts that is held back")
    features = features_of(outcomes)
    fold = np.where(folds.by_prompt(outcomes, seed, HELD_BACK) == 0, 0, -1)
    how = "Tested on a fifth of the prompts; the artefact was then fitted on all of them."
    return Trial(outcomes, features, predict_held_out(outcomes, features, fold, fit), how)


def trial_on(table: Outcomes, trained_on: Outcomes, model: Predictor, name: str, say: Say) -> Trial:
    """The artefact itself on other outcomes, less the prompts that it was fitted on."""
    fresh = fresh_rows(table, trained_on)
    say(f"testing on {len(fresh):,} rows of {name}")
    kept = _of_pools(table.rows(fresh), model.pools)
    left_out = len(table) - len(fresh)
    less = f" {left_out:,} of its rows repeat training prompts and were left out." if left_out else ""
    features = features_of(kept)
    return Trial(kept, features, predict_all(model, kept, features), f"Tested on {name}.{less}")


def trial_unseen(outcomes: Outcomes, fit: Fit, seed: int, say: Say) -> Verdict | None:
    """Domains predicted by a model that has seen none of them, a fifth of a large table; None with fewer than three domains."""
    parts = folds.by_domain(outcomes, seed)
    if parts is None:
        return None
    if len(outcomes) > LARGE_ROWS:
        parts = np.where(parts == 0, 0, -1)
    say(f"testing on domains that were held back, {int(parts.max()) + 1} times")
    return judge(outcomes, predict_held_out(outcomes, features_of(outcomes), parts, fit), seed)


@dataclass(frozen=True, slots=True)
class Facts:
    """Of the run, for the report's head."""

    version: str
    files: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def findings_of(outcomes: Outcomes, facts: Facts, trial: Trial, unseen: Verdict | None, seed: int) -> Findings:
    """Everything that the report says. `outcomes` is what the artefact was fitted on."""
    seen = judge(trial.table, trial.said, seed)
    slices: tuple[Slice, ...] = ()
    if seen.choice:
        slices = slices_of(trial.table, trial.features, trial.said, seen.choice)
    return Findings(
        version=facts.version,
        files=facts.files,
        rows=len(outcomes),
        prompts=len(np.unique(outcomes.groups)),
        domains=len(set(outcomes.domain or ()) - {""}),
        pools=_pool_facts(outcomes),
        tested=trial.how,
        seen=seen,
        unseen=unseen,
        slices=slices,
        warnings=facts.warnings,
        notes=facts.notes,
    )


def _pool_facts(outcomes: Outcomes) -> tuple[PoolFacts, ...]:
    told = ~np.isnan(outcomes.output_tokens)
    total = np.where(told, outcomes.output_tokens, 0.0).sum(axis=0)
    tokens = np.where(told.any(axis=0), total / np.maximum(told.sum(axis=0), 1), np.nan)
    answers = (~np.isnan(outcomes.quality)).sum(axis=0)
    return tuple(
        PoolFacts(
            pool, int(answers[at]), float(outcomes.mean_quality[at]), float(outcomes.mean_cost_usd[at]), float(tokens[at])
        )
        for at, pool in enumerate(outcomes.pools)
    )


def _of_pools(table: Outcomes, pools: tuple[str, ...]) -> Outcomes:
    """The table with the predictor's pools, in its order; those that it lacks are NaN."""
    place = {pool: at for at, pool in enumerate(table.pools)}
    nothing = np.full(len(table), np.nan)

    def ordered(values: Floats) -> Floats:
        return np.stack([values[:, place[pool]] if pool in place else nothing for pool in pools], axis=1)

    quality, cost, tokens = map(ordered, (table.quality, table.cost_usd, table.output_tokens))
    return Outcomes(table.prompts, pools, quality, cost, tokens, table.domain)
