"""The OpenAI-compatible HTTP front: paths → endpoints, and errors → answers. `openai/endpoints.py` holds the endpoints."""

import logging
from collections.abc import Awaitable, Callable

from router.config import RouterConfig
from router.errors import HeadgateError
from router.fronts.http.message import JSON, NO_STORE, HttpRequest, ServerLimits, described
from router.fronts.http.reply import Reply
from router.fronts.http.server import HttpServer
from router.fronts.openai.endpoints import Backend, Exchange, OpenAiEndpoints
from router.fronts.openai.errors import error_body, error_headers, fault_page, status_of
from router.fronts.openai.openapi import document

log = logging.getLogger(__name__)

Endpoint = Callable[[Exchange], Awaitable[None]]

_METRICS = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"
_NO_CACHE = JSON + NO_STORE


class HttpFront:
    """One HTTP listener. `backend` answers, `metrics_page` is the text that /metrics shows.

    `limits` are those of the protocol; connections and body size come from `config` unless they are given.
    """

    def __init__(
        self,
        backend: Backend,
        config: RouterConfig,
        metrics_page: Callable[[], bytes],
        limits: ServerLimits | None = None,
    ) -> None:
        self._backend = backend
        self._listen = config.http
        self._metrics_page = metrics_page
        self._document = document()
        bounds = config.limits
        limits = limits or ServerLimits(max_connections=bounds.max_connections, max_body_bytes=bounds.max_body_bytes)
        self._server = HttpServer(self, limits)
        self._routes = self._paths(OpenAiEndpoints(backend, config))

    async def start(self) -> tuple[str, int]:
        """Listens; returns host and port. Raises OSError where the address can't be had."""
        return await self._server.start(self._listen.host, self._listen.port)

    async def drain(self, grace_s: float) -> None:
        """Accepts no more, and gives running answers `grace_s` to end."""
        await self._server.drain(grace_s)

    async def close(self) -> None:
        """Cuts what still runs."""
        await self._server.close()

    def fault_page(self, status: int, message: str) -> bytes:
        return fault_page(status, message)

    async def handle(self, request: HttpRequest, reply: Reply) -> None:
        """Answers one request, whatever goes wrong."""
        exchange = Exchange(request, reply)
        try:
            exchange.identify()
            await self._route(exchange)
        except HeadgateError as error:
            if status_of(error) == 500:
                log.error("request %s: %s reached the front", exchange.id, type(error).__name__)
            reply.send(status_of(error), error_headers(error) + exchange.id_line, error_body(error))
        except Exception as fault:  # noqa: BLE001 - a fault of ours must not show its inside to the caller
            log.error("request %s: %s", exchange.id, described(fault))
            page = fault_page(500, "internal error")
            if reply.started:
                reply.write(b"data: " + page + b"\n\n")
                reply.end()
            else:
                reply.send(500, JSON + exchange.id_line, page)

    def _paths(self, api: OpenAiEndpoints) -> dict[str, dict[str, Endpoint]]:
        """Path → method → endpoint. A path that ends in a slash takes everything below it."""
        return {
            "/v1/chat/completions": {"POST": api.chat},
            "/v1/completions": {"POST": api.completion},
            "/v1/embeddings": {"POST": api.embeddings},
            "/v1/models": {"GET": api.models},
            "/v1/models/": {"GET": api.model},
            "/v1/headgate/quote": {"POST": api.quote},
            "/v1/headgate/feedback": {"POST": api.feedback},
            "/v1/headgate/budget": {"GET": api.budget},
            "/v1/budget": {"GET": api.budget},
            "/healthz": {"GET": self._health},
            "/health": {"GET": self._health},
            "/readyz": {"GET": self._ready},
            "/metrics": {"GET": self._metrics},
            "/openapi.json": {"GET": self._openapi},
        }

    async def _route(self, exchange: Exchange) -> None:
        method, path = exchange.request.method, exchange.request.target
        methods = self._routes.get(path)
        if methods is None and path.startswith("/v1/models/"):
            methods, exchange.rest = self._routes["/v1/models/"], path.removeprefix("/v1/models/")
        if methods is None and (path, method) == ("*", "OPTIONS"):
            methods = {"GET": self._health, "POST": self._health}
        if methods is None:
            return exchange.reply.send(404, JSON + exchange.id_line, fault_page(404, "there is nothing at this path"))
        endpoint = methods.get("GET" if method == "HEAD" else method)
        if endpoint is not None:
            return await endpoint(exchange)
        allow = b"allow: %b\r\n" % ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"]).encode()
        if method == "OPTIONS":
            return exchange.reply.send(204, allow + exchange.id_line)
        page = fault_page(405, f"use {' or '.join(methods)} here")
        return exchange.reply.send(405, JSON + allow + exchange.id_line, page)

    async def _health(self, exchange: Exchange) -> None:
        """The process answers."""
        exchange.reply.send(200, _NO_CACHE, b'{"status":"ok"}')

    async def _ready(self, exchange: Exchange) -> None:
        """New requests can be served."""
        if self._backend.draining:
            exchange.reply.send(503, _NO_CACHE, b'{"status":"draining"}')
        elif self._backend.ready():
            exchange.reply.send(200, _NO_CACHE, b'{"status":"ready"}')
        else:
            exchange.reply.send(503, _NO_CACHE, b'{"status":"no replica is ready"}')

    async def _metrics(self, exchange: Exchange) -> None:
        exchange.reply.send(200, _METRICS, self._metrics_page())

    async def _openapi(self, exchange: Exchange) -> None:
        exchange.reply.send(200, JSON, self._document)
