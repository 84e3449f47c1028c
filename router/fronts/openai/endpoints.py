"""The endpoints under /v1: decode → dispatch → encode, nothing else. What goes wrong is raised; `http_front.py` answers it."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import unquote

import orjson

from router.config import RouterConfig
from router.errors import HeadgateError, NotFound
from router.fronts.http.message import JSON, NO_STORE, HttpRequest
from router.fronts.http.reply import Reply
from router.fronts.openai.about import budget_objects, decision_headers, offer_object
from router.fronts.openai.answer import Answer
from router.fronts.openai.embedding import embedding_headers, embedding_object
from router.fronts.openai.errors import error_body
from router.fronts.openai.faults import InvalidValue, NotJson
from router.fronts.openai.kinds import Number
from router.fronts.openai.request import (
    Call,
    Caller,
    Rules,
    checked_id,
    fresh_id,
    read_chat,
    read_completion,
    read_embedding,
    read_feedback,
)
from router.fronts.openai.response import SSE, answer_headers, model_objects
from router.fronts.openai.stream import StreamWriter
from router.merge import merged
from router.request import BudgetState, EmbedCall, Embedding, Event, Finished, ModelCard, Offer, Piece, Request, Started
from router.snapshot import Tenant
from router.verdict import Verdict


class Backend(Protocol):
    """What the endpoints ask for: `router.service.Service` offers it."""

    def authenticate(self, bearer: str | None) -> Tenant: ...
    def generate(self, request: Request, tenant: Tenant) -> AsyncGenerator[Event, None]: ...
    async def embed(self, call: EmbedCall, tenant: Tenant) -> Embedding: ...
    async def quote(self, request: Request, tenant: Tenant) -> Offer: ...
    async def budget(self, tenant: Tenant) -> tuple[BudgetState, ...]: ...
    def models(self, tenant: Tenant) -> list[ModelCard]: ...
    def feedback(self, verdict: Verdict, tenant: Tenant) -> str: ...
    def ready(self) -> bool: ...
    @property
    def draining(self) -> bool: ...


@dataclass(slots=True)
class Exchange:
    """One request and its answer. `id` goes back in `x-request-id`; `rest` is what stands behind the route's own path."""

    request: HttpRequest
    reply: Reply
    id: str = ""
    id_given: bool = False
    rest: str = ""

    @property
    def id_line(self) -> bytes:
        return b"x-request-id: %b\r\n" % self.id.encode() if self.id else b""

    def identify(self) -> None:
        """Takes the caller's request id, or a new one. Raises InvalidValue for one that is not fit to be passed on."""
        given = self.request.headers.get(b"x-request-id")
        self.id_given = given is not None
        self.id = fresh_id() if given is None else checked_id(given.decode("latin-1"), "x-request-id")

    def send(self, value: object, headers: bytes = JSON) -> None:
        """A whole JSON answer."""
        self.reply.send(200, headers + self.id_line, orjson.dumps(value))


