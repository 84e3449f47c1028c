"""Who is in the fleet, in row order, and each one's figures. Part of the store, which alone writes to it."""

import logging
from collections.abc import Callable, Sequence

from router.fleet.columns import Rows
from router.fleet.replica import Replica, believed_requests, believed_share
from router.fleet.revisions import RevisionCount
from router.fleet.specs import PoolSpec, Report

log = logging.getLogger(__name__)


class Roster:
    """Requests in flight are counted by id whatever happens to the replica, since each of them will be released by that id.

    misfits   counts replicas that were found to serve another model than their pool
    """

    def __init__(self) -> None:
        self.replicas: dict[str, Replica] = {}  # in row order
        self.ids: tuple[str, ...] = ()
        self.rows = Rows(0)
        self.misfits = 0
        self._departed: dict[str, int] = {}  # in flight on replicas that left the topology

    def place(self, pools: Sequence[PoolSpec], count_of: Callable[[str, str], RevisionCount]) -> None:
        """Gives every replica of the pools its row, carrying over what stays true. `count_of`: by pool and revision."""
        old_replicas, old_rows = self.replicas, self.rows
        self._departed |= {i: n for i, r in old_replicas.items() if (n := int(old_rows.in_flight[r.row]))}
        placed = [(pool, spec) for pool in pools for spec in pool.replicas]
        self.replicas, self.rows = {}, Rows(len(placed))
        for row, (pool, spec) in enumerate(placed):
            replica = self.replicas[spec.id] = Replica(spec, pool, row, count_of(pool.name, spec.revision))
            self.rows.in_flight[row] = self._departed.pop(spec.id, 0)
            old = old_replicas.get(spec.id)
            if old is not None and old.pool.models[0] == pool.models[0]:
                replica.told_models = old.told_models
            if old is not None and old.spec.address == spec.address and old.report is not None:
                replica.reachable, replica.meter = old.reachable, old.meter
                self.note(replica, old.report, float(old_rows.reported_s[old.row]))
        self.ids = tuple(self.replicas)

    def note(self, replica: Replica, report: Report, reported_s: float) -> None:
        """Takes what it says of itself into its row; figures that can't be are brought into range."""
        replica.report = report
        row, rows = replica.row, self.rows
        rows.running[row] = believed_requests(report.running)
        rows.waiting[row] = believed_requests(report.waiting)
        rows.max_running[row] = believed_requests(report.max_running)
        rows.kv_used[row] = believed_share(report.kv_used)
        rows.reported_s[row] = reported_s
        rows.usable[row] = replica.judge()
        if report.phase == "ready" and not replica.fits and replica.told_models != report.models:
            replica.told_models = report.models
            self.misfits += 1
            wanted = replica.pool.models[0]
            log.warning("replica %s serves %s, pool %s wants %s", replica.spec.id, report.models, replica.pool.name, wanted)

    def count(self, replica_id: str, change: int) -> int:
        """Adds to the requests in flight there; returns how many that makes. One released too many is told and does nothing."""
        replica = self.replicas.get(replica_id)
        before = self._departed.get(replica_id, 0) if replica is None else int(self.rows.in_flight[replica.row])
        count = before + change
        if count < 0:
            log.error("replica %s: more requests released than sent", replica_id)
            return 0
        if replica is not None:
            if change > 0:
                replica.count.requests += 1
            self.rows.in_flight[replica.row] = count
        elif count:
            self._departed[replica_id] = count
        else:
            self._departed.pop(replica_id, None)
        return count
