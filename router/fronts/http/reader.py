"""Bytes of one connection → whole requests, under limits. Raises Refusal where a peer breaks the protocol or a limit.

llhttp (through httptools) reads strictly; what it lets through and two readers could take differently is refused here.
"""

from typing import Protocol

import httptools

from router.fronts.http.message import HttpRequest, Refusal, ServerLimits, path_of

# More than one of these makes a request ambiguous.
_SINGLE = frozenset((b"content-length", b"transfer-encoding", b"host", b"authorization", b"content-type", b"expect"))


class Listener(Protocol):
    """Told as a request takes shape."""

    def request_begins(self) -> None: ...

    def head_complete(self) -> None: ...

    def request_complete(self, request: HttpRequest) -> None: ...


class RequestReader:
    """One per connection.

    receiving       a request has begun and is not whole
    in_head         its headers are not whole
    owes_continue   its peer waits for "100 Continue" before it sends the body
    over            the peer asked to close after its last request: nothing that follows counts
    """

    def __init__(self, listener: Listener, limits: ServerLimits) -> None:
        self.receiving = False
        self.in_head = False
        self.owes_continue = False
        self.over = False
        self._listener = listener
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self._fault: Refusal | None = None
        self._replaying = False
        self._method = b""
        self._keep_alive = self._modern = False
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._header_count = 0
        self._head_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0

    def feed(self, data: bytes) -> None:
        """Takes what arrived; tells the listener of each request it completes. Raises Refusal."""
        head_before = self.in_head
        rest = data
        while rest and not self.over:
            rest = self._parse(rest)
        # The parser holds back a header until it is whole: one without an end would grow for ever.
        if head_before and self.in_head:
            self._count_head(len(data))

    # What the parser calls. What these raise reaches `feed` as an HttpParserError.

    def on_message_begin(self) -> None:
        if self._replaying:
            return
        self.receiving = self.in_head = True
        self.owes_continue = False
        self._url = b""
        self._headers = {}
        self._header_count = self._head_bytes = self._body_bytes = 0
        self._body = []
        self._listener.request_begins()

    def on_url(self, url: bytes) -> None:
        if self._replaying:
            return
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        if self._header_count > self._limits.max_headers:
            self._refuse(431, "the request has too many headers")
        self._count_head(len(name) + len(value))
        if not self.in_head:
            return  # a trailer, or a head read again: nothing that we read is sent there
        name = name.lower()
        if name in self._headers:
            if name in _SINGLE:
                self._refuse(400, f"the header {name.decode('latin-1')} appears twice")
            value = self._headers[name] + b", " + value
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        if self._replaying:
            self._replaying = False
            return
        self.in_head = False
        self._method = self._parser.get_method()
        self._keep_alive = self._parser.should_keep_alive()
        self._modern = self._parser.get_http_version() == "1.1"
        self._check_framing()
        expect = self._headers.get(b"expect")
        if expect is not None and expect.lower() != b"100-continue":
            self._refuse(417, "the only expectation served is 100-continue")
        self.owes_continue = expect is not None and self._modern
        self._listener.head_complete()

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > self._limits.max_body_bytes:
            self._refuse(413, f"the body is larger than {self._limits.max_body_bytes} bytes")
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade() and self._has_body():
            return  # the parser takes the body for another protocol: see `_decline`
        self.receiving = self.owes_continue = False
        self.over = not self._keep_alive
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        try:
            target = path_of(self._url)
        except Refusal as fault:
            self._fault = fault
            raise
        method = self._method.decode("latin-1")
        self._listener.request_complete(HttpRequest(method, target, self._headers, body, self._keep_alive, self._modern))

    # Inside.

    def _parse(self, data: bytes) -> bytes:
        """Returns what has to be read again, if anything."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            return self._decline() + data[offer.args[0] :]
        except httptools.HttpParserError as error:
            if not self.over:
                raise self._fault or Refusal(400, "malformed HTTP request") from error
        return b""

    def _decline(self) -> bytes:
        """An offer to upgrade is ignored, as HTTP allows, and what follows is HTTP/1.1 still: a fresh parser reads on. A body
        that is due comes next (Java's client offers h2c with each POST), so that parser is told its framing first."""
        self._parser = httptools.HttpRequestParser(self)
        if not self.receiving:
            return b""
        self._replaying = True
        framing = b"content-length" if b"content-length" in self._headers else b"transfer-encoding"
        return b"POST / HTTP/1.1\r\n%b: %b\r\n\r\n" % (framing, self._headers[framing])

    def _has_body(self) -> bool:
        return b"transfer-encoding" in self._headers or self._headers.get(b"content-length", b"0").strip(b"0") != b""

    def _refuse(self, status: int, message: str) -> None:
        # The parser wraps what its callbacks raise, so `feed` finds the refusal here.
        self._fault = Refusal(status, message)
        raise self._fault

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.max_head_bytes:
            self._refuse(431, f"the request's headers are larger than {self._limits.max_head_bytes} bytes")

    def _check_framing(self) -> None:
        """Where two readers could disagree on where a request ends, it is refused (RFC 9112, section 6.3)."""
        headers, version = self._headers, self._parser.get_http_version()
        if self._method == b"CONNECT":
            self._refuse(400, "this is not a proxy")
        if version not in ("1.0", "1.1"):
            self._refuse(505, "HTTP/1.1 is served here")
        if version == "1.1" and b"host" not in headers:
            self._refuse(400, "the header host is missing")
        coding, length = headers.get(b"transfer-encoding"), headers.get(b"content-length")
        if coding is not None and (coding.lower() != b"chunked" or length is not None or version == "1.0"):
            self._refuse(400, "a body has either content-length or transfer-encoding: chunked")
        if length is not None and not length.isdigit():
            self._refuse(400, "content-length is not a number")
        if length is not None and int(length) > self._limits.max_body_bytes:
            self._refuse(413, f"the body is larger than {self._limits.max_body_bytes} bytes")
