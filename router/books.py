"""What the router remembers of requests that ended: figures for metrics, and for a while which pool answered which request."""

import logging
from collections import OrderedDict

from router.errors import NotFound, ReplicaLost
from router.fleet.loads import LoadCounts
from router.metrics import Metrics
from router.picking.pipeline import Pick
from router.request import Finished, Request
from router.snapshot import Pool, Tenant

REMEMBERED = 10_000

log = logging.getLogger(__name__)


class Books:
    """The ledger that dispatch writes to."""

    def __init__(self, metrics: Metrics, loads: LoadCounts) -> None:
        self._metrics = metrics
        self._loads = loads
        self._answered: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def started(self) -> None:
        self._metrics.started()

    def arrived(self, pool: str) -> None:
        self._loads.arrived(pool)

    def finished(self, request: Request, tenant: Tenant, finished: Finished) -> None:
        self._answered[request.id] = (finished.decision.pool, tenant.name)
        if len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)
        self._metrics.finished(finished, tenant.name, request.model, streaming=request.stream)
        # Choices of one request are produced side by side.
        later_tokens = finished.usage.completion_tokens / request.n - 1
        tpot_s = (finished.total_s - finished.ttft_s) / later_tokens if later_tokens > 0 else 0.0
        self._loads.answered(finished.decision.pool, finished.ttft_s, tpot_s)

    def failed(self, request: Request, tenant: Tenant, code: str) -> None:
        self._metrics.failed(code, tenant.name, request.model)

    def decided(self, seconds: float) -> None:
        self._metrics.decided(seconds)

    def resumed(self, request: Request, pool: Pool, pick: Pick, lost: ReplicaLost) -> None:
        log.warning("request %s: lost replica %s, trying another: %.200s", request.id, pick.replica_id, lost)
        self._metrics.resumed(pool.name)

    def ended(self) -> None:
        self._metrics.ended()

    def judged(self, request_id: str, score: float, label: str, tenant: Tenant) -> str:
        """Counts a caller's verdict; returns the pool it was about. Raises NotFound for what this tenant did not ask lately."""
        pool, asker = self._answered.get(request_id, ("", ""))
        if asker != tenant.name:
            raise NotFound("no request of this id was answered by this router lately", param="request_id")
        self._metrics.judged(pool, score, label)
        return pool
