"""headgate.v1.Worker around one engine: decode, hand over, encode, release. It knows gRPC; the engine does not.

A call that ends, however it ends, has left the engine before the call is over: upstream streams are closed in `aclosing`, and
what was counted is given back in `finally`, without awaiting.
"""

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import NoReturn

import grpc

from headgate.v1 import worker_pb2 as wire
from headgate.v1 import worker_pb2_grpc
from workers import codec
from workers.engine import Delta, Embeds, Engine, EngineBusy, EngineFailed, Generation, InvalidGeneration
from workers.merging import merged
from workers.preemption import Preempted, Preemptions, Running
from workers.stats import LEAST_INTERVAL_S, LONGEST_INTERVAL_S, USUAL_INTERVAL_S, StateFeed

_log = logging.getLogger(__name__)
_LONGEST_PARAM = 100
_LONGEST_DETAILS = 1000  # status and details travel in one header block, which clients bound
Context = grpc.aio.ServicerContext[object, object]


class WorkerService(worker_pb2_grpc.WorkerServicer):
    """One engine's public face. `models` are the names it answers to; `enter` tells everyone of a new phase."""

    def __init__(
        self,
        engine: Engine,
        models: Sequence[str],
        feed: StateFeed,
        enter: Callable[[wire.WorkerPhase], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._models = frozenset(models)
        self._feed = feed
        self._enter = enter
        self.engine_failed = asyncio.Event()  # set whenever the engine says that it failed; cleared by who looks after it
        self._preemptions = Preemptions()
        self._idle = asyncio.Event()
        self._idle.set()

    async def Generate(  # noqa: N802 - the wire's name
        self, request: wire.WorkerGenerateRequest, context: Context
    ) -> AsyncGenerator[wire.WorkerGenerateResponse, None]:
        await self._admit(request.model, context)
        try:
            generation = codec.generation(request)
        except InvalidGeneration as fault:
            await _refuse(context, fault)
        running = self._preemptions.enter(generation.request_id)
        self._begin()
        try:
            answer = self._answer(generation, running)
            if request.merge_ms:
                answer = merged(answer, request.merge_ms / 1000, asyncio.get_running_loop().time)
            async with aclosing(answer) as messages:
                async for message in messages:
                    yield message
        except Exception as fault:  # noqa: BLE001 - the edge: each sort is told to the caller in its own way, or logged
            await self._fail(fault, context)
        finally:
            self._preemptions.leave(running)
            self._end()

    async def Embed(self, request: wire.EmbedRequest, context: Context) -> wire.EmbedResponse:  # noqa: N802
        await self._admit(request.model, context)
        if not isinstance(self._engine, Embeds) or not self._feed.sample().embeddings:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this worker's engine makes no embeddings")
        self._begin()
        try:
            dimensions = request.dimensions if request.HasField("dimensions") else None
            vectors, prompt_tokens = await self._engine.embed(codec.texts(request), dimensions)
        except Exception as fault:  # noqa: BLE001 - as in Generate
            await self._fail(fault, context)
        finally:
            self._end()
        return wire.EmbedResponse(
            vectors=[wire.EmbedResponse.Vector(values=vector) for vector in vectors], prompt_tokens=prompt_tokens
        )

    async def Watch(  # noqa: N802
        self, request: wire.WatchRequest, context: Context
    ) -> AsyncGenerator[wire.WorkerState, None]:
        asked_s = request.min_interval_ms / 1000 or USUAL_INTERVAL_S
        async with aclosing(self._feed.watch(min(max(asked_s, LEAST_INTERVAL_S), LONGEST_INTERVAL_S))) as states:
            async for state in states:
                yield state

    async def Preempt(self, request: wire.PreemptRequest, context: Context) -> wire.PreemptResponse:  # noqa: N802
        return wire.PreemptResponse(found=self._preemptions.preempt(request.request_id))

    async def Drain(self, request: wire.DrainRequest, context: Context) -> wire.DrainResponse:  # noqa: N802
        if not 0 <= request.grace_s < float("inf"):
            await _refuse(context, InvalidGeneration("grace_s must be a number of seconds, 0 or more", "grace_s"))
        return wire.DrainResponse(still_running=await self.drain(request.grace_s))

    async def drain(self, grace_s: float) -> int:
        """Takes nothing new from now on; returns when the last call has ended or the grace is over, with how many still run."""
        await self._enter(wire.WORKER_PHASE_DRAINING)
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            pass  # the answer says how many are left
        return self._feed.active

    def preempt_all(self) -> None:
        """Ends every answer with ABORT: their routers continue them elsewhere."""
        self._preemptions.preempt_all()

    async def _answer(self, generation: Generation, running: Running) -> AsyncGenerator[wire.WorkerGenerateResponse, None]:
        """The answer's messages; the last one has the totals."""
        completion = drafted = accepted = 0
        async with aclosing(self._engine.generate(generation)) as deltas:
            while True:
                try:
                    delta = await running.uninterrupted(deltas)
                except Preempted:
                    delta = Delta(finish_reason="abort")
                completion += len(delta.token_ids)
                drafted += delta.draft_tokens
                accepted += delta.accepted_tokens
                message = codec.response(delta)
                if delta.finish_reason is not None:
                    message.finish.CopyFrom(codec.finish(delta.finish_reason, delta.stop_reason))
                    counted = completion + len(generation.resume_token_ids)
                    message.finish.completion_tokens = counted if delta.completion_tokens is None else delta.completion_tokens
                    message.finish.draft_tokens = drafted
                    message.finish.accepted_tokens = accepted
                    yield message
                    return
                yield message

    async def _admit(self, model: str, context: Context) -> None:
        phase = self._feed.phase
        if phase != wire.WORKER_PHASE_READY:
            state = {wire.WORKER_PHASE_STARTING: "starting", wire.WORKER_PHASE_DRAINING: "draining"}.get(phase, "broken")
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"this worker is {state}")
        if model not in self._models:
            await context.abort(grpc.StatusCode.NOT_FOUND, "this worker does not serve that model")

    def _begin(self) -> None:
        self._feed.begin()
        self._idle.clear()

    def _end(self) -> None:
        self._feed.end()
        if not self._feed.active:
            self._idle.set()

    async def _fail(self, fault: Exception, context: Context) -> NoReturn:
        """Tells the caller what went wrong, in gRPC's words."""
        if isinstance(fault, InvalidGeneration):
            await _refuse(context, fault)
        if isinstance(fault, EngineBusy):
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(fault) or "the engine takes no more requests now")
        if isinstance(fault, EngineFailed):
            self.engine_failed.set()
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the engine failed: {fault}")
        if isinstance(fault, grpc.aio.AbortError):
            raise fault
        # Where it happened, not what it said: an exception's text may quote a prompt.
        where = "".join(traceback.format_tb(fault.__traceback__))
        _log.error("a call failed in a way nobody foresaw: %s\n%s", type(fault).__name__, where)
        await context.abort(grpc.StatusCode.INTERNAL, f"the worker failed unexpectedly ({type(fault).__name__})")


async def _refuse(context: Context, fault: InvalidGeneration) -> NoReturn:
    """Names the field where its name can be said in a header: a parameter's name is the caller's own text."""
    sayable = fault.param.isascii() and fault.param.isprintable() and 0 < len(fault.param) <= _LONGEST_PARAM
    metadata = (("x-headgate-param", fault.param),) if sayable else ()
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, fault.message[:_LONGEST_DETAILS], metadata)
