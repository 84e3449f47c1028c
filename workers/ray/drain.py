"""`python -m workers.ray.drain`: ends this pod's replica in order before the pod goes (the preStop hook of a Ray worker pod).

Ray ends its actors at once when their node goes. So the replica is told to drain first: routers hear of it and send nothing
more, and what it has begun it may finish. Settings come from HEADGATE_WORKER_CONFIG, the address from POD_IP. Exit 0 also where
the pod holds no replica; 1: the replica did not do as told; 2: bad settings.
"""

import os
import sys
from collections.abc import Mapping

import grpc

from headgate.v1.worker_pb2 import DrainRequest
from headgate.v1.worker_pb2_grpc import WorkerStub
from workers.config import ConfigError, WorkerConfig, load_variable
from workers.probe import SERVER_NAME
from workers.tls import TlsUnusable, read

_CONNECT_S = 2.0  # beyond the grace


def drain(config: WorkerConfig, host: str) -> str:
    """Returns once the replica is idle or its grace is over; what went wrong, "" where nothing did."""
    address = f"{host}:{config.listen.rpartition(':')[2]}"
    with _channel(config, address) as channel:
        try:
            WorkerStub(channel).Drain(DrainRequest(grace_s=config.drain_s), timeout=config.drain_s + _CONNECT_S)
        except grpc.RpcError as fault:
            return "" if fault.code() == grpc.StatusCode.UNAVAILABLE else f"{address}: {fault.code().name}"
    return ""


def _channel(config: WorkerConfig, address: str) -> grpc.Channel:
    """The pod's own certificate serves as the client's. Raises TlsUnusable."""
    direct = ("grpc.enable_http_proxy", 0)
    if config.tls is None:
        return grpc.insecure_channel(address, options=[direct])
    credentials = grpc.ssl_channel_credentials(*read(config.tls.folder))
    return grpc.secure_channel(address, credentials, options=[direct, ("grpc.ssl_target_name_override", SERVER_NAME)])


def main(environment: Mapping[str, str] = os.environ) -> int:
    try:
        wrong = drain(load_variable(environment), environment.get("POD_IP", "127.0.0.1"))
    except (ConfigError, TlsUnusable) as fault:
        sys.stderr.write(f"headgate drain: {fault}\n")
        return 2
    if wrong:
        sys.stderr.write(f"headgate drain: {wrong}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
