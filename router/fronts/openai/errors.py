"""The error tree as OpenAI's clients know errors: an HTTP status, headers, and `{"error": {message, type, param, code}}`."""

import math

import orjson

from router.errors import (
    AnswerLost,
    BudgetExhausted,
    DeadlineExceeded,
    Forbidden,
    HeadgateError,
    InvalidRequest,
    NoReplica,
    NotFound,
    Rejected,
    Unauthenticated,
)
from router.fronts.http.message import JSON
from router.fronts.openai.faults import NotJson

# Class → HTTP status and OpenAI's `type`. A class not listed is an internal error.
_STATUS: dict[type[HeadgateError], tuple[int, str]] = {
    NotJson: (415, "invalid_request_error"),
    InvalidRequest: (400, "invalid_request_error"),
    Unauthenticated: (401, "invalid_request_error"),
    Forbidden: (403, "permission_error"),
    NotFound: (404, "invalid_request_error"),
    # OpenAI's own word for an account without money; the code stays ours.
    BudgetExhausted: (429, "insufficient_quota"),
    Rejected: (429, "rate_limit_error"),
    NoReplica: (503, "service_unavailable_error"),
    DeadlineExceeded: (504, "timeout_error"),
    AnswerLost: (502, "server_error"),
}
_INTERNAL = (500, "server_error")
# OpenAI's clients repeat a 429 by themselves and wait no longer than this; a budget's window mostly ends later.
_LONGEST_CLIENT_WAIT_S = 60.0


def status_of(error: HeadgateError) -> int:
    return _place(error)[0]


def error_body(error: HeadgateError) -> bytes:
    """The JSON of an error, for a whole answer or as the last event of a stream."""
    status, kind = _place(error)
    if status == 500:
        return fault_page(500, "internal error")
    return _page(error.message, kind, error.param, error.code)


def error_headers(error: HeadgateError) -> bytes:
    """Content type, and when and whether to try again, in the words that OpenAI's clients obey."""
    lines = JSON + (b"x-should-retry: true\r\n" if _worth_repeating(error) else b"x-should-retry: false\r\n")
    if error.retry_after_s is not None:
        wait_s = max(error.retry_after_s, 0.0)
        lines += b"retry-after: %d\r\nretry-after-ms: %d\r\n" % (math.ceil(wait_s), round(wait_s * 1000))
    if isinstance(error, Unauthenticated):
        lines += b"www-authenticate: Bearer\r\n"
    return lines


def fault_page(status: int, message: str) -> bytes:
    """An error that is not about what was asked: the protocol, a path, an internal fault."""
    if status in (500, 503):
        return _page(message, "server_error", None, "internal" if status == 500 else "overloaded")
    return _page(message, "invalid_request_error", None, None)


def _worth_repeating(error: HeadgateError) -> bool:
    if isinstance(error, BudgetExhausted):
        return error.retry_after_s is not None and error.retry_after_s <= _LONGEST_CLIENT_WAIT_S
    return error.retryable


def _place(error: HeadgateError) -> tuple[int, str]:
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), _INTERNAL)


def _page(message: str, kind: str, param: str | None, code: str | None) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})
