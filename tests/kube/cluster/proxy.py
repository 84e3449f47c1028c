"""A reverse proxy in front of the API server, for one client: it counts, and it breaks things at an exact moment.

    async with FaultyProxy(cluster, cluster.kubeconfig_for("controller", namespace)) as proxy:
        proxy.before = kill_at_the_third_patch     # an async function of a Request; decides what happens to it
        start_controller(kubeconfig=proxy.kubeconfig)

`before` runs before a request is passed on, `after` when the API server has answered and the client has not heard it yet: what
is killed there has changed the cluster and does not know. Either may sleep, return an `Answer` to give instead, or raise `Cut`.
"""

import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web

from tests.kube.cluster.cluster import Cluster
from tests.kube.cluster.commands import write_private

_OF_ONE_CONNECTION = frozenset(
    ("connection", "host", "keep-alive", "transfer-encoding", "upgrade", "content-length", "date", "server")
)
_NO_LIMIT = aiohttp.ClientTimeout(total=None)


@dataclass(frozen=True)
class Request:
    """What the client asked. `number` counts from 1; a `watch` is a request that stays open."""

    number: int
    method: str
    path: str
    query: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def watch(self) -> bool:
        return self.query.get("watch", "").lower() in ("1", "true")


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Cut(Exception):
    """Raised by a hook: the client's connection ends without an answer."""


Before = Callable[[Request], Awaitable[Answer | None]]
After = Callable[[Request, Answer], Awaitable[Answer | None]]


def refusal(status: int, reason: str, **headers: str) -> Answer:
    """What the API server says when it refuses: a Status object. 429 wants the header `Retry-After`."""
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "told to", "reason": reason, "code": status}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(said).encode(), {"Content-Type": "application/json", **named})


class FaultyProxy:
    """Stands at `url` with the API server's own certificate; `kubeconfig` is the client's, led through here once it stands.

    seen         every request so far, in the order in which they came
    refuses      while it is true every connection is cut, as by a server that is down; open watches stay: `cut_watches`
    """

    def __init__(self, cluster: Cluster, kubeconfig: Path) -> None:
        self.seen: list[Request] = []
        self.before: Before | None = None
        self.after: After | None = None
        self.refuses = False
        self.url = ""
        self.kubeconfig = self._original = kubeconfig
        self._server = cluster.url
        self._watches: dict[int, tuple[web.BaseRequest, aiohttp.ClientResponse]] = {}  # by the number of their request
        self._certificates = cluster.layout.certificates
        self._failures: list[Exception] = []
        self._resources = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        trust = ssl.create_default_context(cafile=self._certificates / "apiserver.crt")
        connector = aiohttp.TCPConnector(ssl=trust, limit=0)
        self._client = await self._resources.enter_async_context(
            aiohttp.ClientSession(connector=connector, timeout=_NO_LIMIT, auto_decompress=False)
        )
        identity = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        identity.load_cert_chain(self._certificates / "apiserver.crt", self._certificates / "apiserver.key")
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0)
        await runner.setup()
        self._resources.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=identity)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"https://{host}:{port}"
        config = json.loads(self._original.read_text())
        config["clusters"][0]["cluster"]["server"] = self.url
        self.kubeconfig = self._original.with_name(f"through-{port}.{self._original.name}")  # one for each of several proxies
        write_private(self.kubeconfig, json.dumps(config))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut_watches()
        await self._resources.aclose()
        if self._failures:
            raise ExceptionGroup("in the proxy's hooks", self._failures)

    def cut_watches(self) -> int:
        """Ends all watches that are open, in the middle; returns how many there were."""
        watches = list(self._watches.values())
        for incoming, upstream in watches:
            _abort(incoming)
            upstream.close()
        return len(watches)

    async def _handle(self, incoming: web.BaseRequest) -> web.StreamResponse:
        body = await incoming.content.read()
        request = Request(len(self.seen) + 1, incoming.method, incoming.path, dict(incoming.query), body)
        self.seen.append(request)
        try:
            if self.refuses:
                raise Cut
            if self.before and (answer := await self.before(request)):
                return _response(answer)
            return await self._pass_on(incoming, request)
        except (Cut, aiohttp.ClientError, ConnectionError):  # but for Cut: the API server is down, or the client has gone
            pass
        except Exception as error:  # noqa: BLE001 - whatever a test's hook raises; told when the test leaves the proxy
            self._failures.append(error)
        _abort(incoming)
        return web.Response(status=502)  # nobody hears it

    async def _pass_on(self, incoming: web.BaseRequest, request: Request) -> web.StreamResponse:
        async with self._client.request(
            incoming.method,
            f"{self._server}{incoming.raw_path}",
            data=request.body or None,
            headers=[(name, value) for name, value in incoming.headers.items() if name.lower() not in _OF_ONE_CONNECTION],
            skip_auto_headers=("User-Agent", "Content-Type", "Accept-Encoding"),
        ) as upstream:
            headers = {name: value for name, value in upstream.headers.items() if name.lower() not in _OF_ONE_CONNECTION}
            if request.watch and upstream.status == 200:
                return await self._stream(request.number, incoming, upstream, headers)
            answer = Answer(upstream.status, await upstream.read(), headers)
        if self.after:
            answer = await self.after(request, answer) or answer
        return _response(answer)

    async def _stream(
        self, number: int, incoming: web.BaseRequest, upstream: aiohttp.ClientResponse, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=upstream.status, headers=headers)
        self._watches[number] = incoming, upstream
        try:
            await response.prepare(incoming)
            async for piece in upstream.content.iter_any():
                await response.write(piece)
            await response.write_eof()
        finally:
            del self._watches[number]
        return response


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


def _abort(incoming: web.BaseRequest) -> None:
    if incoming.transport:
        incoming.transport.abort()
