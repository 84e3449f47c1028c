"""Keeps one Worker.Watch stream to every replica and tells the store what arrives. Owns those streams and nothing else."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from random import Random

from google.protobuf.message import DecodeError

from headgate.v1 import worker_pb2 as wire
from router.fleet.backoff import Backoff
from router.fleet.channels import Channels
from router.fleet.specs import Phase, Report
from router.fleet.state_stream import Secured, StreamEnded, follow
from router.fleet.store import Endpoints, FleetStore
from router.tls import WORKER, TlsFiles

log = logging.getLogger(__name__)

WATCH = "/headgate.v1.Worker/Watch"
FRESHNESS_MS = 50
# Workers report at least every 2 s; one that is this quiet and answers no ping is gone.
SILENCE_S = 8.0

_PHASES: dict[int, Phase] = {
    wire.WORKER_PHASE_STARTING: "starting",
    wire.WORKER_PHASE_READY: "ready",
    wire.WORKER_PHASE_DRAINING: "draining",
    wire.WORKER_PHASE_FAILED: "failed",
}


class StatsWatcher:
    """Follows the store's topology: a stream for each replica in it, none for those that left, and channels likewise."""

    def __init__(
        self,
        store: FleetStore,
        channels: Channels,
        rng: Random | None = None,
        silence_s: float = SILENCE_S,
        tls: TlsFiles | None = None,
    ) -> None:
        self._store = store
        self._channels = channels
        self._tls = tls
        self._rng = rng or Random()
        self._silence_s = silence_s
        self._streams: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._closed = asyncio.Event()

    async def run(self) -> None:
        """Watches until `close` or cancellation; every stream has ended when this returns."""
        async with asyncio.TaskGroup() as tasks:
            follow_topology = partial(self._meet, tasks)
            unsubscribe = self._store.subscribe(follow_topology)
            try:
                follow_topology(self._store.endpoints)
                await self._closed.wait()
            finally:
                unsubscribe()
                self._end(frozenset(self._streams))

    def close(self) -> None:
        """Ends `run`."""
        self._closed.set()

    def _meet(self, tasks: asyncio.TaskGroup, endpoints: Endpoints) -> None:
        self._end(self._streams.keys() - endpoints)
        for endpoint in endpoints - self._streams.keys():
            self._streams[endpoint] = tasks.create_task(self._watch(*endpoint), name=f"watch {endpoint[0]}")
        self._channels.keep(address for _, address in endpoints)

    def _end(self, endpoints: Iterable[tuple[str, str]]) -> None:
        for endpoint in endpoints:
            self._streams.pop(endpoint).cancel()

    async def _watch(self, replica_id: str, address: str) -> None:
        backoff = Backoff(self._rng)
        request = wire.WatchRequest(min_interval_ms=FRESHNESS_MS).SerializeToString()
        told = ""

        def heard(data: bytes) -> None:
            nonlocal told
            # A stream that was cancelled may still have bytes to deliver in this turn of the loop.
            if (replica_id, address) in self._streams:
                self._store.apply_report(replica_id, decode(data))
                backoff.reset()
                told = ""

        while True:
            why = await self._until_lost(address, request, heard)
            self._store.lost(replica_id)
            if why != told:  # once, not at every try
                log.warning("replica %s at %s: no reports: %s", replica_id, address, why)
                told = why
            await asyncio.sleep(backoff.next_s())

    async def _until_lost(self, address: str, request: bytes, heard: Callable[[bytes], None]) -> str:
        """Follows the stream for as long as it lasts; returns why it ended."""
        secured = Secured(self._tls.current().context, WORKER) if self._tls is not None else None
        try:
            await follow(address, WATCH, request, heard, self._silence_s, secured)
        except TimeoutError:
            return f"no connection within {self._silence_s:g} s"
        except (OSError, StreamEnded) as fault:
            return str(fault)
        return "ended"


def decode(data: bytes) -> Report:
    """WorkerState as a Report. Bytes that are none become one of a failed worker, so that nothing is sent there."""
    try:
        state = wire.WorkerState.FromString(data)
    except DecodeError:
        return Report(incarnation="", phase="failed")
    # Positional, in the order of both: it is read 20 times a second for each worker.
    return Report(
        state.incarnation,
        _PHASES.get(state.phase, "starting"),
        state.running,
        state.waiting,
        state.max_running,
        state.kv_used,
        state.kv_capacity_tokens,
        state.kv_block_tokens,
        state.prompt_tokens_total,
        state.output_tokens_total,
        state.prefix_query_tokens_total,
        state.prefix_hit_tokens_total,
        state.draft_tokens_total,
        state.accepted_tokens_total,
        state.preemptions_total,
        tuple(state.models),
        state.engine,
        state.simulated,
        state.embeddings,
        state.max_context_tokens,
        state.reports_token_ids,
        state.cache_clears_total,
        state.parses_tool_calls,
    )
