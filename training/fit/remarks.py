"""What a fit found worth saying, in plain words. Pure."""

import numpy as np
from numpy.typing import NDArray

from training.fit.targets import FEWEST_OUTCOMES, Targets
from training.outcomes.table import Floats, Outcomes

_FEW_ROWS = 1000
Flags = NDArray[np.bool_]


def remarks(outcomes: Outcomes, table: Outcomes, targets: Targets, beats: Flags, quality: Floats) -> tuple[str, ...]:
    """`table` has the rows that were used of `outcomes`."""
    notes = []
    if len(table) < len(outcomes):
        notes.append(f"fitted on {len(table):,} of {len(outcomes):,} rows, drawn at random: more would hardly change it")
    if len(table) < _FEW_ROWS:
        notes.append(f"{len(table):,} rows are few: cross-validated figures of so few vary by several hundredths")
    for at, pool in enumerate(table.pools):
        count = int((~np.isnan(table.quality[:, at])).sum())
        if not targets.learnt[at]:
            why = (
                f"only {count} outcomes of {FEWEST_OUTCOMES} needed"
                if count < FEWEST_OUTCOMES
                else "all its outcomes are the same"
            )
            notes.append(f"{pool}: {why}; it is given the constant {targets.prior[at]:.3f}")
        elif _error(quality[:, at], table.quality[:, at]) >= _error(targets.prior[at], table.quality[:, at]):
            notes.append(f"{pool}: predictions are no better than its mean quality, {targets.prior[at]:.3f}")
    if not beats.any():
        notes.append("nothing was learnt that beats constants on held-out prompts: every prompt gets the pools' mean qualities")
    elif targets.learnt.sum() > 1 and not beats[1:].any():
        notes.append("hard prompts are told from easy ones, but not which pool gains on which: contrasts are constant")
    return tuple(notes)


def _error(predicted: Floats | float, quality: Floats) -> float:
    return float(np.nanmean((quality - predicted) ** 2))
