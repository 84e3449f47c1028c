"""Filters, by tables."""

import numpy as np
import pytest

from router.picking.filters import Fresh, HasRoom, NotExcluded, Ready
from router.picking.plugin import Ask, Candidates, Filter
from router.snapshot import Floats


def rows(
    ready: list[bool] | None = None,
    load: list[float] | None = None,
    max_running: list[int] | None = None,
    age_s: list[float] | None = None,
    excluded: frozenset[str] = frozenset(),
) -> Candidates:
    none: Floats = np.zeros(3)
    zeros = np.zeros(3, dtype=np.int32)
    return Candidates(
        ask=Ask((), zeros),
        replica_ids=("a", "b", "c"),
        identity=np.zeros(3, dtype=np.uint64),
        excluded=excluded,
        ready=np.array(ready or [True] * 3),
        load=np.array(load or none, dtype=np.float64),
        waiting=zeros,
        max_running=np.array(max_running or zeros, dtype=np.int32),
        kv_used=none,
        age_s=np.array(age_s or none, dtype=np.float64),
    )


@pytest.mark.parametrize(
    ("each", "given", "kept"),
    [
        (Ready(), rows(ready=[True, False, True]), [True, False, True]),
        (NotExcluded(), rows(), None),
        (NotExcluded(), rows(excluded=frozenset({"b", "elsewhere"})), [True, False, True]),
        (Fresh(), rows(age_s=[0.0, 5.0, 5.1]), [True, True, False]),
        (Fresh(), rows(age_s=[np.inf, np.nan, 0.0]), [False, False, True]),
        (Fresh(max_age_s=0.5), rows(age_s=[0.4, 0.5, 0.6]), [True, True, False]),
        (HasRoom(), rows(load=[15, 16, 17], max_running=[8, 8, 8]), [True, False, False]),
        (HasRoom(), rows(load=[1, 100, 1000], max_running=[0, 0, 1]), [True, True, False]),
        (HasRoom(times_max_running=1.0), rows(load=[7, 8, 9], max_running=[8, 8, 8]), [True, False, False]),
    ],
)
def test_filter(each: Filter, given: Candidates, kept: list[bool] | None) -> None:
    flags = each.keep(given)
    assert (flags if flags is None else flags.tolist()) == kept
