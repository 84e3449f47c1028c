"""What routers are told of this worker: its state, pushed when it changes. Owns no engine and decides nothing.

Nobody watching costs nothing. All watchers share one sample, taken at most once in a few milliseconds. While requests run each
watcher looks once per interval; a quiet worker is looked at once per heartbeat, and a new request ends the quiet at once.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from uuid import uuid4

from headgate.v1 import worker_pb2 as wire
from workers.engine import EngineInfo, EngineStats

LEAST_INTERVAL_S = 0.01
USUAL_INTERVAL_S = 0.05
LONGEST_INTERVAL_S = 60.0
# A state that did not change is sent again this often: routers tell a quiet worker from a lost one by its age.
HEARTBEAT_S = 2.0
_SHARED_S = 0.005
# An engine frees what an aborted request held a little later than the request is gone; keep looking for so long.
_SETTLE_S = 1.0


class StateFeed:
    """The worker's state for everyone who watches. `read` gives the engine's load now, `clock` seconds."""

    def __init__(self, read: Callable[[], EngineStats], clock: Callable[[], float]) -> None:
        self._read = read
        self._clock = clock
        self._fixed = wire.WorkerState(incarnation=uuid4().hex, phase=wire.WORKER_PHASE_STARTING)
        self._sampled_at = -1.0
        self._sample = self._fixed
        self._active = 0
        self._touched_at = 0.0
        self._stir = asyncio.Event()
        self._closed = False

    @property
    def active(self) -> int:
        """Calls this worker serves now."""
        return self._active

    @property
    def phase(self) -> wire.WorkerPhase:
        return self._fixed.phase

    def describe(self, info: EngineInfo, models: tuple[str, ...]) -> None:
        """What the engine said of itself once it was ready."""
        fixed = self._fixed
        del fixed.models[:]
        fixed.models.extend(models)
        fixed.engine = info.engine
        fixed.simulated = info.simulated
        fixed.embeddings = info.embeddings
        fixed.max_running = info.max_running
        fixed.kv_capacity_tokens = info.kv_capacity_tokens
        fixed.kv_block_tokens = info.kv_block_tokens
        fixed.max_context_tokens = info.max_context_tokens
        fixed.reports_token_ids = info.reports_token_ids
        fixed.parses_tool_calls = info.parses_tool_calls
        self.touch()

    def enter(self, phase: wire.WorkerPhase) -> None:
        self._fixed.phase = phase
        self.touch()

    def begin(self) -> None:
        self._active += 1
        self.touch()

    def end(self) -> None:
        self._active -= 1
        self.touch()

    def close(self) -> None:
        """Ends every watch."""
        self._closed = True
        self.touch()

    def touch(self) -> None:
        """Something may have changed: watchers that rest look again."""
        self._touched_at = self._clock()
        self._sampled_at = -1.0
        stir, self._stir = self._stir, asyncio.Event()
        stir.set()

    def sample(self) -> wire.WorkerState:
        """The state now, or as it was a few milliseconds ago. Not to be changed by the caller."""
        now = self._clock()
        if self._sampled_at < 0 or now - self._sampled_at > _SHARED_S:
            self._sample = self._state(self._read())
            self._sampled_at = now
        return self._sample

    async def watch(self, interval_s: float) -> AsyncGenerator[wire.WorkerState, None]:
        """The state now, then each time it differs, at most once per interval, and once per heartbeat in any case."""
        sent: wire.WorkerState | None = None
        sent_at = 0.0
        while not self._closed:
            stir = self._stir
            state, now = self.sample(), self._clock()
            if state != sent or now - sent_at >= HEARTBEAT_S:
                sent, sent_at = state, now
                yield state
            await asyncio.sleep(interval_s)
            if not self._active and self._clock() - self._touched_at > _SETTLE_S:
                await _either(stir, max(sent_at + HEARTBEAT_S - self._clock(), 0.0))

    def _state(self, stats: EngineStats) -> wire.WorkerState:
        state = wire.WorkerState()
        state.CopyFrom(self._fixed)
        state.running = stats.running
        state.waiting = stats.waiting
        state.kv_used = stats.kv_used
        state.prompt_tokens_total = stats.prompt_tokens_total
        state.output_tokens_total = stats.output_tokens_total
        state.prefix_query_tokens_total = stats.prefix_query_tokens_total
        state.prefix_hit_tokens_total = stats.prefix_hit_tokens_total
        state.draft_tokens_total = stats.draft_tokens_total
        state.accepted_tokens_total = stats.accepted_tokens_total
        state.preemptions_total = stats.preemptions_total
        state.cache_clears_total = stats.cache_clears_total
        return state


async def _either(stir: asyncio.Event, limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await stir.wait()
    except TimeoutError:
        return
