import numpy as np
import pytest

from router.fleet.columns import Column


def test_what_was_handed_out_never_changes_and_is_copied_only_when_written() -> None:
    column = Column(np.zeros(3, dtype=np.int32))
    column[1] = 5
    first = column.frozen()
    assert column.frozen() is first
    column[1] += 1
    column[2] = 7
    second = column.frozen()
    assert first.tolist() == [0, 5, 0]
    assert second.tolist() == [0, 6, 7]
    with pytest.raises(ValueError, match="read-only"):
        second[0] = 1
