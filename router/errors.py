"""Everything that can go wrong with a request, as one small tree. Only the fronts turn these into HTTP or gRPC status.

HeadgateError
├── InvalidRequest        the caller must change the request (names the field)
├── Unauthenticated       no key, or one that nobody holds
├── Forbidden             the tenant may not use that pool
├── NotFound              no such model, pool or request id
├── Rejected              come back later: overload, limits (says when)
│   └── BudgetExhausted   the tenant's money is spent, or what is left is too little for this request
├── NoReplica             nothing can serve that pool now
├── DeadlineExceeded      the caller's own limit passed
├── AnswerLost            the answer broke off and could not be continued exactly
└── ReplicaLost           one replica failed; dispatch tries another, callers never see it
"""


class HeadgateError(Exception):
    """`code` is the stable public word; `retryable` says whether the same request may succeed if sent again."""

    code = "internal"
    retryable = False

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s


class InvalidRequest(HeadgateError):
    code = "invalid_request"


class Unauthenticated(HeadgateError):
    code = "invalid_api_key"


class Forbidden(HeadgateError):
    code = "pool_not_allowed"


class NotFound(HeadgateError):
    code = "model_not_found"


class Rejected(HeadgateError):
    code = "overloaded"
    retryable = True


class BudgetExhausted(Rejected):
    code = "budget_exceeded"


class NoReplica(HeadgateError):
    code = "no_replica"
    retryable = True


class DeadlineExceeded(HeadgateError):
    code = "deadline_exceeded"


class AnswerLost(HeadgateError):
    code = "answer_lost"
    retryable = True


class ReplicaLost(HeadgateError):
    """The replica did not answer, broke off, or asked us to go elsewhere. `at_fault` opens its circuit; a drain does not."""

    code = "replica_lost"
    retryable = True

    def __init__(self, message: str, *, at_fault: bool = True) -> None:
        super().__init__(message)
        self.at_fault = at_fault
