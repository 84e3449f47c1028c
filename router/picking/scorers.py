"""How good each replica is for a request, 0 to 1. Scores are absolute, so that adding a replica does not move the others'.

Defaults are tuned together (see tests/router/picking/test_herding.py): a replica that holds the whole prompt is worth about
five requests more than elsewhere, then the prefix is read again on an emptier replica, which holds it from there on.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated

import numpy as np
from pydantic import Field

from router.picking.plugin import Candidates
from router.picking.prefix_index import ENDS
from router.snapshot import Flags, Floats

_BYTES_BY_BLOCKS = np.array((0, *ENDS), dtype=np.float64)

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class InFlight:
    """Few requests at the replica. Halves at `half_at` requests."""

    half_at: Positive = 8.0

    def score(self, rows: Candidates, eligible: Flags) -> Floats | None:
        return self.half_at / (rows.load + self.half_at)


@dataclass(frozen=True)
class ShortQueue:
    """Few requests that wait for a slot there. Halves at `half_at` waiting requests."""

    half_at: Positive = 2.0

    def score(self, rows: Candidates, eligible: Flags) -> Floats | None:
        return self.half_at / (rows.waiting + np.float64(self.half_at))


@dataclass(frozen=True)
class KvFree:
    """Free KV cache."""

    def score(self, rows: Candidates, eligible: Flags) -> Floats | None:
        return 1.0 - rows.kv_used


@dataclass(frozen=True)
class PrefixAffinity:
    """Holds the beginning of the prompt. The score is the part of the prompt it holds, in bytes.

    Three rules keep it from drawing everything to one replica. A match counts only from `min_share` of the prompt on (as in
    Preble: follow the cache when it saves more than half of the work, else spread) and from `min_bytes` on (a short prompt
    is read faster than a queue moves). And it fades in proportion to the replica's load above the least loaded one, to
    nothing at `fade_requests` more.
    """

    min_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    min_bytes: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 512.0
    fade_requests: Positive = 8.0

    def score(self, rows: Candidates, eligible: Flags) -> Floats | None:
        matched = rows.ask.matched_blocks
        if not np.count_nonzero(matched):
            return None
        held_bytes = _BYTES_BY_BLOCKS.take(matched)
        whole_bytes = ENDS[len(rows.ask.chain) - 1]
        floor_bytes = max(self.min_bytes, self.min_share * whole_bytes)
        loads = rows.load[eligible]
        least = loads[loads.argmin()]
        worth = (least + self.fade_requests - rows.load) * (1.0 / (self.fade_requests * whole_bytes))
        counted: Floats = worth * held_bytes * (held_bytes >= floor_bytes)
        return counted


@dataclass(frozen=True)
class SessionAffinity:
    """The replica that a session belongs to: highest random weight (rendezvous hashing, Thaler and Ravishankar 1998).

    Every router names the same one without talking to the others, and a replica that comes or goes moves only its own share
    of the sessions.
    """

    def score(self, rows: Candidates, eligible: Flags) -> Floats | None:
        if not rows.ask.session:
            return None
        session = int.from_bytes(blake2b(rows.ask.session.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
        # The finalizer of SplitMix64: every bit of both numbers reaches every bit of the weight.
        mixed = rows.identity ^ session
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB
        mixed ^= mixed >> 31
        mixed[~eligible] = 0
        owner = np.zeros(len(mixed))
        owner[mixed.argmax()] = 1.0
        return owner
