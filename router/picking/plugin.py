"""What a picking plug-in sees and what it must offer.

A plug-in is a frozen dataclass: its fields are its parameters, its one method is the arithmetic. It looks at all rows of one
pool at once and must not loop over them. Names, weights, clamping and reasons belong to the pipeline.
"""

from dataclasses import dataclass
from random import Random
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from router.snapshot import Flags, Floats, Ints


@dataclass(frozen=True, slots=True)
class Ask:
    """What one request brings to the choice of a replica. `matched_blocks` has one entry per row of the pool (prefix_index)."""

    chain: tuple[int, ...]
    matched_blocks: Ints
    session: str = ""
    request_id: str = ""


@dataclass(slots=True)
class Candidates:
    """The rows of one pool, as plug-ins see them: one entry per replica, read only.

    Not frozen only because making a frozen one takes five times as long; nobody writes to it.

    load          requests at the replica: our own in flight, or what it reported, whichever is more
    identity      a 64-bit number per replica, the same in every router process
    excluded      replicas that already failed this request
    The other arrays are slices of `snapshot.Fleet`.
    """

    ask: Ask
    replica_ids: tuple[str, ...]
    identity: NDArray[np.uint64]
    excluded: frozenset[str]
    ready: Flags
    load: Floats
    waiting: Ints
    max_running: Ints
    kv_used: Floats
    age_s: Floats


class Filter(Protocol):
    """`why` is said of the replicas it left out; `is_overload` makes "come back later" of an empty result."""

    why: ClassVar[str]
    is_overload: ClassVar[bool]

    def keep(self, rows: Candidates) -> Flags | None:
        """True where the replica may serve the request; None keeps all."""
        ...


class Scorer(Protocol):
    def score(self, rows: Candidates, eligible: Flags) -> Floats | None:
        """0 (worst) to 1 per replica; the pipeline clamps, and reads NaN as 0. None: nothing to say on this request.

        Only rows where `eligible` is set can be picked; the others may hold anything.
        """
        ...


class Picker(Protocol):
    def pick(self, totals: Floats, rng: Random) -> int:
        """The row to take. Rows that may not be taken hold -inf; at least one row holds a total of 0 or more."""
        ...
