"""What the HTTP front's tests stand on: a dispatcher whose answers are known word by word, and raw sockets."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import orjson

from router.config import RouterConfig
from router.errors import (
    AnswerLost,
    BudgetExhausted,
    DeadlineExceeded,
    Forbidden,
    HeadgateError,
    NoReplica,
    NotFound,
    Rejected,
    Unauthenticated,
)
from router.fronts.http.message import ServerLimits
from router.fronts.http_front import HttpFront
from router.request import (
    Alternative,
    BudgetState,
    Decision,
    EmbedCall,
    Embedding,
    Event,
    Finished,
    ModelCard,
    Offer,
    Piece,
    Quote,
    Request,
    Started,
    TokenLogprob,
    Usage,
    Used,
)
from router.snapshot import Prices, Tenant
from router.verdict import Verdict

SECRET = "my-secret-prompt"
KEY = "sk-test-0123456789"
WORDS = ("Hel", "lo", " wör", "ld ", "😀", '\n"quoted" ', "日本", "語.")
TEXT = "".join(WORDS)
DECISION = Decision("small", "smollm2", "small-0", "short prompt; least loaded", simulated=True)
USAGE = Usage(prompt_tokens=11, completion_tokens=len(WORDS), cached_tokens=4)

# The same once everything is known that can be: what the model "rich" is answered with.
CHOSEN = Decision("small", "smollm2", "small-0", "good enough", quality=0.75, policy="thrifty", exploring=True)
USED = Used(0.5, 0.25, 2.0)
BUDGETS = (
    BudgetState("team", 10.0, 2.5, "day", 1_800_000_000, hard=True),
    BudgetState("organisation", 100.0, 125.0, "month", 1_802_000_000),
)
OFFER = Offer(
    (Quote(CHOSEN, 0.25e-3, 11, 4, 128, max_cost_usd=0.5e-3, uncertainty=0.125, used=USED, utility=0.375, ttft_s=0.0625),),
    BUDGETS,
    "team has spent its 10 USD of the day",
)

REFUSALS: dict[str, HeadgateError] = {
    "missing": NotFound("there is no model 'missing' here", param="model"),
    "forbidden": Forbidden("this key may not use pool 'forbidden'"),
    "busy": Rejected("every replica is full", retry_after_s=1.5),
    "broke": BudgetExhausted("team has spent its 10 USD of the day", retry_after_s=3600.0),
    "broke-for-now": BudgetExhausted("team has spent its 10 USD of the hour", retry_after_s=12.5),
    "broke-for-ever": BudgetExhausted("team has spent its 10 USD"),
    "none": NoReplica("no replica is ready", retry_after_s=2.0),
    "late": DeadlineExceeded("the request's time is up"),
    "lost-early": AnswerLost("4 tries failed", retry_after_s=1.0),
}


def config_of(**fields: object) -> RouterConfig:
    """Router settings on a free port."""
    given = {"topology": {"file": Path("unused.yaml")}, "http": {"port": 0}, **fields}
    return RouterConfig.model_validate(given)


def logprob_of(word: str, place: int) -> TokenLogprob:
    top = (Alternative(place, word, word.encode(), -0.25), Alternative(99, "other", b"other", float("-inf")))
    return TokenLogprob(place, word, word.encode(), -0.25, top)


class FakeDispatcher:
    """Says WORDS for any model; the models in REFUSALS fail, and a few more misbehave (`_speak`). With `keys`, needs one."""

    def __init__(self, *, keys: bool = False) -> None:
        self.requests: list[Request] = []
        self.embeds: list[EmbedCall] = []
        self.judged: list[Verdict] = []
        self.running = 0
        self.pulled = 0
        self.bug = ""
        self.is_ready = True
        self.draining = False
        self._keys = keys

    def authenticate(self, bearer: str | None) -> Tenant:
        if self._keys and bearer != KEY:
            raise Unauthenticated("no API key, or one that nobody holds")
        return Tenant("team" if bearer else "anonymous")

    async def generate(self, request: Request, tenant: Tenant) -> AsyncGenerator[Event, None]:
        self.requests.append(request)
        self.running += 1
        try:
            async with aclosing(self._speak(request)) as events:
                async for event in events:
                    self.pulled += 1
                    yield event
        finally:
            self.running -= 1

    async def _speak(self, request: Request) -> AsyncGenerator[Event, None]:
        if request.model in REFUSALS:
            raise REFUSALS[request.model]
        if request.model == "bug":
            raise RuntimeError(f"can't serve {request.prompt}")
        if request.model == "hang-early":
            await asyncio.Event().wait()
        decision = CHOSEN if request.model == "rich" else DECISION
        yield Started(request.id, decision)
        for place, word in enumerate(WORDS):
            for index in range(request.n):
                if request.model == "lost" and place == 2:
                    raise AnswerLost("4 tries failed")
                if request.model == "bug-late" and place == 2:
                    raise RuntimeError(f"can't serve {request.prompt}")
                logprobs = (logprob_of(word, place),) if request.sampling.logprobs is not None else ()
                yield Piece(index, word, (place,), logprobs)
            if request.model == "hang" and place == 1:
                await asyncio.Event().wait()
            if request.model == "slow":
                await asyncio.sleep(0.01)
        while request.model == "endless":
            yield Piece(0, "x" * 1000, (1,))
            await asyncio.sleep(0)
        for index in range(request.n):
            calls = b""
            if request.model == "tools":
                calls = b'[{"index":0,"id":"call_1","type":"function",\n"function":{"name":"f","arguments":"{}"}}]'
            yield Piece(index, "", (), (), "tool_calls" if calls else "stop", "" if calls else "###", calls)
        usage = Usage(USAGE.prompt_tokens, len(WORDS) * request.n, USAGE.cached_tokens)
        finished = Finished(usage, 0.000125, decision, resumed=1, ttft_s=0.25, total_s=0.5)
        yield replace(finished, escalated=1, used=USED, budgets=BUDGETS) if request.model == "rich" else finished

    async def embed(self, call: EmbedCall, tenant: Tenant) -> Embedding:
        self.embeds.append(call)
        if call.model in REFUSALS:
            raise REFUSALS[call.model]
        found = Embedding(tuple((float(i), 0.5) for i, _ in enumerate(call.texts)), 7, DECISION, 0.5e-6)
        return replace(found, used=USED, budgets=BUDGETS) if call.model == "rich" else found

    async def quote(self, request: Request, tenant: Tenant) -> Offer:
        if request.model in REFUSALS:
            raise REFUSALS[request.model]
        if request.model == "bug":
            raise RuntimeError(f"can't price {request.prompt}")
        self.requests.append(request)
        return OFFER if request.model == "rich" else Offer((Quote(DECISION, 0.25e-3, 11, 4, 128),))

    async def budget(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        if self.bug:
            raise RuntimeError(f"can't look, {self.bug}")
        return BUDGETS if tenant.name == "team" else ()

    def models(self, tenant: Tenant) -> list[ModelCard]:
        prices = Prices(0.1, 0.01, 0.4)
        return [
            ModelCard("small", "small", "small", "vllm", False, 1, prices, max_context_tokens=2048),
            ModelCard("org/model", "small", "small", "vllm", False, 1, prices, max_context_tokens=2048),
            ModelCard("org/model", "large", "large", "simulated", True, 2, prices),
        ]

    def feedback(self, verdict: Verdict, tenant: Tenant) -> str:
        if verdict.request_id == "unknown":
            raise NotFound("no answer with that id is remembered", param="request_id")
        if self.bug:
            raise RuntimeError(f"can't learn from {verdict}, {self.bug}")
        self.judged.append(verdict)
        return "small"

    def ready(self) -> bool:
        return self.is_ready


@asynccontextmanager
async def serving(
    dispatcher: FakeDispatcher, server_limits: ServerLimits | None = None, **fields: object
) -> AsyncIterator[tuple[HttpFront, int]]:
    """A front on a free port; `fields` are RouterConfig's."""
    front = HttpFront(dispatcher, config_of(**fields), lambda: b"headgate_requests_total 1\n", server_limits)
    _, port = await front.start()
    try:
        yield front, port
    finally:
        await front.close()


class RawClient:
    """A socket that says exactly what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """One whole answer: status, headers, body."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
            if headers.get("transfer-encoding") == "chunked":
                body = b"".join([chunk async for chunk in self._chunks()])
            else:
                body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers, body

    async def rest(self) -> bytes:
        """Everything until the server ends the connection."""
        async with asyncio.timeout(10):
            return await self.reader.read()

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)


@asynccontextmanager
async def raw_client(port: int) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()


def post(path: str, body: object, *headers: str) -> bytes:
    """A request with a JSON body, as bytes."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    lines = [f"POST {path} HTTP/1.1", "host: t", "content-type: application/json", f"content-length: {len(data)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def chat(model: str = "small", **fields: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": SECRET}], **fields}


async def until(met: Callable[[], bool]) -> None:
    """Waits for a condition, generously."""
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0.005)
