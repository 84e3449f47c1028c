"""What the router adds: the same requests through it and straight to the worker, in one run.

    make bench NAME=overhead

CPU is the run time of the router's process tree divided by requests: the figure to trust on a busy machine. The worker is a
real `python -m workers` process with the simulated engine at 2 ms a step, so each token is a message of its own. Requests are
2 KB chats with 64 shared prefixes. Latency is the client's own view, on a machine that client, router and worker share.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import aiohttp
import grpc
import orjson
import uvloop

from headgate.v1 import inference_pb2, worker_pb2
from headgate.v1.inference_pb2_grpc import InferenceStub
from headgate.v1.worker_pb2_grpc import WorkerStub
from tests.bench.cpu_time import cpu_of
from tests.bench.report import Report
from tests.stack import Stack

SEED = 3
JSON = {"content-type": "application/json"}
TOKENS = 32
WORDS = (
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "that",
    "for",
    "it",
    "as",
    "was",
    "with",
    "be",
    "by",
    "on",
    "not",
    "he",
    "his",
    "but",
    "at",
    "are",
    "this",
    "have",
    "from",
)
# CPU µs per unary request with prefix-aware picking, where the router has it; burst CPU µs per streamed token.
PEERS = {
    "nginx 1.22 (no decision)": (17.5, 6.3),
    "sglang-router 0.3.2 cache_aware": (57.7, 6.0),
    "smg 1.13 cache_aware": (90.1, 9.1),
    "vllm-router 0.1.17 cache_aware": (166.0, 11.8),
    "Ray Serve 2.60": (4161.3, 195.2),
    "LiteLLM 1.106": (7305.8, 732.3),
    "gRPC: grpc.aio raw pass-through": (141.0, 58.1),
    "gRPC: Envoy 1.39": (26.0, 1.7),
}

Ask = Callable[[str, int], Awaitable[tuple[float, int]]]


@dataclass(frozen=True)
class Load:
    """What the clients saw. Times in ms; `cpu_us` is the router's, per request."""

    requests: int
    ttft_ms: float
    total_ms: float
    per_s: float
    cpu_us: float


def prompts(count: int, rng: Random) -> list[str]:
    heads = [" ".join(rng.choices(WORDS, k=300)) for _ in range(64)]
    return [f"{rng.choice(heads)} {' '.join(rng.choices(WORDS, k=60))} {number}" for number in range(count)]


