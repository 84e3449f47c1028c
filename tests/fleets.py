"""Snapshots for tests and benches of decisions, written down directly instead of through a store."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.snapshot import Fleet, Pool, Prices


def pool_of(name: str, start: int, stop: int, **fields: object) -> Pool:
    """A pool over those rows. Any other field of Pool may be given."""
    given: dict[str, Any] = {"tier": "small", "models": (f"{name}-model",), "prices": Prices(1.0, 0.1, 2.0), **fields}
    return Pool(name=name, start=start, stop=stop, **given)


def fleet_of(pools: Sequence[Pool], version: int = 1, ids: Sequence[str] = (), **arrays: Sequence[float]) -> Fleet:
    """Idle and ready replicas, but for the arrays given: one entry per replica, or one for all."""
    size = pools[-1].stop if pools else 0
    shown: Mapping[str, tuple[float, type]] = {
        "ready": (True, np.bool_),
        "in_flight": (0, np.int32),
        "running": (0, np.int32),
        "waiting": (0, np.int32),
        "max_running": (32, np.int32),
        "kv_used": (0.0, np.float64),
        "age_s": (0.0, np.float64),
    }
    columns = {name: _column(arrays.get(name, [default]), size, kind) for name, (default, kind) in shown.items()}
    replica_ids = tuple(ids) or tuple(
        f"{pool.name}-{row - pool.start}" for pool in pools for row in range(pool.start, pool.stop)
    )
    return Fleet(version, tuple(pools), replica_ids, **columns)


def _column(values: Sequence[float], size: int, kind: type) -> NDArray[Any]:
    column: NDArray[Any] = np.array(np.broadcast_to(np.array(values, dtype=kind), size))
    column.flags.writeable = False
    return column
