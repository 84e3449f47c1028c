"""Prompts that two tables of outcomes share. Pure."""

import numpy as np

from training.outcomes.table import Ints, Outcomes


def fresh_rows(table: Outcomes, known: Outcomes) -> Ints:
    """Rows of `table` whose prompt is in no group of `known`; compared as `Outcomes.groups` does."""
    both = Outcomes((*known.prompts, *table.prompts), ("any",), np.zeros((len(known) + len(table), 1)))
    return np.flatnonzero(~np.isin(both.groups[len(known) :], both.groups[: len(known)]))