class Clients:
    """The three ways to ask: each returns seconds to the first token and the number of tokens."""

    def __init__(self, stack: Stack, session: aiohttp.ClientSession) -> None:
        self.session, self.url = session, f"{stack.url}/v1/chat/completions"
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.routed = [grpc.aio.insecure_channel(stack.grpc, options=options) for _ in range(4)]
        self.straight = [grpc.aio.insecure_channel(stack.addresses["pool/0"], options=options) for _ in range(4)]
        self.turn = 0

    def _next(self, channels: list[grpc.aio.Channel]) -> grpc.aio.Channel:
        self.turn += 1
        return channels[self.turn % len(channels)]

    async def http_unary(self, text: str, tokens: int) -> tuple[float, int]:
        body = {"model": "pool", "messages": [{"role": "user", "content": text}], "max_tokens": tokens, "temperature": 0}
        body["ignore_eos"] = True
        began = time.perf_counter()
        async with self.session.post(self.url, data=orjson.dumps(body), headers=JSON) as answer:
            said = orjson.loads(await answer.read())
        if "error" in said:
            raise RuntimeError(said["error"]["message"])
        return time.perf_counter() - began, said["usage"]["completion_tokens"]

    async def http_stream(self, text: str, tokens: int) -> tuple[float, int]:
        body = {"model": "pool", "messages": [{"role": "user", "content": text}], "max_tokens": tokens, "temperature": 0}
        body |= {"ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}}
        began, first, last = time.perf_counter(), 0.0, b""
        async with self.session.post(self.url, data=orjson.dumps(body), headers=JSON) as answer:
            async for chunk in answer.content.iter_any():
                first = first or time.perf_counter() - began
                last = last[-4096:] + chunk
        usage = next(line for line in last.split(b"\n") if b'"usage":{' in line)
        return first, orjson.loads(usage[6:])["usage"]["completion_tokens"]

    async def grpc_stream(self, text: str, tokens: int) -> tuple[float, int]:
        request = inference_pb2.GenerateRequest(model="pool")
        request.chat.messages.add(role="user", content=text)
        request.sampling.max_tokens, request.sampling.temperature, request.sampling.ignore_eos = tokens, 0, True
        began, first, count = time.perf_counter(), 0.0, 0
        async for event in InferenceStub(self._next(self.routed)).Generate(request):
            if event.HasField("delta"):
                first = first or time.perf_counter() - began
                count += len(event.delta.token_ids)
        return first, count

    async def straight_stream(self, text: str, tokens: int) -> tuple[float, int]:
        request = worker_pb2.WorkerGenerateRequest(request_id=str(self.turn), model="the-model")
        request.chat.messages_json = orjson.dumps([{"role": "user", "content": text}])
        request.sampling.max_tokens, request.sampling.temperature, request.sampling.ignore_eos = tokens, 0, True
        began, first, count = time.perf_counter(), 0.0, 0
        async for message in WorkerStub(self._next(self.straight)).Generate(request):
            if message.token_ids:
                first = first or time.perf_counter() - began
                count += len(message.token_ids)
        return first, count


async def drive(ask: Ask, tokens: int, clients: int, requests: int, router_pid: int) -> Load:
    """A closed loop of `clients`; every answer must have exactly the tokens asked for."""
    texts = iter(prompts(requests, Random(SEED)))
    ttft: list[float] = []
    total: list[float] = []

    async def client() -> None:
        for text in texts:
            began = time.perf_counter()
            first, count = await ask(text, tokens)
            if count != tokens:
                raise RuntimeError(f"asked for {tokens} tokens, got {count}")
            total.append(time.perf_counter() - began)
            ttft.append(first)

    with cpu_of(router_pid) as span:
        await asyncio.gather(*(client() for _ in range(clients)))
    return Load(
        requests,
        statistics.median(ttft) * 1e3,
        statistics.median(total) * 1e3,
        requests / span.wall_s,
        span.us_per(requests),
    )


def show(report: Report, label: str, clients: int, load: Load, routed: bool) -> None:
    figures = {"clients": clients, "ttft_p50_ms": load.ttft_ms, "total_p50_ms": load.total_ms, "requests_per_s": load.per_s}
    report.row(label, **figures, **({"router_cpu_us_per_request": load.cpu_us} if routed else {}))


async def bench(requests: int, folder: Path) -> None:
    report = Report("overhead", "What the router adds to a request", SEED)
    engine = {"kind": "simulated", "profile": {"base_s": 0.002}, "max_running": 128}
    async with Stack(folder, engine, replicas=1) as stack, aiohttp.ClientSession() as session:
        assert stack.router is not None
        clients, pid = Clients(stack, session), stack.router.pid
        ways: list[tuple[str, Ask, int, bool]] = [
            ("straight to the worker, gRPC, 1 token", clients.straight_stream, 1, False),
            ("router, HTTP, unary, 1 token", clients.http_unary, 1, True),
            ("router, gRPC, 1 token", clients.grpc_stream, 1, True),
            (f"straight to the worker, gRPC, {TOKENS} tokens", clients.straight_stream, TOKENS, False),
            (f"router, HTTP, unary, {TOKENS} tokens", clients.http_unary, TOKENS, True),
            (f"router, HTTP, stream, {TOKENS} tokens", clients.http_stream, TOKENS, True),
            (f"router, gRPC, stream, {TOKENS} tokens", clients.grpc_stream, TOKENS, True),
        ]
        measured: dict[tuple[str, int], Load] = {}
        for _, ask, tokens, _ in ways:
            await drive(ask, tokens, 8, requests // 4, pid)  # warm-up
        for count in (1, 8, 64):
            for label, ask, tokens, routed in ways:
                size = max(requests // (1 if count > 1 else 4), 50)
                measured[label, count] = await drive(ask, tokens, count, size, pid)
                show(report, label, count, measured[label, count], routed)
        conclude(report, measured)
    report.finish()


def conclude(report: Report, measured: dict[tuple[str, int], Load]) -> None:
    """CPU per request and per token, TTFT added, and the ratio to what peers cost."""
    one, many = measured["router, HTTP, unary, 1 token", 64], measured[f"router, HTTP, stream, {TOKENS} tokens", 64]
    grpc_one, grpc_many = measured["router, gRPC, 1 token", 64], measured[f"router, gRPC, stream, {TOKENS} tokens", 64]
    token_us, grpc_token_us = (many.cpu_us - one.cpu_us) / (TOKENS - 1), (grpc_many.cpu_us - grpc_one.cpu_us) / (TOKENS - 1)
    report.row("→ HTTP, 64 clients", cpu_us_per_request=one.cpu_us, cpu_us_per_token=token_us)
    report.row("→ gRPC, 64 clients", cpu_us_per_request=grpc_one.cpu_us, cpu_us_per_token=grpc_token_us)
    for count in (1, 8, 64):
        direct = measured[f"straight to the worker, gRPC, {TOKENS} tokens", count]
        for way in ("HTTP", "gRPC"):
            routed = measured[f"router, {way}, stream, {TOKENS} tokens", count]
            report.row(f"→ TTFT added, {way}", clients=count, ttft_p50_ms=routed.ttft_ms - direct.ttft_ms)
    for name, (request_us, peer_token_us) in PEERS.items():
        ours, our_token = (grpc_one.cpu_us, grpc_token_us) if name.startswith("gRPC") else (one.cpu_us, token_us)
        report.published(
            name,
            "2-core AMD EPYC, CPython 3.12, 64 clients",
            cpu_us_per_request=request_us,
            cpu_us_per_token=peer_token_us,
            ours_to_theirs_request=ours / request_us,
            ours_to_theirs_token=our_token / peer_token_us,
        )
    report.note("published rows were measured on another day on a like machine; a ratio above 1 means we cost more")
    report.note("between router and worker is gRPC (grpc.aio), which costs 55-65 µs a message by itself")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000, help="requests per row at 8 and 64 clients")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(bench(arguments.requests, Path(folder)))


if __name__ == "__main__":
    main()
