"""`python -m workers.probe`: Kubernetes' probes of a worker that serves with mutual TLS, which its own gRPC probes can't speak.

Exit 0: the worker takes requests; with --live: it lives, whether it takes requests or not. Exit 1: it does not; 2: there is no
usable certificate. The pod's own certificate serves as the client's.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from workers.tls import TlsUnusable, read

SERVER_NAME = "worker.headgate.internal"


def probe(address: str, service: str, credentials: grpc.ChannelCredentials | None, timeout_s: float) -> str:
    """Asks grpc.health.v1 for this service; returns what is wrong, "" where nothing is. None for credentials: plain text."""
    if credentials is None:
        channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
    else:
        options = [("grpc.ssl_target_name_override", SERVER_NAME), ("grpc.enable_http_proxy", 0)]
        channel = grpc.secure_channel(address, credentials, options=options)
    with channel:
        try:
            request = health_pb2.HealthCheckRequest(service=service)
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout_s)
        except grpc.RpcError as fault:
            return f"{address}: {fault.code().name}"
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return ""
    return f"{address}: {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m workers.probe", description="Whether this pod's worker takes requests.")
    parser.add_argument("--live", action="store_const", const="live", default="", help="only whether it lives")
    # A replica on Ray listens on its pod's address alone.
    here = f"{os.environ.get('POD_IP', '127.0.0.1')}:7000"
    parser.add_argument("--address", default=here, help="host:port of the worker")
    parser.add_argument("--tls", type=Path, default=Path("/etc/headgate/tls"), help="folder with ca.crt, tls.crt and tls.key")
    parser.add_argument("--plain", action="store_true", help="the worker serves plain text")
    parser.add_argument("--timeout-s", type=float, default=3.0)
    given = parser.parse_args(arguments)
    try:
        credentials = None if given.plain else grpc.ssl_channel_credentials(*read(given.tls))
    except TlsUnusable as fault:
        sys.stderr.write(f"probe: {fault}\n")
        return 2
    if wrong := probe(given.address, given.live, credentials, given.timeout_s):
        sys.stderr.write(f"probe: {wrong}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
