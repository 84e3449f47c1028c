"""When a table is refused as too little, and what the user is warned of."""

import numpy as np
import pytest

from tests.training.invented import outcomes
from training.outcomes.enough import warnings_of
from training.outcomes.faults import OutcomesRefused
from training.outcomes.table import Outcomes


def table(rows: int, **changes: object) -> Outcomes:
    made = outcomes(rows)
    values = {name: getattr(made, name) for name in ("prompts", "pools", "quality", "domain")} | changes
    return Outcomes(**values)  # type: ignore[arg-type]


def test_a_good_table_has_no_warning() -> None:
    assert warnings_of(table(500)) == ()


def test_few_prompts_are_warned_of_and_fewer_refused() -> None:
    assert warnings_of(table(499)) == ("only 499 different prompts: expect large errors; 500 or more are better",)
    assert len(warnings_of(table(50))) == 1
    with pytest.raises(OutcomesRefused, match="only 49 different prompts: at least 50 are needed"):
        warnings_of(table(49))


def test_the_same_prompt_again_is_not_another() -> None:
    with pytest.raises(OutcomesRefused, match=r"only 1 different prompts \(500 rows, but most say the same\)"):
        warnings_of(table(500, prompts=("x",) * 500))
    said = warnings_of(table(600, prompts=(*table(599).prompts, table(599).prompts[0])))
    assert said == ("1 rows repeat a prompt: they always stay together when the data is split",)


def test_one_class() -> None:
    quality = np.array(table(500).quality)
    quality[:, 0] = 1
    said = warnings_of(table(500, quality=quality))
    assert said == ('pool "small": every answer has the same quality, so there is nothing to learn of it',)
    quality = np.full((500, 2), [1.0, 0.0])
    with pytest.raises(OutcomesRefused, match=r'same quality \("small" 1, "large" 0\): nothing tells which prompts are harder'):
        warnings_of(table(500, quality=quality))


def test_few_answers_and_one_pool() -> None:
    quality = np.array(table(500).quality)
    quality[29:, 1] = np.nan
    assert warnings_of(table(500, quality=quality)) == ('pool "large": only 29 answers',)
    [said] = warnings_of(table(500, quality=quality[:, :1], pools=("small",)))
    assert said.startswith("one pool only")


def test_nothing() -> None:
    with pytest.raises(OutcomesRefused, match="no row tells"):
        warnings_of(Outcomes((), ("a",), np.empty((0, 1))))
