"""One gRPC channel per address, shared by everything that calls it, closed some time after its server has left.

Owns the channels and the tasks that close them; knows nothing of calls. All servers of one `Channels` are the same program.
"""

import asyncio
from collections.abc import Iterable

import grpc

from router.tls import Credentials, TlsFiles

# A host that vanished without a word is noticed within about 10 s: a ping after 6 s of silence, 4 s to answer it.
# The message limit is above the largest prompt the fronts take.
OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_timeout_ms", 4_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    ("grpc.enable_http_proxy", 0),
)


class Channels:
    """Used on one event loop. Answers that still stream from a server that left have `grace_s` to end.

    With `tls`, servers must prove to be `server_name`. Certificates that were renewed are used for new channels; the old ones
    go as if their servers had left, so that none of them connects again with a certificate that has expired.
    """

    def __init__(self, grace_s: float = 600.0, tls: TlsFiles | None = None, server_name: str = "") -> None:
        self._grace_s = grace_s
        self._tls = tls
        self._credentials: Credentials | None = None
        self._options = (*OPTIONS, ("grpc.ssl_target_name_override", server_name)) if tls is not None else OPTIONS
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._replaced: dict[grpc.aio.Channel, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def get(self, address: str) -> grpc.aio.Channel:
        """The channel to this address; it connects on its first call. Don't close it."""
        if self._tls is not None and self._tls.current() is not self._credentials:
            self._replace_all(self._tls.current())
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = self._open(address)
        return channel

    def _open(self, address: str) -> grpc.aio.Channel:
        if self._credentials is None:
            return grpc.aio.insecure_channel(address, options=self._options)
        return grpc.aio.secure_channel(address, self._credentials.channel, options=self._options)

    def _replace_all(self, credentials: Credentials) -> None:
        self._credentials = credentials
        loop = asyncio.get_running_loop()
        for channel in self._channels.values():
            self._replaced[channel] = loop.call_later(self._grace_s, self._drop_replaced, channel)
        self._channels.clear()
        for timer in self._leaving.values():
            timer.cancel()
        self._leaving.clear()

    def keep(self, addresses: Iterable[str]) -> None:
        """Gives the channels to all other addresses `grace_s` to go; one that is kept again by then stays."""
        kept = set(addresses)
        for address in self._leaving.keys() & kept:
            self._leaving.pop(address).cancel()
        loop = asyncio.get_running_loop()
        # Not channel.close(grace): a channel that waits so refuses calls and can't be closed any sooner.
        for address in self._channels.keys() - kept - self._leaving.keys():
            self._leaving[address] = loop.call_later(self._grace_s, self._drop, address)

    def _drop(self, address: str) -> None:
        del self._leaving[address]
        self._end(self._channels.pop(address))

    def _drop_replaced(self, channel: grpc.aio.Channel) -> None:
        del self._replaced[channel]
        self._end(channel)

    def _end(self, channel: grpc.aio.Channel) -> None:
        task = asyncio.get_running_loop().create_task(channel.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Ends every call that is still open."""
        for timer in (*self._leaving.values(), *self._replaced.values()):
            timer.cancel()
        self._leaving.clear()
        channels, self._channels = (*self._channels.values(), *self._replaced), {}
        self._replaced.clear()
        await asyncio.gather(*self._closing, *(channel.close() for channel in channels))
