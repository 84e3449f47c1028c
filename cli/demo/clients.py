"""Three ways to ask the router, as an application would: the `openai` client, plain HTTP where that is not installed, gRPC."""

import importlib.util
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from cli.demo.answer import Answer, from_openai
from cli.demo.prompts import DemoPrompt
from cli.errors import CommandError
from cli.stack.running import Endpoints
from cli.wire import channel, explain
from headgate.v1 import generation_pb2, inference_pb2, inference_pb2_grpc

_TIMEOUT_S = 300.0
# The environment's proxy can't reach this machine's own addresses.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

AskHttp = Callable[[str, DemoPrompt], Answer]


def ask(prompt: DemoPrompt, endpoints: Endpoints) -> Answer:
    """Asks and waits for the whole answer. Raises CommandError."""
    if prompt.via == "grpc":
        return ask_grpc(endpoints.grpc, prompt)
    return http_client()(endpoints.url, prompt)


def http_client() -> AskHttp:
    return ask_openai if importlib.util.find_spec("openai") else ask_plain


def ask_openai(url: str, prompt: DemoPrompt) -> Answer:
    import openai

    with (
        openai.DefaultHttpxClient(trust_env=False) as transport,
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", http_client=transport, timeout=_TIMEOUT_S, max_retries=0) as client,
    ):
        try:
            answer = client.chat.completions.create(**_body(prompt))
            chunks = [chunk.to_dict() for chunk in answer] if _streams(prompt) else [answer.to_dict()]
        except openai.OpenAIError as fault:
            raise CommandError(f"{prompt.title}: {fault}") from fault
    return _joined(prompt, chunks, "openai" + " stream" * _streams(prompt))


def ask_plain(url: str, prompt: DemoPrompt) -> Answer:
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(_body(prompt)).encode(), headers)  # noqa: S310
    try:
        with _direct.open(request, timeout=_TIMEOUT_S) as response:
            chunks = list(_events(response)) if _streams(prompt) else [json.load(response)]
    except urllib.error.HTTPError as fault:
        raise CommandError(f"{prompt.title}: status {fault.code}: {fault.read(2000).decode(errors='replace')}") from fault
    except (OSError, ValueError) as fault:
        raise CommandError(f"{prompt.title}: {fault}") from fault
    return _joined(prompt, chunks, "HTTP" + " stream" * _streams(prompt))


def ask_grpc(address: str, prompt: DemoPrompt) -> Answer:
    chat = inference_pb2.Chat(messages=[inference_pb2.ChatMessage(role="user", content=prompt.text)])
    sampling = generation_pb2.Sampling(max_tokens=prompt.max_tokens, temperature=0)
    request = inference_pb2.GenerateRequest(model=prompt.model, chat=chat, sampling=sampling)
    text, finished = "", None
    try:
        with channel(address) as connection:
            stub = inference_pb2_grpc.InferenceStub(connection)
            for response in stub.Generate(request, timeout=_TIMEOUT_S):
                text += response.delta.text
                finished = response.finished if response.HasField("finished") else finished
    except grpc.RpcError as fault:
        raise CommandError(f"{prompt.title}: {explain(fault, address).message}") from fault
    if finished is None:
        raise CommandError(f"{prompt.title}: the stream ended without a last message")
    decision, usage = finished.decision, finished.usage
    return Answer(
        text=text,
        via="gRPC",
        pool=decision.pool,
        model=decision.model,
        simulated=decision.simulated,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        output_tokens=usage.completion_tokens,
        ttft_s=finished.ttft_s,
        cost_usd=finished.cost_usd,
        reason=decision.reason,
    )


def _streams(prompt: DemoPrompt) -> bool:
    return prompt.via == "http stream"


def _body(prompt: DemoPrompt) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": prompt.model,
        "messages": [{"role": "user", "content": prompt.text}],
        "max_tokens": prompt.max_tokens,
        "temperature": 0,
    }
    if prompt.json_schema is not None:
        form = {"name": "answer", "schema": prompt.json_schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    if _streams(prompt):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _events(response: Any) -> Iterator[dict[str, Any]]:
    """The JSON of each server-sent event, up to [DONE]."""
    for line in response:
        if line.startswith(b"data: ") and line.strip() != b"data: [DONE]":
            yield json.loads(line[6:])


def _joined(prompt: DemoPrompt, chunks: list[dict[str, Any]], via: str) -> Answer:
    """One answer from the chunks of a stream, or from a whole answer as its only chunk."""
    text = ""
    for chunk in chunks:
        if "error" in chunk:
            raise CommandError(f"{prompt.title}: {chunk['error'].get('message', chunk['error'])}")
        for choice in chunk.get("choices") or ():
            text += (choice.get("delta") or choice.get("message") or {}).get("content") or ""
    last = chunks[-1] if chunks else {}
    try:
        return from_openai(text, last["usage"], last["headgate"], via)
    except KeyError as missing:
        raise CommandError(f"{prompt.title}: the answer says nothing about {missing}") from missing
