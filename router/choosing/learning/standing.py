"""How the router stands with what it learnt, and what it tells of it. Values only."""

from dataclasses import dataclass
from typing import Literal

Standing = Literal["learning", "artefact", "previous", "rule"]
STANDINGS: tuple[Standing, ...] = ("learning", "artefact", "previous", "rule")


@dataclass(frozen=True, slots=True)
class Step:
    """Something that an operator should know; `text` has no prompt in it.

    kind    learning_dropped, artefact_dropped, pool_changed
    pool    that changed, "" otherwise
    """

    kind: Literal["learning_dropped", "artefact_dropped", "pool_changed"]
    text: str
    pool: str = ""


@dataclass(frozen=True, slots=True)
class LearningFigures:
    """taught      weight by (pool, kind); kind is feedback, preference or a Signal's value
    held_back   weight that tenants had too much of
    outcomes    labelled ones under this artefact that count as evidence of drift, by weight
    brier       rolling: of what served, of the artefact alone, of constants
    changed     pools that were learnt anew, and how often
    dropped     steps back and pools learnt anew, how often by Step.kind
    """

    version: str
    standing: Standing
    taught: dict[tuple[str, str], float]
    held_back: float
    outcomes: float
    brier: tuple[float, float, float]
    changed: dict[str, int]
    dropped: dict[str, int]
