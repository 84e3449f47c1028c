"""What the router remembers of requests that ended: figures for metrics, and for a while which pool answered which request, so
that its caller can judge it later.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from router.errors import InvalidRequest, NotFound, ReplicaLost
from router.fleet.loads import LoadCounts
from router.metrics import Metrics
from router.picking.pipeline import Pick
from router.request import Embedding, Finished, Request
from router.snapshot import Pool, Tenant
from router.verdict import Verdict

REMEMBERED = 10_000

# What learns from verdicts, by the traces that came with the answers.
OnFeedback = Callable[[object, float, float], None]  # trace, score, weight
OnPreference = Callable[[object, object], None]  # traces of the better and of the worse answer
OnRevision = Callable[[object, float, float], None]  # trace, score, and the score that it replaces

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Answered:
    """`trace` is whatever the learner needs to know of the decision; it hears nothing of answers without one. An answer teaches
    one score and one preference, however often it is judged.
    """

    pool: str
    trace: object | None
    verdict: Verdict | None = None
    score_taught: float | None = None
    preference_taught: bool = False


@dataclass(frozen=True, slots=True)
class _Learner:
    on_feedback: OnFeedback
    on_preference: OnPreference
    on_revision: OnRevision | None


class Books:
    """The ledger that dispatch writes to."""

    def __init__(self, metrics: Metrics, loads: LoadCounts) -> None:
        self._metrics = metrics
        self._loads = loads
        # Callers choose ids, so two tenants may have one in common.
        self._answered: OrderedDict[tuple[str, str], _Answered] = OrderedDict()
        self._learner: _Learner | None = None

    def learn_with(self, on_feedback: OnFeedback, on_preference: OnPreference, on_revision: OnRevision | None = None) -> None:
        """From now on verdicts are told to these. Without `on_revision`, a second score of an answer teaches nothing."""
        self._learner = _Learner(on_feedback, on_preference, on_revision)

    def started(self) -> None:
        self._metrics.started()

    def arrived(self, pool: str) -> None:
        self._loads.arrived(pool)

    def finished(self, request: Request, tenant: Tenant, finished: Finished, trace: object | None = None) -> None:
        """`trace` is kept for verdicts on this answer."""
        key = (tenant.name, request.id)
        # An id that comes again stands for the newer answer.
        self._answered[key] = _Answered(finished.decision.pool, trace)
        self._answered.move_to_end(key)
        if len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)
        self._metrics.finished(finished, tenant.name, request.model, streaming=request.stream)
        # Choices of one request are produced side by side.
        later_tokens = finished.usage.completion_tokens / request.n - 1
        tpot_s = (finished.total_s - finished.ttft_s) / later_tokens if later_tokens > 0 else 0.0
        self._loads.answered(finished.decision.pool, finished.ttft_s, tpot_s)

    def embedded(self, tenant: Tenant, found: Embedding) -> None:
        self._metrics.embedded(found, tenant.name)

    def escalated(self, from_pool: str, to_pool: str) -> None:
        """A cascade went on: the first pool's answer was not good enough."""
        self._metrics.escalated(from_pool, to_pool)

    def failed(self, request: Request, tenant: Tenant, code: str) -> None:
        self._metrics.failed(code, tenant.name, request.model)

    def decided(self, seconds: float) -> None:
        self._metrics.decided(seconds)

    def resumed(self, request: Request, pool: Pool, pick: Pick, lost: ReplicaLost) -> None:
        log.warning("request %s: lost replica %s, trying another: %.200s", request.id, pick.replica_id, lost)
        self._metrics.resumed(pool.name)

    def ended(self) -> None:
        self._metrics.ended()

    def judged(self, verdict: Verdict, tenant: Tenant) -> str:
        """Takes a caller's verdict; returns the pool it was about. A second verdict on an answer replaces the first. Raises
        NotFound for what this tenant did not ask lately, InvalidRequest for a preference of an answer over itself.
        """
        answer, other = self._own(verdict.request_id, tenant, "request_id"), None
        if verdict.better_than:
            other = self._own(verdict.better_than, tenant, "better_than")
        if other is answer:
            raise InvalidRequest("an answer can't be better than itself", param="better_than")
        before, answer.verdict = answer.verdict, verdict
        if before is None:
            self._metrics.judged(answer.pool, verdict.worth, verdict.label)
        elif before != verdict:
            self._metrics.rejudged(answer.pool)
        if self._learner is not None:
            _teach(self._learner, answer, other, verdict.worth)
        return answer.pool

    def _own(self, request_id: str, tenant: Tenant, param: str) -> _Answered:
        answer = self._answered.get((tenant.name, request_id))
        if answer is None:
            raise NotFound("no request of this id was answered by this router lately", param=param)
        return answer


def _teach(learner: _Learner, answer: _Answered, loser: _Answered | None, score: float | None) -> None:
    if answer.trace is None:
        return
    if score is not None and score != answer.score_taught:
        if answer.score_taught is None:
            learner.on_feedback(answer.trace, score, 1.0)
        elif learner.on_revision is not None:
            learner.on_revision(answer.trace, score, answer.score_taught)
        answer.score_taught = score
    if loser is not None and loser.trace is not None and not answer.preference_taught:
        learner.on_preference(answer.trace, loser.trace)
        answer.preference_taught = True
