"""One gRPC channel per worker address, shared by everything that calls it, closed some time after its worker has left.

Owns the channels and the tasks that close them; knows nothing of calls.
"""

import asyncio
from collections.abc import Iterable

import grpc

# A host that vanished without a word is noticed within about 10 s: a ping after 6 s of silence, 4 s to answer it.
# The message limit is above the largest prompt the fronts take.
OPTIONS: tuple[tuple[str, int], ...] = (
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
    """Used on one event loop. Answers that still stream from a worker that left have `grace_s` to end."""

    def __init__(self, grace_s: float = 600.0) -> None:
        self._grace_s = grace_s
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def get(self, address: str) -> grpc.aio.Channel:
        """The channel to this address; it connects on its first call. Don't close it."""
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = grpc.aio.insecure_channel(address, options=OPTIONS)
        return channel

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
        task = asyncio.get_running_loop().create_task(self._channels.pop(address).close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Ends every call that is still open."""
        for timer in self._leaving.values():
            timer.cancel()
        self._leaving.clear()
        channels, self._channels = tuple(self._channels.values()), {}
        await asyncio.gather(*self._closing, *(channel.close() for channel in channels))
