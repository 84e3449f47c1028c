"""The gRPC front: one grpc.aio server for headgate.v1.Inference, the Open Inference Protocol, health and reflection.

Owns the server's life. What the services do is in `grpc/inference.py` and `oip_front.py`; what calls share, in `grpc/calls.py`.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.reflection import aio as reflection

from headgate.oip.v2 import grpc_predict_v2_pb2, grpc_predict_v2_pb2_grpc
from headgate.v1 import inference_pb2, inference_pb2_grpc
from router.config import RouterConfig
from router.fronts.grpc.calls import GuardedServer
from router.fronts.grpc.health import HealthServicer
from router.fronts.grpc.inference import InferenceServicer
from router.fronts.oip_front import OipServicer

if TYPE_CHECKING:
    from router.service import Service

_INFERENCE = inference_pb2.DESCRIPTOR.services_by_name["Inference"].full_name
_OIP = grpc_predict_v2_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_REFLECTION = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].full_name


class GrpcFront:
    """`start`, then `drain` and `close`, all on the event loop that serves."""

    def __init__(self, service: "Service", config: RouterConfig) -> None:
        self._service = service
        self._config = config
        self._draining = asyncio.Event()
        self._server: grpc.aio.Server | None = None
        self._calls: GuardedServer | None = None

    async def start(self) -> tuple[str, int]:
        """Listens and serves; returns host and port. Raises OSError where the address can't be had."""
        limits, listen = self._config.limits, self._config.grpc
        self._server = grpc.aio.server(options=_options(limits.max_body_bytes), maximum_concurrent_rpcs=limits.max_connections)
        self._calls = GuardedServer(self._server, self._draining)
        self._register(self._calls)
        host = f"[{listen.host}]" if ":" in listen.host else listen.host
        try:
            port = self._server.add_insecure_port(f"{host}:{listen.port}")
        except RuntimeError as error:
            raise OSError(f"{host}:{listen.port}: {error}") from error
        await self._server.start()
        return listen.host, port

    async def drain(self, grace_s: float) -> None:
        """Returns when the running calls have ended, or have been cancelled after `grace_s`.

        New ones are answered until then, and requests refused by the dispatcher: what reaches a server that is stopping ends as
        CANCELLED, which no client repeats elsewhere.
        """
        self._draining.set()
        if self._server is None or self._calls is None:
            return
        clock = asyncio.get_running_loop().time
        until_s = clock() + grace_s
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._calls.idle.wait(), grace_s)
        await self._server.stop(max(0.0, until_s - clock()))

    async def close(self) -> None:
        """Ends what still runs."""
        await self.drain(0)

    def _register(self, server: GuardedServer) -> None:
        service = self._service
        inference_pb2_grpc.add_InferenceServicer_to_server(InferenceServicer(service, self._config.limits), server)
        grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(OipServicer(service, self._config), server)
        health = HealthServicer((_INFERENCE, _OIP), service.ready, self._draining)
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        listed = reflection.ReflectionServicer((_INFERENCE, _OIP, _HEALTH, _REFLECTION))
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(listed, server)


def _options(largest_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", largest_message_bytes),
        # Two routers on one port must fail, not share its calls by chance.
        ("grpc.so_reuseport", 0),
        # A caller whose machine vanished is noticed, and its slot in the engine freed.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # Clients may ping as often as once in 10 s, also between calls.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
