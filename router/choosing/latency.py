"""How long a pool's answers take, as this router has seen it, and how far that misses the pool's objectives. Pure.

One number for prefill and one for decode per pool, each an exponential mean: enough to see that a pool is too slow for this
prompt now, and cheap enough for every request. Queueing counts as one prefill for each request that waits before.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from router.snapshot import Fleet, Pool

WEIGHT = 0.05  # of the newest answer
LEAST_TOKENS = 64  # a shorter prefill takes as long


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds for each uncached prompt token, and for each token of the answer after the first."""

    prefill_s: float
    tpot_s: float

    def ttft_s(self, uncached_tokens: int, waiting: int) -> float:
        return self.prefill_s * max(uncached_tokens, LEAST_TOKENS) * (1 + waiting)


class LatencyBook:
    """One per router. `timings` is what decisions read. Pools that nobody asked lately are forgotten: one that was found slow
    would never be asked again.
    """

    def __init__(self) -> None:
        self._timings: dict[str, Timing] = {}
        self._lately: set[str] = set()

    @property
    def timings(self) -> Mapping[str, Timing]:
        return self._timings

    def answered(self, pool: str, uncached_tokens: int, ttft_s: float, tpot_s: float) -> None:
        """An answer has ended; times are the replica's own, without what the request waited for. `tpot_s` 0 where it had one
        token only.
        """
        self._lately.add(pool)
        prefill_s = ttft_s / max(uncached_tokens, LEAST_TOKENS)
        known = self._timings.get(pool)
        if known is None:
            self._timings[pool] = Timing(prefill_s, tpot_s)
            return
        decode_s = _mean(known.tpot_s, tpot_s) if tpot_s else known.tpot_s
        self._timings[pool] = Timing(_mean(known.prefill_s, prefill_s), decode_s)

    def sweep(self) -> None:
        """Forgets pools that gave no answer since the last sweep. Call it every minute or so."""
        self._timings = {name: timing for name, timing in self._timings.items() if name in self._lately}
        self._lately = set()


def _mean(old: float, new: float) -> float:
    return old + WEIGHT * (new - old) if old else new


def miss(pool: Pool, timing: Timing, ttft_s: float) -> float:
    """How far TTFT or TPOT, whichever is worse, is beyond its objective: 0 within, 1 at twice the objective and beyond."""
    late = ttft_s * 1000 / pool.ttft_ms - 1 if pool.ttft_ms else 0.0
    slow = timing.tpot_s * 1000 / pool.tpot_ms - 1 if pool.tpot_ms else 0.0
    return min(max(late, slow, 0.0), 1.0)


def least_waiting(pool: Pool, fleet: Fleet) -> int:
    """Requests that wait before the next one on the pool's emptiest ready replica; 0 where none is ready."""
    waiting = fleet.waiting[pool.rows][fleet.ready[pool.rows]]
    return int(waiting.min()) if len(waiting) else 0
