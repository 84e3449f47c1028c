"""One array per figure, one row per replica; what is handed out never changes afterwards."""

from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


class Column(Generic[Scalar]):
    """An array that is copied on the first write after it was handed out, so that a write costs at most one small copy."""

    __slots__ = ("_array", "_shared")

    def __init__(self, array: NDArray[Scalar]) -> None:
        self._array = array
        self._shared = False

    def __setitem__(self, row: int, value: float) -> None:
        if self._shared:
            self._array = self._array.copy()
            self._shared = False
        self._array[row] = value

    def __getitem__(self, row: int) -> Any:
        return self._array[row]

    def frozen(self) -> NDArray[Scalar]:
        """The values as they are now, read-only."""
        if not self._shared:
            self._array.flags.writeable = False
            self._shared = True
        return self._array


class Rows:
    """Every figure the store keeps for `size` replicas. `reported_s` is -inf until a replica reports.

    usable   as Replica.usable; `ready` in the view is this, freshly reported, and its circuit not open
    """

    __slots__ = ("in_flight", "kv_used", "max_running", "reported_s", "running", "usable", "waiting")

    def __init__(self, size: int) -> None:
        self.in_flight = Column(np.zeros(size, dtype=np.int32))
        self.running = Column(np.zeros(size, dtype=np.int32))
        self.waiting = Column(np.zeros(size, dtype=np.int32))
        self.max_running = Column(np.zeros(size, dtype=np.int32))
        self.kv_used = Column(np.zeros(size, dtype=np.float64))
        self.reported_s = Column(np.full(size, -np.inf, dtype=np.float64))
        self.usable = Column(np.zeros(size, dtype=np.bool_))
