"""grpc.health.v1, answered from the router's state at the moment of asking: nothing is stored, so nothing can be stale."""

# ruff: noqa: N802 - methods bear the names of the proto

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

from grpc_health.v1 import health_pb2

from router.errors import NotFound
from router.fronts.grpc.calls import Context

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

# How late a watcher may hear of a change. Costs one look at the fleet per watcher.
WATCH_EVERY_S = 0.1


class HealthServicer:
    """`services` are SERVING while `ready()` and until the drain begins; "liveness" is always, "readiness" as the others."""

    def __init__(self, services: Sequence[str], ready: Callable[[], bool], draining: asyncio.Event) -> None:
        self._services = frozenset(("", "readiness", *services))
        self._ready = ready
        self._draining = draining

    async def Check(self, wire: health_pb2.HealthCheckRequest, _context: Context) -> health_pb2.HealthCheckResponse:
        status = self._status(wire.service)
        if status == SERVICE_UNKNOWN:
            raise NotFound("service: no such service", param="service")
        return health_pb2.HealthCheckResponse(status=status)

    async def List(self, _wire: health_pb2.HealthListRequest, _context: Context) -> health_pb2.HealthListResponse:
        names = (*self._services, "liveness")
        statuses = {name: health_pb2.HealthCheckResponse(status=self._status(name)) for name in names}
        return health_pb2.HealthListResponse(statuses=statuses)

    async def Watch(
        self, wire: health_pb2.HealthCheckRequest, _context: Context
    ) -> AsyncGenerator[health_pb2.HealthCheckResponse, None]:
        """Each change once. Ends when the drain begins, so that it does not hold the drain up."""
        told: int | None = None
        while True:
            draining, status = self._draining.is_set(), self._status(wire.service)
            if status != told:
                told = status
                yield health_pb2.HealthCheckResponse(status=status)
            if draining:
                return
            await asyncio.sleep(WATCH_EVERY_S)

    def _status(self, service: str) -> health_pb2.HealthCheckResponse.ServingStatus:
        if service == "liveness":
            return SERVING
        if service not in self._services:
            return SERVICE_UNKNOWN
        return SERVING if self._ready() and not self._draining.is_set() else NOT_SERVING
