from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.v1 import generation_pb2 as gen
from headgate.v1 import worker_pb2 as wire
from workers.merging import merged

Response = wire.WorkerGenerateResponse


def answer(tokens: int) -> list[Response]:
    messages = [Response(prompt=Response.PromptUsage(prompt_tokens=7, cached_tokens=2))]
    for token in range(tokens):
        logprob = gen.TokenLogprob(token_id=token, logprob=-1.0)
        messages.append(Response(token_ids=[token], text=f"{token} é", logprobs=[logprob]))
    messages[-1].finish.reason = gen.FINISH_REASON_STOP
    messages[-1].finish.completion_tokens = tokens
    return messages


async def run(messages: list[Response], hold_s: float, step_s: float) -> list[Response]:
    now = 0.0

    async def steps() -> AsyncGenerator[Response, None]:
        nonlocal now
        for message in messages:
            yield message
            now += step_s

    return [message async for message in merged(steps(), hold_s, lambda: now)]


@given(tokens=st.integers(1, 40), hold_s=st.floats(0.0, 1.0), step_s=st.floats(0.0, 0.2))
async def test_nothing_is_lost_or_out_of_order(tokens: int, hold_s: float, step_s: float) -> None:
    sent = await run(answer(tokens), hold_s, step_s)
    assert [i for message in sent for i in message.token_ids] == list(range(tokens))
    assert [p.token_id for message in sent for p in message.logprobs] == list(range(tokens))
    assert "".join(message.text for message in sent) == "".join(f"{token} é" for token in range(tokens))
    assert [message.HasField("finish") for message in sent] == [False] * (len(sent) - 1) + [True]
    assert sent[-1].finish.completion_tokens == tokens
    assert [message.HasField("prompt") for message in sent] == [True] + [False] * (len(sent) - 1)
    assert sent[0].prompt.cached_tokens == 2


@pytest.mark.parametrize(("hold_s", "messages"), [(0.0, 21), (0.1, 3), (100.0, 2)])
async def test_the_first_and_the_last_go_at_once_the_others_wait(hold_s: float, messages: int) -> None:
    assert len(await run(answer(20), hold_s, 0.01)) == messages


async def test_each_part_of_a_tool_call_goes_by_itself() -> None:
    calls = [Response(tool_calls_json=b"[1]"), Response(tool_calls_json=b"[2]"), Response(text="x")]
    sent = await run([*answer(1)[:1], *calls], 100.0, 0.0)
    assert [message.tool_calls_json for message in sent] == [b"", b"[1]", b"[2]"]


async def test_what_breaks_behind_it_breaks_through_it() -> None:
    async def broken() -> AsyncGenerator[Response, None]:
        yield Response(text="a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        [message async for message in merged(broken(), 1.0, lambda: 0.0)]
