"""The most quality that a budget could have bought, had all arrivals been known: a linear program, solved by HiGHS.

A request may be split between pools, so this is at least what any policy reaches that pays within the budget.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, kron
from scipy.sparse import eye as identity

from tests.bench.pacing_load import Load

QUARTERS = (0.25, 0.5, 0.75, 1.0)


def best_quality(load: Load, budget_usd: float, share: Callable[[float], float] | None = None, within: float = 0.02) -> float:
    """Sum of quality, NaN where impossible. With `share` spending must also be within ± of plan at each quarter of the time."""
    count, pools = load.quality.shape
    costs = load.cost_usd.ravel() / budget_usd
    rows, bounds = [costs], [1.0]
    for quarter in QUARTERS if share else ():
        so_far = np.repeat(load.at_s <= quarter * load.end_s, pools) * costs
        planned = share(quarter) if share else 0.0
        rows += [so_far, -so_far]
        bounds += [min(1.0, planned * (1 + within)), -planned * (1 - within)]
    each_once = kron(identity(count), np.ones((1, pools)), format="csr")
    solved = linprog(
        -load.quality.ravel(),
        A_ub=csr_matrix(np.array(rows)),
        b_ub=np.array(bounds),
        A_eq=each_once,
        b_eq=np.ones(count),
        bounds=(0, 1),
        method="highs-ipm",
    )
    return -float(solved.fun) if solved.status == 0 else float("nan")


def is_reachable(
    load: Load, budget_usd: float, best_usd: np.ndarray, share: Callable[[float], float], within: float = 0.02
) -> bool:
    """Whether someone who knows all arrivals and wastes nothing could be within ± of plan at each quarter."""
    least = most = 0.0
    before = 0.0
    for quarter in QUARTERS:
        now = (load.at_s > before * load.end_s) & (load.at_s <= quarter * load.end_s)
        planned = share(quarter) * budget_usd
        least = max(least + load.cost_usd[now].min(axis=1).sum(), planned * (1 - within))
        most = min(most + best_usd[now].sum(), planned * (1 + within))
        if least > planned * (1 + within) or most < planned * (1 - within):
            return False
        before = quarter
    return True
