"""The bench's own arithmetic, against counting by hand; and what it says when its tables are not there."""

from pathlib import Path

import numpy as np
import pytest

from tests.bench.routing_data import NoData, Trial, trials
from tests.bench.routing_quality import figures_of, held_out, least_share, zero_router
from training.outcomes.table import Outcomes

QUALITY = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
TABLE = Outcomes(("a", "b", "c", "d"), ("weak", "strong"), QUALITY)


def test_the_share_of_strong_answers_that_recovers_part_of_the_gap() -> None:
    best_first = np.array([4.0, 2.0, 3.0, 1.0])
    assert least_share(best_first, QUALITY, 0.5) == 25.0
    assert least_share(best_first, QUALITY, 1.0) == 25.0  # the gap is one answer in four, two are gained on the way
    assert least_share(-best_first, QUALITY, 0.5) == 100.0


def test_a_pair_is_judged_by_its_gain() -> None:
    said = np.array([[0.0, 0.9], [0.0, 0.2], [0.0, 0.8], [0.0, 0.1]])
    # Recovered after 0, 1, … 4 strong answers: 0, 1, 2, 2, 1 of a gap of 1; trapezoid of width 1/4.
    assert figures_of(Trial("x", TABLE, None, 0.5), said)["apgr"] == pytest.approx((0.5 + 1.5 + 2 + 1.5) / 4)


def test_a_pool_is_judged_by_its_hull() -> None:
    cost = np.tile([1.0, 3.0], (4, 1))
    trial = Trial("x", TABLE, cost, 0.5)
    assert zero_router(trial) == pytest.approx(0.625)  # 0.5 for 1, 0.75 for 3: the mean height of that line
    told = figures_of(trial, QUALITY)
    # Two prompts need the dear pool: quality 1 for a mean of 2; then no better up to 3.
    assert told["aiq"] == pytest.approx((0.75 + 1.0) / 2)
    assert told["cost_at_best_single_pct"] == pytest.approx(100 * 1.5 / 3.0, rel=1e-3)


def test_no_row_is_predicted_by_a_model_that_saw_its_prompt() -> None:
    table = Outcomes(("same", "Same ", "x", "y"), ("weak", "strong"), QUALITY)

    def says(train: Outcomes, test: Outcomes) -> np.ndarray:  # type: ignore[type-arg]
        assert not {prompt.strip().lower() for prompt in train.prompts} & {prompt.strip().lower() for prompt in test.prompts}
        return np.full(test.quality.shape, len(train), dtype=np.float64)

    assert held_out(table, np.array([0, 0, 1, 1]), says)[:, 0].tolist() == [2.0, 2.0, 2.0, 2.0]
    assert held_out(table, np.array([0, 1, 1, 1]), says)[0, 0] == 2.0


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoData, match=r"routellm_mmlu\.csv\.gz: No such file"):
        trials(tmp_path)
