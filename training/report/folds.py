"""Who is tested together: prompts drawn at random, or whole domains. Pure; the seed is an argument."""

import numpy as np

from training.outcomes.table import Ints, Outcomes

FOLDS = 5
_FEWEST_DOMAINS = 3


def by_prompt(outcomes: Outcomes, seed: int, folds: int = FOLDS) -> Ints:
    """Fold of each row, int64[N]; rows with the same prompt share one."""
    groups = outcomes.groups
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
    return order[groups] % folds


def by_domain(outcomes: Outcomes, seed: int, folds: int = FOLDS) -> Ints | None:
    """Whole domains in a fold, of about equal size; rows without a domain get -1. None with fewer than three domains."""
    if outcomes.domain is None:
        return None
    names, at = np.unique(np.array(outcomes.domain, dtype=object), return_inverse=True)
    named = [place for place, name in enumerate(names) if name]
    if len(named) < _FEWEST_DOMAINS:
        return None
    sizes = np.bincount(at, minlength=len(names))
    shuffled = np.random.default_rng(seed).permutation(named)
    fold_of = np.full(len(names), -1, dtype=np.int64)
    load = np.zeros(min(folds, len(named)))
    for place in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold_of[place] = int(np.argmin(load))
        load[fold_of[place]] += sizes[place]
    return fold_of[at]
