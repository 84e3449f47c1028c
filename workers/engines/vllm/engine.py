"""vLLM in this process (`AsyncLLM`): the same class on CPU and on GPU.

vLLM schedules and computes; text, stop strings and the continuation of answers are ours (`workers/text.py`). vLLM is imported
when the engine is made ready, not before. This module must not know gRPC, nor how a router picks.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from workers.config import VllmEngine
from workers.engine import Delta, EngineFailed, EngineInfo, EngineStats, Generation
from workers.engines.vllm.start import start

if TYPE_CHECKING:
    from workers.engines.vllm.requests import Requests


class Vllm:
    """One model. `models` are the names it answers to."""

    def __init__(self, settings: VllmEngine, models: Sequence[str]) -> None:
        self._settings = settings
        self._models = tuple(models)
        self._starting: asyncio.Task[Requests] | None = None
        self._closed = False

    async def ready(self) -> EngineInfo:
        """Loads the model on the first call, in a thread of its own. Raises EngineFailed, again on every later call.

        Once vLLM's engine process has died it stays dead: this worker has to be started again.
        """
        if self._closed:
            raise EngineFailed("this engine was closed")
        if self._starting is None:
            self._starting = asyncio.create_task(_start(self._settings))
        # A caller that gives up must not end the start that others wait for.
        requests = await asyncio.shield(self._starting)
        requests.check_alive()
        return requests.info(self._models)

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        async with aclosing(self._requests().generate(generation)) as deltas:
            async for delta in deltas:
                yield delta

    async def embed(self, texts: Sequence[str], dimensions: int | None = None) -> tuple[list[list[float]], int]:
        return await self._requests().embed(texts, dimensions)

    def stats(self) -> EngineStats:
        started = self._starting
        return started.result().stats() if started is not None and _has_result(started) else EngineStats()

    async def close(self) -> None:
        """Ends what runs with the finish reason `abort`, then vLLM's processes. Waits for a start that is under way."""
        self._closed = True
        started, self._starting = self._starting, None
        if started is not None:
            await asyncio.wait([started])
            if _has_result(started):
                await started.result().close()

    def _requests(self) -> "Requests":
        if self._starting is None or not _has_result(self._starting):
            raise EngineFailed("vLLM is not running")
        return self._starting.result()


def _has_result(started: "asyncio.Task[Requests]") -> bool:
    return started.done() and not started.cancelled() and started.exception() is None


async def _start(settings: VllmEngine) -> "Requests":
    llm, counters = await asyncio.to_thread(start, settings)
    from workers.engines.vllm.requests import Requests

    return Requests(llm, counters, settings)
