"""One server-streaming gRPC call on a connection of its own, for streams of whole states, where only the newest counts.

This is gRPC as any server speaks it (HTTP/2 with prior knowledge, RFC 9113), at a fifth of what grpc.aio's client costs per
message; with a state from each of 64 workers every 50 ms that decides what knowing the fleet costs
(tests/bench/fleet_state.py measures both). It is small because little is needed: one request of one message, one stream of
answers, no compression. Answers' headers are not decoded, so a status is known only as "ended". Knows nothing of workers.
"""

import asyncio
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
STREAM = 1
LARGEST_FRAME = 16_384  # we announce no other, so a server must not send more
LARGEST_MESSAGE = 4 * 1024 * 1024
WINDOW = 2**20  # bytes a server may send ahead of our updates
OUR_SETTINGS = ((0x1, 0), (0x2, 0), (0x4, WINDOW))  # no header table, no push, stream window
_HEAD = struct.Struct(">HBBBI")


class StreamEnded(Exception):
    """The call is over; the text says why. A stream of states never ends well."""


@dataclass(frozen=True, slots=True)
class Secured:
    """TLS to a server that must prove to be `server_name`. `context` offers h2 by ALPN."""

    context: ssl.SSLContext
    server_name: str


async def follow(
    address: str,
    path: str,
    request: bytes,
    on_message: Callable[[bytes], None],
    silence_s: float = 8.0,
    secured: Secured | None = None,
) -> None:
    """Calls `path` at host:port and hands each message to `on_message`; of several that arrive together, the last.

    Runs until cancelled. Raises StreamEnded when the call ends, or after `silence_s` (at most 1.5 times that) in which nothing
    was heard, not even the answer to a ping; OSError (TimeoutError among them) when there is no connection within that time, or
    none that is `secured`.
    """
    loop = asyncio.get_running_loop()
    host, _, port = address.rpartition(":")
    stream = StateStream(_hello(address, path, request, "https" if secured else "http"), on_message)
    tls: dict[str, Any] = {"ssl": secured.context, "server_hostname": secured.server_name} if secured else {}
    try:
        async with asyncio.timeout(silence_s):
            await loop.create_connection(lambda: stream, host.strip("[]"), int(port), **tls)
        while not stream.ended.done():
            heard = stream.bytes_heard
            await asyncio.wait((stream.ended,), timeout=silence_s / 2)
            if stream.bytes_heard == heard:
                stream.ping()
                await asyncio.wait((stream.ended,), timeout=silence_s / 2)
                if stream.bytes_heard == heard:
                    stream.end(f"nothing heard for {silence_s:g} s")
    finally:
        stream.end("closed by us")
    raise StreamEnded(stream.ended.result())


class StateStream(asyncio.Protocol):
    """The connection. `ended` resolves to the reason; `bytes_heard` grows with whatever the server sends."""

    def __init__(self, hello: bytes, on_message: Callable[[bytes], None]) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.bytes_heard = 0
        self._hello = hello
        self._on_message = on_message
        self._transport: asyncio.Transport | None = None
        self._frames = b""  # an incomplete frame
        self._message = b""  # an incomplete message
        self._unacknowledged = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._hello)

    def connection_lost(self, fault: Exception | None) -> None:
        self.end(str(fault) if fault else "the worker closed the connection")

    def ping(self) -> None:
        self._write(_frame(PING, 0, 0, bytes(8)))

    def end(self, reason: str) -> None:
        """Closes the connection; the first reason stays."""
        if not self.ended.done():
            self.ended.set_result(reason)
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self.bytes_heard += len(data)
        if self._frames:
            data = self._frames + data
        at, size, newest = 0, len(data), None
        while size - at >= 9:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            if length > LARGEST_FRAME:
                return self.end("the worker does not speak HTTP/2")
            end = at + 9 + length
            if end > size:
                break
            kind, flags = data[at + 3], data[at + 4]
            if kind == DATA:
                message = self._unpack(data[at + 9 : end], flags)
                newest = newest if message is None else message
            else:
                self._control(kind, flags, data[at + 9 : end])
            if flags & END_STREAM and kind in (DATA, HEADERS):
                self.end("the worker ended the stream")
            at = end
        self._frames = data[at:]
        if newest is not None:
            self._on_message(newest)
        return None

    def _unpack(self, payload: bytes, flags: int) -> bytes | None:
        """The last message that this DATA frame completes. A message: 1 byte compressed or not, 4 bytes length, then itself."""
        self._acknowledge(len(payload))
        if flags & PADDED and payload:
            payload = payload[1 : len(payload) - payload[0]]
        data = self._message + payload if self._message else payload
        newest, at, size = None, 0, len(data)
        while size - at >= 5:
            length = int.from_bytes(data[at + 1 : at + 5], "big")
            if data[at] or length > LARGEST_MESSAGE:
                self.end("the worker sent a message that is compressed or too large")
                return None
            if at + 5 + length > size:
                break
            newest = data[at + 5 : at + 5 + length]
            at += 5 + length
        self._message = data[at:]
        return newest

    def _control(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            self._write(_frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self._write(_frame(PING, ACK, 0, payload))
        elif kind == RST_STREAM:
            self.end(f"the worker reset the stream, HTTP/2 error {int.from_bytes(payload[:4], 'big')}")
        # A server that shuts down gracefully lets our stream end by itself; it is refused only if its id is not covered.
        elif kind == GOAWAY and int.from_bytes(payload[:4], "big") & 0x7FFFFFFF < STREAM:
            self.end(f"the worker refused the stream, HTTP/2 error {int.from_bytes(payload[4:8], 'big')}")

    def _acknowledge(self, received: int) -> None:
        """Lets the server send on, in large steps."""
        self._unacknowledged += received
        if self._unacknowledged > WINDOW // 2:
            credit = self._unacknowledged.to_bytes(4, "big")
            self._write(_frame(WINDOW_UPDATE, 0, 0, credit) + _frame(WINDOW_UPDATE, 0, STREAM, credit))
            self._unacknowledged = 0

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def _hello(address: str, path: str, request: bytes, scheme: str) -> bytes:
    """Everything we ever have to say, but for acknowledgements and pings."""
    headers = b"".join(
        _header(name, value)
        for name, value in (
            (":method", "POST"),
            (":scheme", scheme),
            (":path", path),
            (":authority", address),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "headgate-router"),
        )
    )
    return b"".join(
        (
            PREFACE,
            _frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *setting) for setting in OUR_SETTINGS)),
            _frame(WINDOW_UPDATE, 0, 0, (WINDOW - 65_535).to_bytes(4, "big")),
            _frame(HEADERS, END_HEADERS, STREAM, headers),
            _frame(DATA, END_STREAM, STREAM, b"\0" + len(request).to_bytes(4, "big") + request),
        )
    )


def _header(name: str, value: str) -> bytes:
    """Literal, not indexed (RFC 7541 section 6.2.2); names and values here are shorter than 127 bytes but for the address."""
    return b"\0" + _hpack_string(name) + _hpack_string(value)


def _hpack_string(text: str) -> bytes:
    raw = text.encode("ascii")
    if len(raw) < 127:
        return bytes((len(raw),)) + raw
    rest, length = len(raw) - 127, bytearray((127,))
    while rest >= 128:
        length.append(rest % 128 | 128)
        rest //= 128
    length.append(rest)
    return bytes(length) + raw


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return _HEAD.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload
