"""What goes wrong → a gRPC status. The only place of the gRPC fronts that knows which error has which status.

text              the status message; for an invalid request it begins with the field's path
trailing metadata x-headgate-error (stable word), x-headgate-param (field), retry-after-ms, and grpc-status-details-bin with
                  google.rpc.ErrorInfo and RetryInfo for clients that read the standard form
"""

import logging
import traceback
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from router.errors import (
    AnswerLost,
    DeadlineExceeded,
    Forbidden,
    HeadgateError,
    InvalidRequest,
    NoReplica,
    NotFound,
    Rejected,
    ReplicaLost,
    Unauthenticated,
)

log = logging.getLogger(__name__)

Metadata = tuple[tuple[str, str | bytes], ...]

REQUEST_ID = "x-headgate-request-id"
# Percent-encoding triples the bytes of a status message, and peers drop metadata above 8 KiB.
LONGEST_TEXT_CHARS = 300
LONGEST_WORD_CHARS = 128

_STATUS: dict[type[HeadgateError], grpc.StatusCode] = {
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    Forbidden: grpc.StatusCode.PERMISSION_DENIED,
    NotFound: grpc.StatusCode.NOT_FOUND,
    Rejected: grpc.StatusCode.RESOURCE_EXHAUSTED,
    NoReplica: grpc.StatusCode.UNAVAILABLE,
    ReplicaLost: grpc.StatusCode.UNAVAILABLE,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    # Not UNAVAILABLE, which libraries repeat by themselves: the caller has read part of an answer and must begin anew.
    AnswerLost: grpc.StatusCode.ABORTED,
}


def status_of(error: HeadgateError) -> grpc.StatusCode:
    known = (_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    return next(known, grpc.StatusCode.INTERNAL)


def text_of(error: HeadgateError) -> str:
    """The message for the caller, bounded, with the field at fault in it."""
    if error.param is None or error.param in error.message:
        return error.message[:LONGEST_TEXT_CHARS]
    return f"{error.param[:LONGEST_WORD_CHARS]}: {error.message}"[:LONGEST_TEXT_CHARS]


def trailing_metadata(error: HeadgateError) -> Metadata:
    """Everything about the error but its status and text."""
    metadata: list[tuple[str, str | bytes]] = [("x-headgate-error", error.code)]
    if error.param is not None:
        metadata.append(("x-headgate-param", _word(error.param)))
    if error.retry_after_s is not None:
        metadata.append(("retry-after-ms", str(max(0, round(error.retry_after_s * 1e3)))))
    metadata.append(("grpc-status-details-bin", _details(error).SerializeToString()))
    return tuple(metadata)


async def refuse(context: "grpc.aio.ServicerContext[Any, Any]", error: Exception) -> NoReturn:
    """Ends the call with the status of this error. What we did not foresee is logged, and told without its inside."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    known = tuple(context.trailing_metadata() or ())
    if isinstance(error, HeadgateError):
        await context.abort(status_of(error), text_of(error), (*known, *trailing_metadata(error)))
    request_id = next((str(value) for key, value in known if key == REQUEST_ID), "none")
    # Not the exception's text: it may quote a prompt.
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("request %s: unexpected %s\n%s", request_id, type(error).__name__, frames)
    text = f"internal error; the router's log has it under request id {request_id}"
    await context.abort(grpc.StatusCode.INTERNAL, text, (*known, ("x-headgate-error", "internal")))


def _details(error: HeadgateError) -> Status:
    info = ErrorInfo(reason=error.code.upper(), domain="headgate.dev")
    if error.param is not None:
        info.metadata["param"] = error.param[:LONGEST_WORD_CHARS]
    status = Status(code=status_of(error).value[0], message=text_of(error), details=[_packed(info)])
    if error.retry_after_s is not None:
        wait = Duration()
        wait.FromMilliseconds(max(0, round(error.retry_after_s * 1e3)))
        status.details.append(_packed(RetryInfo(retry_delay=wait)))
    return status


def _packed(message: ErrorInfo | RetryInfo) -> Packed:
    packed = Packed()
    packed.Pack(message)
    return packed


def _word(text: str) -> str:
    """Metadata values are printable ASCII; a field's path may hold a name that the caller made up."""
    return "".join(char if " " <= char <= "~" else "?" for char in text[:LONGEST_WORD_CHARS])
