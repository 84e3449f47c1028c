"""One HTTP request and the head of one answer, as values. Knows the protocol and nothing of what is asked."""

import traceback
from dataclasses import dataclass
from typing import Protocol

REASONS = {
    200: b"OK",
    204: b"No Content",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    417: b"Expectation Failed",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}
STATUS_LINES = {status: b"HTTP/1.1 %d %s\r\n" % (status, reason) for status, reason in REASONS.items()}
JSON = b"content-type: application/json\r\n"
NO_STORE = b"cache-control: no-store\r\n"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A whole request. Header names are lower case; repeated headers are joined with a comma.

    `target` is the path with its percent-escapes, without query and authority.
    """

    method: str
    target: str
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool
    chunked_reply: bool


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What a peer may make large or slow. Times in seconds.

    max_ahead_bytes   read past the running request before we stop reading from that connection
    max_queued        whole requests waiting behind the running one; the connection ends after them
    head_timeout_s    from the first byte of a request, or from connecting, to the end of its headers
    body_timeout_s    from the end of the headers to the end of the body
    idle_timeout_s    between two requests of one connection
    write_timeout_s   a peer that takes nothing of what we have for it
    linger_s          how long a refused peer may go on sending, so that it gets to read why
    """

    max_connections: int = 8192
    max_head_bytes: int = 32 * 1024
    max_headers: int = 100
    max_body_bytes: int = 4 * 1024 * 1024
    max_ahead_bytes: int = 64 * 1024
    max_queued: int = 16
    head_timeout_s: float = 10.0
    body_timeout_s: float = 60.0
    idle_timeout_s: float = 75.0
    write_timeout_s: float = 60.0
    linger_s: float = 2.0


class Refusal(Exception):
    """The peer broke the protocol or a limit: one last answer with this status, then the connection ends."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class FaultPage(Protocol):
    """Turns a status and a text into the JSON body of an error."""

    def __call__(self, status: int, message: str) -> bytes: ...


def described(fault: BaseException) -> str:
    """An unexpected exception for the log: its type and place, not its text, which may quote what a caller sent."""
    return f"unhandled {type(fault).__name__}\n{''.join(traceback.format_tb(fault.__traceback__))}"


def path_of(url: bytes) -> str:
    """The path of a request target in origin, absolute or asterisk form. Raises Refusal."""
    if url[:1] not in (b"/", b"*"):
        scheme, found, rest = url.partition(b"://")
        if not found or scheme.lower() not in (b"http", b"https"):
            raise Refusal(400, "the request target is not a path")
        url = b"/" + rest.partition(b"/")[2]
    return url.partition(b"?")[0].partition(b"#")[0].decode("latin-1")
