"""Filter → score → pick over the rows of one pool. Pure: the snapshot and the random source are arguments.

Owns the order of the steps, the weights, the clamping and the reason. It remembers one thing between calls, the hashed
replica ids of the newest topology, which depends on nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

import numpy as np

from router.errors import NoReplica, Rejected
from router.picking.plugin import Ask, Candidates, Filter, Picker, Scorer
from router.snapshot import Flags, Fleet, Floats, Pool

__all__ = ["Ask", "Part", "Pick", "Pipeline"]

# Waited out by one mean short answer; the caller adds jitter.
_RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Part:
    """One scorer, by its configured name. `weight` counts relative to the other scorers'."""

    name: str
    weight: float
    scorer: Scorer


@dataclass(frozen=True, slots=True)
class Pick:
    """The replica taken. `row` counts in the fleet's arrays. `parts` is what each scorer gave it, 0 to 1, unweighted."""

    row: int
    replica_id: str
    matched_blocks: int
    reason: str
    score: float = 0.0
    parts: tuple[tuple[str, float], ...] = ()


class Pipeline:
    """Built by `registry.build_pipeline`. One per router; any number of pools."""

    def __init__(self, filters: Sequence[Filter], parts: Sequence[Part], picker: Picker) -> None:
        self._filters = tuple(filters)
        self._parts = tuple(parts)
        self._picker = picker
        self._names = tuple(part.name for part in parts)
        self._weights = np.array([part.weight for part in parts], dtype=np.float64)
        self._replica_ids: tuple[str, ...] = ()
        self._identity = np.zeros(0, dtype=np.uint64)

    def pick(self, ask: Ask, pool: Pool, fleet: Fleet, excluded: frozenset[str], rng: Random) -> Pick | None:
        """The replica of the pool that should serve the request; None where none may (`refusal` says why)."""
        rows = self._candidates(ask, pool, fleet, excluded)
        eligible = self._eligible(rows)
        count = np.count_nonzero(eligible)
        if not count:
            return None
        scores, weight = self._scores(rows, eligible)
        totals = self._weights.dot(scores)
        if count < len(totals):
            totals[~eligible] = -np.inf
        at = self._picker.pick(totals, rng)
        score = totals.item(at) / weight if weight else 0.0
        matched = ask.matched_blocks.item(at)
        reason = f"prefix {matched}/{len(ask.chain)} blocks, load {rows.load.item(at):.0f}, score {score:.2f}, of {count}"
        parts = tuple(zip(self._names, scores[:, at].tolist(), strict=True))
        row = pool.start + at
        return Pick(row, fleet.replica_ids[row], matched, reason, score, parts)

    def refusal(self, ask: Ask, pool: Pool, fleet: Fleet, excluded: frozenset[str]) -> Rejected | NoReplica:
        """Why `pick` found nobody: Rejected where replicas are there but full, else NoReplica. Both may be tried again."""
        rows = self._candidates(ask, pool, fleet, excluded)
        left = np.ones(len(rows.replica_ids), dtype=np.bool_)
        if not len(left):
            return NoReplica(f"pool {pool.name} has no replicas", retry_after_s=_RETRY_AFTER_S)
        for each in self._filters:
            before = np.count_nonzero(left)
            kept = each.keep(rows)
            left = left if kept is None else left & kept
            if not np.count_nonzero(left):
                all_of = f"all {before}" if before == len(left) else f"the other {before} of {len(left)}"
                text = f"pool {pool.name}: {all_of} replicas are {each.why}"
                return (Rejected if each.is_overload else NoReplica)(text, retry_after_s=_RETRY_AFTER_S)
        return NoReplica(f"pool {pool.name}: a replica came back just now", retry_after_s=0.0)

    def _candidates(self, ask: Ask, pool: Pool, fleet: Fleet, excluded: frozenset[str]) -> Candidates:
        if fleet.replica_ids is not self._replica_ids:
            self._renew(fleet.replica_ids)
        rows = pool.rows
        waiting = fleet.waiting[rows]
        return Candidates(
            ask=ask,
            replica_ids=fleet.replica_ids[rows],
            identity=self._identity[rows],
            excluded=excluded,
            ready=fleet.ready[rows],
            load=np.maximum(fleet.in_flight[rows], fleet.running[rows] + waiting).astype(np.float64),
            waiting=waiting,
            max_running=fleet.max_running[rows],
            kv_used=fleet.kv_used[rows],
            age_s=fleet.age_s[rows],
        )

    def _renew(self, replica_ids: tuple[str, ...]) -> None:
        if replica_ids != self._replica_ids:
            digests = b"".join(blake2b(name.encode(), digest_size=8).digest() for name in replica_ids)
            self._identity = np.frombuffer(digests, dtype="<u8").astype(np.uint64)
        self._replica_ids = replica_ids

    def _eligible(self, rows: Candidates) -> Flags:
        eligible: Flags | None = None
        for each in self._filters:
            kept = each.keep(rows)
            if kept is not None:
                eligible = kept if eligible is None else eligible & kept
        return np.ones(len(rows.load), dtype=np.bool_) if eligible is None else eligible

    def _scores(self, rows: Candidates, eligible: Flags) -> tuple[Floats, float]:
        """One row per scorer, clamped, and the weight of those that had something to say."""
        scores = np.empty((len(self._parts), len(rows.load)))
        weight = 0.0
        for at, part in enumerate(self._parts):
            said = part.scorer.score(rows, eligible)
            if said is None:
                scores[at] = 0.0
            else:
                scores[at] = said
                weight += part.weight
        # fmax and fmin prefer the number where one side is NaN.
        np.fmax(scores, 0.0, out=scores)
        np.fmin(scores, 1.0, out=scores)
        return scores, weight