class OpenAiEndpoints:
    """One method per endpoint."""

    def __init__(self, backend: Backend, config: RouterConfig) -> None:
        self._backend = backend
        self._rules = Rules(config.unknown_parameters, config.limits.max_n)
        self._default_timeout_s = config.limits.default_timeout_s
        self._timeout = Number(0.0, config.limits.max_timeout_s, above=True)
        self._created_s = int(time.time())

    async def chat(self, exchange: Exchange) -> None:
        tenant, caller = self._caller(exchange)
        await self._generate(exchange, tenant, read_chat(_json_body(exchange.request), caller, self._rules))

    async def completion(self, exchange: Exchange) -> None:
        tenant, caller = self._caller(exchange)
        await self._generate(exchange, tenant, read_completion(_json_body(exchange.request), caller, self._rules))

    async def embeddings(self, exchange: Exchange) -> None:
        tenant, caller = self._caller(exchange)
        call, packed = read_embedding(_json_body(exchange.request), caller, self._rules)
        exchange.id = call.id
        found = await self._backend.embed(call, tenant)
        exchange.send(embedding_object(call.id, found, packed=packed), embedding_headers(call.id, found))

    async def models(self, exchange: Exchange) -> None:
        tenant = self._tenant(exchange.request)
        exchange.send({"object": "list", "data": model_objects(self._backend.models(tenant), self._created_s)})

    async def model(self, exchange: Exchange) -> None:
        name = unquote(exchange.rest)
        cards = [card for card in self._backend.models(self._tenant(exchange.request)) if card.name == name]
        if not cards:
            raise NotFound("there is no model of that name here, or this key may not use it", param="model")
        exchange.send(model_objects(cards, self._created_s)[0])

    async def quote(self, exchange: Exchange) -> None:
        tenant, caller = self._caller(exchange)
        call = read_chat(_json_body(exchange.request), caller, self._rules)
        exchange.id = call.id
        offer = await self._backend.quote(call.requests[0], tenant)
        exchange.send({"object": "headgate.quote", "request_id": call.id, **offer_object(offer)})

    async def budget(self, exchange: Exchange) -> None:
        tenant = self._tenant(exchange.request)
        budgets = budget_objects(await self._backend.budget(tenant))
        exchange.send({"object": "headgate.budget", "tenant": tenant.name, "budgets": budgets}, JSON + NO_STORE)

    async def feedback(self, exchange: Exchange) -> None:
        tenant = self._tenant(exchange.request)
        verdict = read_feedback(_json_body(exchange.request))
        pool = self._backend.feedback(verdict, tenant)
        exchange.send({"object": "headgate.feedback", "request_id": verdict.request_id, "pool": pool})

    async def _generate(self, exchange: Exchange, tenant: Tenant, call: Call) -> None:
        exchange.id = call.id
        async with aclosing(self._events(call, tenant)) as events:
            if call.form.stream:
                await _stream(exchange, call, events)
                return
            answer = Answer(call)
            async for event in events:
                answer.take(event)
        exchange.reply.send(200, answer_headers(answer.tally) + exchange.id_line, answer.body())

    def _events(self, call: Call, tenant: Tenant) -> AsyncGenerator[Event, None]:
        """One prompt's events as they are; those of several as one stream, their choices numbered through."""
        if len(call.requests) == 1:
            return self._backend.generate(call.requests[0], tenant)
        streams = [self._backend.generate(request, tenant) for request in call.requests]
        return merged([_shifted(stream, i * call.form.n) for i, stream in enumerate(streams)])

    def _tenant(self, request: HttpRequest) -> Tenant:
        headers = request.headers
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer":
            key = headers.get(b"api-key") or headers.get(b"x-api-key") or b""
        return self._backend.authenticate(key.strip().decode("latin-1") or None)

    def _caller(self, exchange: Exchange) -> tuple[Tenant, Caller]:
        headers = exchange.request.headers
        tenant = self._tenant(exchange.request)
        wait_s = self._default_timeout_s
        if (asked := headers.get(b"x-headgate-timeout-s")) is not None:
            wait_s = self._timeout.check(_number(asked), "x-headgate-timeout-s")
        session = headers.get(b"x-session-id", b"").decode("latin-1")
        if len(session) > 256:
            raise InvalidValue("x-session-id may have at most 256 characters", param="x-session-id")
        deadline = asyncio.get_running_loop().time() + wait_s
        return tenant, Caller(exchange.id if exchange.id_given else "", session, tenant.name, deadline)


async def _stream(exchange: Exchange, call: Call, events: AsyncGenerator[Event, None]) -> None:
    """The head leaves with the first event: what fails before it has a status of its own, what fails later is an event."""
    writer, reply = StreamWriter(call), exchange.reply
    try:
        async for event in events:
            if type(event) is Piece:
                reply.write(writer.piece(event))
            elif type(event) is Started:
                writer.started(event)
                if not reply.started:
                    reply.start(200, SSE + decision_headers(call.id, event.decision) + exchange.id_line)
            elif type(event) is Finished:
                reply.write(writer.finished(event))
            if reply.paused:
                await reply.writable()
    except HeadgateError as error:
        if not reply.started:
            raise
        reply.write(writer.failed(error_body(error)))
    reply.end()


async def _shifted(events: AsyncGenerator[Event, None], first: int) -> AsyncGenerator[Event, None]:
    """The events of one of several prompts, its choices numbered from `first`."""
    async with aclosing(events):
        async for event in events:
            yield replace(event, index=first + event.index) if type(event) is Piece else event


def _json_body(request: HttpRequest) -> bytes:
    """The body of a request that says it is JSON: a browser can't be made to send that to us from a foreign page unasked."""
    kind, _, _ = request.headers.get(b"content-type", b"").partition(b";")
    if kind.strip().lower() != b"application/json":
        raise NotJson("send the body with content-type: application/json", param="content-type")
    if request.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise NotJson("send the body without content-encoding", param="content-encoding")
    return request.body


def _number(value: bytes) -> object:
    try:
        return float(value)
    except ValueError:
        return None
