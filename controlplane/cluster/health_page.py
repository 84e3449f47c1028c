"""/healthz, /readyz and /metrics of the control plane, on a port of its own."""

from collections.abc import Callable

from aiohttp import web


class HealthPage:
    """`ready` says why it is not, or nothing. Healthy is whoever answers at all: the event loop turns."""

    def __init__(self, listen: str, ready: Callable[[], str], metrics: Callable[[], bytes]) -> None:
        self._host, _, port = listen.rpartition(":")
        self._port = int(port)
        self._ready = ready
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listens; returns host:port. Raises OSError."""
        app = web.Application()
        app.add_routes([web.get("/healthz", self._healthz), web.get("/readyz", self._readyz), web.get("/metrics", self._page)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host.strip("[]"), self._port)
        await site.start()
        return f"{self._host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        why_not = self._ready()
        return web.Response(text=f"{why_not or 'ok'}\n", status=503 if why_not else 200)

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})
