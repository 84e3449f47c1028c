"""What a predictor says of every prompt of a table, on prompts that it was not fitted on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from router.choosing.features import Features
from router.choosing.quality.prediction import Predictor
from training.outcomes.table import Floats, Ints, Outcomes, read_features

# Outcomes and a seed in, a predictor out.
Fit = Callable[[Outcomes], Predictor]


@dataclass(frozen=True, slots=True)
class Predicted:
    """Of N prompts and K pools: quality, uncertainty and output_tokens are [N, K], trust [N]; NaN rows were not predicted."""

    quality: Floats
    uncertainty: Floats
    output_tokens: Floats
    trust: Floats

    @property
    def known(self) -> Ints:
        """Rows that were predicted."""
        return np.flatnonzero(~np.isnan(self.trust))

    def rows(self, at: Ints) -> "Predicted":
        return Predicted(self.quality[at], self.uncertainty[at], self.output_tokens[at], self.trust[at])


def features_of(outcomes: Outcomes) -> tuple[Features, ...]:
    return tuple(read_features(prompt) for prompt in outcomes.prompts)


def predict_rows(model: Predictor, features: Sequence[Features], rows: Ints, into: Predicted, pools: tuple[str, ...]) -> None:
    """Writes the rows' predictions; a pool that the model does not know stays NaN."""
    place = {pool: at for at, pool in enumerate(model.pools)}
    known = np.array([at for at, pool in enumerate(pools) if pool in place], dtype=np.int64)
    theirs = np.array([place[pools[at]] for at in known], dtype=np.int64)
    for row in rows:
        said = model.predict(features[row])
        into.quality[row, known] = said.quality[theirs]
        into.uncertainty[row, known] = said.uncertainty[theirs]
        into.output_tokens[row, known] = said.output_tokens[theirs]
        into.trust[row] = said.trust


def nothing(rows: int, pools: int) -> Predicted:
    """Arrays to be filled."""
    quality, uncertainty, tokens = np.full((3, rows, pools), np.nan)
    return Predicted(quality, uncertainty, tokens, np.full(rows, np.nan))


def predict_all(model: Predictor, outcomes: Outcomes, features: Sequence[Features]) -> Predicted:
    said = nothing(len(outcomes), len(outcomes.pools))
    predict_rows(model, features, np.arange(len(outcomes)), said, outcomes.pools)
    return said


def predict_held_out(outcomes: Outcomes, features: Sequence[Features], folds: Ints, fit: Fit) -> Predicted:
    """Each fold predicted by a model fitted on all rows outside of it; rows of fold -1 train only."""
    said = nothing(len(outcomes), len(outcomes.pools))
    for fold in np.unique(folds[folds >= 0]):
        tested = folds == fold
        # A prompt that is on both sides would be known already.
        leaked = np.isin(outcomes.groups, outcomes.groups[tested])
        model = fit(outcomes.rows(~leaked))
        predict_rows(model, features, np.flatnonzero(tested), said, outcomes.pools)
    return said
