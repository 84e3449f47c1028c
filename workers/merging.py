"""Several messages of one answer as one, for callers who do not read along: a message costs both ends more than its tokens.

What is held back when the worker is lost was never delivered; the router has it produced again, as it does with every token
that it has not seen.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from math import inf

from headgate.v1 import worker_pb2 as wire

Messages = AsyncGenerator[wire.WorkerGenerateResponse, None]


async def merged(messages: Messages, hold_s: float, clock: Callable[[], float]) -> Messages:
    """The first message and the last go at once; others wait until `hold_s` have passed since one went.

    No timer: what waits goes with the next message, and an engine that stalls has nothing to say anyway.
    """
    held: wire.WorkerGenerateResponse | None = None
    sent_s = -inf
    async with aclosing(messages):
        async for message in messages:
            if held is None:
                held = message
            else:
                text = held.text + message.text  # merging appends lists, but replaces strings
                held.MergeFrom(message)
                held.text = text
            now_s = clock()
            if now_s - sent_s >= hold_s or held.HasField("finish") or held.tool_calls_json:
                yield held
                held, sent_s = None, now_s
