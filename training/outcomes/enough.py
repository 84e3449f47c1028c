"""Whether a table of outcomes holds enough to learn from: what is refused, and what the user should know. Pure."""

import numpy as np

from training.outcomes.faults import OutcomesRefused
from training.outcomes.table import Outcomes

FEWEST_PROMPTS = 50
FEW_PROMPTS = 500
_FEW_ANSWERS = 30


def warnings_of(outcomes: Outcomes) -> tuple[str, ...]:
    """What weakens the result. Raises OutcomesRefused where nothing can be learned at all."""
    rows, prompts = len(outcomes), len(set(outcomes.groups.tolist()))
    if not rows:
        raise OutcomesRefused(("no row tells of any answer's quality",))
    if prompts < FEWEST_PROMPTS:
        same = f" ({rows:,} rows, but most say the same)" if rows >= FEWEST_PROMPTS else ""
        raise OutcomesRefused(
            (f"only {prompts} different prompts{same}: at least {FEWEST_PROMPTS} are needed to learn anything",)
        )
    constant = [pool for at, pool in enumerate(outcomes.pools) if _is_constant(outcomes, at)]
    if len(constant) == len(outcomes.pools):
        raise OutcomesRefused((_all_constant(outcomes),))
    found = []
    if prompts < FEW_PROMPTS:
        found.append(f"only {prompts} different prompts: expect large errors; {FEW_PROMPTS} or more are better")
    if rows > prompts:
        found.append(f"{rows - prompts:,} rows repeat a prompt: they always stay together when the data is split")
    found += [f'pool "{pool}": every answer has the same quality, so there is nothing to learn of it' for pool in constant]
    for at, pool in enumerate(outcomes.pools):
        answers = int((~np.isnan(outcomes.quality[:, at])).sum())
        if answers < _FEW_ANSWERS:
            found.append(f'pool "{pool}": only {answers} answers')
    if len(outcomes.pools) == 1:
        found.append("one pool only: its quality is predicted, but there is nothing to choose")
    return tuple(found)


def _is_constant(outcomes: Outcomes, at: int) -> bool:
    column = outcomes.quality[:, at]
    return len(np.unique(column[~np.isnan(column)])) <= 1


def _all_constant(outcomes: Outcomes) -> str:
    every = ", ".join(f'"{pool}" {outcomes.mean_quality[at]:g}' for at, pool in enumerate(outcomes.pools[:8]))
    return f"every answer of a pool has the same quality ({every}): nothing tells which prompts are harder"
