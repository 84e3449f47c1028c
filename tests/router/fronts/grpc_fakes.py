"""A dispatcher that answers from a script, and a real gRPC front before it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

from router.config import Limits, Listen, RouterConfig, TopologySource
from router.errors import NoReplica, NotFound, Unauthenticated
from router.fronts.grpc_front import GrpcFront
from router.request import (
    BudgetState,
    Decision,
    Event,
    Finished,
    ModelCard,
    Offer,
    Piece,
    Quote,
    Request,
    Started,
    Usage,
    Used,
)
from router.snapshot import Prices, Tenant
from router.verdict import Verdict

DECISION = Decision("small", "m-1", "small-0", "the only pool; shortest queue", simulated=True)
PRICES = Prices(1.0, 0.5, 2.0)
FINISHED = Finished(Usage(7, 3, 2), 0.000012, DECISION, resumed=1, ttft_s=0.5, total_s=1.25)
# The same once everything is known that can be.
CHOSEN = Decision("small", "m-1", "small-0", "good enough", quality=0.75, policy="thrifty", exploring=True)
USED = Used(0.5, 0.25, 2.0)
BUDGETS = (
    BudgetState("red", 10.0, 2.5, "day", 1_800_000_000, hard=True),
    BudgetState("colours", 100.0, 125.0, "month", 1_802_000_000),
)
RICH = Finished(Usage(7, 3, 2), 0.000012, CHOSEN, escalated=1, used=USED, budgets=BUDGETS)
OFFER = Offer(
    (
        Quote(CHOSEN, 0.5, 7, 2, 128, max_cost_usd=0.625, uncertainty=0.125, used=USED, utility=0.375, ttft_s=0.0625),
        Quote(DECISION, 0.75, 7, 0, 128),
    ),
    BUDGETS,
    "red has spent its 10 USD of the day",
)
ANSWER = (
    Started("r", DECISION),
    Piece(text="Grüße", token_ids=(1, 2)),
    Piece(text=" 👋", token_ids=(3,), finish_reason="stop", stop_reason="\n"),
    FINISHED,
)


@dataclass
class FakeDispatcher:
    """What a front needs of the service. `fault` is raised after `events`; `hold` keeps an answer open after them."""

    events: Sequence[Event] = ANSWER
    fault: Exception | None = None
    hold: asyncio.Event | None = None
    key: str | None = None
    is_ready: bool = True
    asked: list[Request] = field(default_factory=list)
    judged: list[Verdict] = field(default_factory=list)
    address: str = ""
    draining: bool = False
    open: int = 0
    closed: int = 0

    def authenticate(self, bearer: str | None) -> Tenant:
        if self.key is not None and bearer != self.key:
            raise Unauthenticated("the API key is not known")
        return Tenant("anonymous" if self.key is None else "red")

    async def generate(self, request: Request, tenant: Tenant) -> AsyncGenerator[Event, None]:
        if self.draining:
            raise NoReplica("this router is shutting down", retry_after_s=1.0)
        self.asked.append(request)
        self.open += 1
        try:
            for event in self.events:
                yield event
            if self.hold is not None:
                await self.hold.wait()
            if self.fault is not None:
                raise self.fault
        finally:
            self.open -= 1
            self.closed += 1

    async def quote(self, request: Request, tenant: Tenant) -> Offer:
        self.asked.append(request)
        if self.fault is not None:
            raise self.fault
        return OFFER

    async def budget(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        if self.fault is not None:
            raise self.fault
        return BUDGETS if tenant.name == "red" else ()

    def models(self, tenant: Tenant) -> list[ModelCard]:
        ready = int(self.is_ready)
        return [
            ModelCard("small", "small", "small", "simulated", True, ready, PRICES),
            ModelCard("m-1", "small", "small", "simulated", True, ready, PRICES),
            ModelCard("asleep", "asleep", "large", "vllm", False, 0, PRICES, embeddings=True),
        ]

    def feedback(self, verdict: Verdict, tenant: Tenant) -> str:
        if "never-asked" in (verdict.request_id, verdict.better_than):
            param = "request_id" if verdict.request_id == "never-asked" else "better_than"
            raise NotFound("no such request", param=param)
        if self.fault is not None:
            raise self.fault
        self.judged.append(verdict)
        return "small"

    def ready(self) -> bool:
        return self.is_ready


def settings(unknown: str = "refuse", **limits: float) -> RouterConfig:
    return RouterConfig(
        topology=TopologySource(address="nobody:1"),
        grpc=Listen(port=0),
        limits=Limits(**limits),
        unknown_parameters=unknown,
    )


@asynccontextmanager
async def serving(dispatcher: FakeDispatcher, config: RouterConfig | None = None) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a front on a free port."""
    front = GrpcFront(dispatcher, config or settings())
    host, port = await front.start()
    dispatcher.address = f"{host}:{port}"
    try:
        async with grpc.aio.insecure_channel(dispatcher.address) as channel:
            yield channel
    finally:
        await front.close()


async def until(condition: object, limit_s: float = 20.0) -> None:
    """Waits for `condition()`; a test that waits longer has failed."""
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.005)


async def refusal(call: object) -> grpc.aio.AioRpcError:
    """The error that this call ends with, unary or stream."""
    try:
        if hasattr(call, "__aiter__"):
            _ = [message async for message in call]
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the call was answered")


def trailers(error: grpc.aio.AioRpcError) -> dict[str, str | bytes]:
    return dict(error.trailing_metadata() or ())
