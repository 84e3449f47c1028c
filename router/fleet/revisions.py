"""What is counted of each revision of a pool, so that a bad change shows. Only counts: no clock, no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass

from router.fleet.specs import PoolSpec, Report


@dataclass(slots=True)
class RevisionCount:
    """Since this router began; nothing here ever falls.

    requests   given to replicas of the revision
    errors     lost by a replica of it, through its own fault
    prefix_*   tokens that its replicas looked up in their prefix caches and found there, since this router first heard of each
    """

    requests: int = 0
    errors: int = 0
    prefix_query_tokens: int = 0
    prefix_hit_tokens: int = 0

    def heard(self, before: Report | None, now: Report) -> None:
        """Adds what happened between two reports of one replica. A process that was replaced counts from nothing."""
        if before is None:
            return
        if before.incarnation != now.incarnation:
            queried, hit = now.prefix_query_tokens_total, now.prefix_hit_tokens_total
        else:
            queried = now.prefix_query_tokens_total - before.prefix_query_tokens_total
            hit = now.prefix_hit_tokens_total - before.prefix_hit_tokens_total
        if queried > 0:
            self.prefix_query_tokens += queried
        if hit > 0:
            self.prefix_hit_tokens += hit


class RevisionCounts:
    """The counts of all revisions, by pool and revision. They stay while the pool stays, so that one which returns goes on."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], RevisionCount] = {}

    def of(self, pool: str, revision: str) -> RevisionCount:
        """The count to write to."""
        return self._counts.setdefault((pool, revision), RevisionCount())

    def keep(self, pools: Iterable[PoolSpec]) -> None:
        """Forgets pools that have left."""
        names = {pool.name for pool in pools}
        self._counts = {key: count for key, count in self._counts.items() if key[0] in names}

    def in_use(self, pool: PoolSpec) -> dict[str, RevisionCount]:
        """Those that the pool has replicas of now."""
        return {replica.revision: self.of(pool.name, replica.revision) for replica in pool.replicas}
