"""The wire to one worker: sends a call, yields its messages as Parts, and turns every way it can fail into our error tree.

Closing the generator cancels the call, and with it the request in the engine.
"""

import asyncio
from collections.abc import AsyncGenerator
from itertools import count
from typing import Any

import grpc

from headgate.v1 import generation_pb2 as gen
from headgate.v1 import worker_pb2 as wire
from headgate.v1.worker_pb2_grpc import WorkerStub
from router.config import Failover
from router.continuation import Call, Part
from router.errors import DeadlineExceeded, HeadgateError, InvalidRequest, NotFound, ReplicaLost
from router.fleet.channels import Channels
from router.request import (
    Alternative,
    ChatPrompt,
    EmbedCall,
    FinishReason,
    Sampling,
    TextPrompt,
    TokenLogprob,
)

# An answer that nobody reads along comes in portions: each message costs this process more than its tokens do.
MERGE_MS = 200

_FINISH: dict[int, FinishReason] = {
    gen.FINISH_REASON_STOP: "stop",
    gen.FINISH_REASON_LENGTH: "length",
    gen.FINISH_REASON_TOOL_CALLS: "tool_calls",
}
_OPTIONAL = (
    "max_tokens",
    "min_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "seed",
    "logprobs",
)


class WorkerClient:
    """Calls workers by address. Knows time-outs; knows nothing of pools, tries or other replicas."""

    def __init__(self, channels: Channels, failover: Failover) -> None:
        self._channels = channels
        self._failover = failover
        # Callers may choose request ids, so they may repeat; what an engine is told never does.
        self._serial = count()

    async def generate(self, address: str, call: Call) -> AsyncGenerator[Part, None]:
        """Streams one answer. Raises ReplicaLost, InvalidRequest or DeadlineExceeded."""
        deadline = call.request.deadline
        left_s = None if deadline is None else deadline - asyncio.get_running_loop().time()
        if left_s is not None and left_s <= 0:
            raise DeadlineExceeded("the request's time is up")
        stream = WorkerStub(self._channels.get(address)).Generate(_encode(call, next(self._serial)), timeout=left_s)
        patience_s = self._failover.first_token_s
        try:
            while True:
                async with asyncio.timeout(patience_s):
                    message = await stream.read()
                if message is grpc.aio.EOF:
                    raise ReplicaLost("the worker's stream ended before the answer did")
                if message is None:  # what grpc.aio makes of bytes that are no message
                    raise ReplicaLost("the worker sent bytes that are no message")
                yield _decode(message)
                if message.HasField("finish"):
                    return
                patience_s = self._failover.idle_s
        except TimeoutError as fault:
            raise ReplicaLost(f"no token for {patience_s:g} s") from fault
        except grpc.aio.AioRpcError as fault:
            raise _lost(fault, deadline) from fault
        finally:
            stream.cancel()

    async def embed(self, address: str, call: EmbedCall, model: str) -> tuple[tuple[tuple[float, ...], ...], int]:
        """Returns one vector per text and the prompt tokens they took. Raises as `generate` does."""
        wait_s = self._failover.embed_s
        if call.deadline is not None:
            wait_s = min(wait_s, max(call.deadline - asyncio.get_running_loop().time(), 0.001))
        request = wire.EmbedRequest(request_id=call.id, model=model, texts=call.texts, dimensions=call.dimensions)
        try:
            answer = await WorkerStub(self._channels.get(address)).Embed(request, timeout=wait_s)
        except grpc.aio.AioRpcError as fault:
            raise _lost(fault, call.deadline) from fault
        if answer is None:
            raise ReplicaLost("the worker sent bytes that are no message")
        if len(answer.vectors) != len(call.texts):
            raise ReplicaLost(f"{len(call.texts)} texts were sent and {len(answer.vectors)} vectors came back")
        return tuple(tuple(vector.values) for vector in answer.vectors), answer.prompt_tokens


def _lost(fault: grpc.aio.AioRpcError, deadline: float | None) -> HeadgateError:
    """What a failed call means to the request. The worker's own words are passed on only where the caller is at fault."""
    code, text = fault.code(), fault.details() or ""
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        fields = dict(fault.trailing_metadata() or ())
        return InvalidRequest(text, param=str(fields.get("x-headgate-param", "")) or None)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return NotFound(text or "the worker does not offer this", param="model")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and deadline is not None:
        return DeadlineExceeded("the request's time is up")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return ReplicaLost("the worker takes no more requests", at_fault=False)
    return ReplicaLost(f"{code.name}: {text}")


def _encode(call: Call, serial: int) -> wire.WorkerGenerateRequest:
    request = call.request
    message = wire.WorkerGenerateRequest(
        request_id=f"{request.id}/{call.index}/{serial}",
        model=call.model,
        sampling=_encode_sampling(call.sampling),
        resume_token_ids=call.resume_token_ids,
        tenant=request.tenant,
        cache_salt=call.cache_salt,
        priority=request.priority,
        merge_ms=0 if request.stream else MERGE_MS,
    )
    prompt = request.prompt
    if isinstance(prompt, ChatPrompt):
        message.chat.messages_json = prompt.messages_json
        message.chat.tools_json = prompt.tools_json
        message.chat.template_kwargs_json = prompt.template_kwargs_json
    elif isinstance(prompt, TextPrompt):
        message.text = prompt.text
    else:
        message.token_ids.ids.extend(prompt.ids)
    return message


def _encode_sampling(sampling: Sampling) -> gen.Sampling:
    given: dict[str, Any] = {name: value for name in _OPTIONAL if (value := getattr(sampling, name)) is not None}
    message = gen.Sampling(
        stop=sampling.stop,
        stop_token_ids=sampling.stop_token_ids,
        ignore_eos=sampling.ignore_eos,
        include_stop_in_output=sampling.include_stop_in_output,
        logit_bias=dict(sampling.logit_bias),
        extra_json=sampling.extra_json,
        **given,
    )
    if (constraint := sampling.constraint) is not None:
        if constraint.kind == "choice":
            message.choice.options.extend(constraint.value)
        elif constraint.kind == "json_object":
            message.json_object = True
        else:
            setattr(message, constraint.kind, constraint.value)
    return message


def _decode(message: wire.WorkerGenerateResponse) -> Part:
    ids, text = tuple(message.token_ids), message.text
    logprobs = tuple(map(_decode_logprob, message.logprobs)) if message.logprobs else ()
    prompt_tokens, cached_tokens = None, 0
    if message.HasField("prompt"):
        prompt_tokens, cached_tokens = message.prompt.prompt_tokens, message.prompt.cached_tokens
    if not message.HasField("finish"):
        return Part(ids, text, logprobs, prompt_tokens, cached_tokens, tool_calls_json=message.tool_calls_json)
    finish = message.finish
    reason = _FINISH.get(finish.reason)
    if reason is None:
        raise ReplicaLost("the worker ended the answer early, to have it continued elsewhere", at_fault=False)
    return Part(
        ids,
        text,
        logprobs,
        prompt_tokens,
        cached_tokens,
        reason,
        finish.stop_reason,
        finish.completion_tokens,
        message.tool_calls_json,
    )


def _decode_logprob(message: gen.TokenLogprob) -> TokenLogprob:
    top = tuple(Alternative(a.token_id, a.token, a.token_bytes, a.logprob) for a in message.top)
    return TokenLogprob(message.token_id, message.token, message.token_bytes, message.logprob, top)
