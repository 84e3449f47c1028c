"""Which ports the router takes: flag, then environment, then headgate.yaml, then the default. Says clearly when one is busy."""

import errno
import os
import socket
from dataclasses import dataclass

from cli.errors import CommandError


@dataclass(frozen=True, slots=True)
class Door:
    """One of the router's two addresses, and the ways to choose its port."""

    what: str
    flag: str
    variable: str


HTTP = Door("HTTP", "--http-port", "HEADGATE_HTTP_PORT")
GRPC = Door("gRPC", "--grpc-port", "HEADGATE_GRPC_PORT")
# Where a router listens unless told otherwise, and where the other commands look for it.
DEFAULT_HTTP = "127.0.0.1:8080"
DEFAULT_GRPC = "127.0.0.1:50051"


def named_port(door: Door, flag: int | None) -> int | None:
    """The port the user named for it by flag or environment; None when neither does."""
    if flag is not None:
        return _whole(door.flag, str(flag))
    value = os.environ.get(door.variable, "").strip()
    return _whole(door.variable, value) if value else None


def _whole(source: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) <= 65535):
        raise CommandError(f"{source}: {value!r} is not a port", todo="give 0 to 65535; 0 takes a free port", exit_code=2)
    return int(value)


def busy(host: str, port: int) -> OSError | None:
    """Why nothing can listen there now; None when something can. Port 0 always can, on a host of ours."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as fault:
        return fault
    return None


def check_free(door: Door, at: tuple[str, int]) -> None:
    """Raises CommandError naming the port and the flag that changes it."""
    host, port = at
    fault = busy(host, port)
    if fault is None:
        return
    change = f"choose another with {door.flag} N or {door.variable}=N (0 takes a free one)"
    if fault.errno == errno.EADDRINUSE:
        raise CommandError(f"port {port} on {host} ({door.what}) is in use by another program", todo=f"stop it, or {change}")
    raise CommandError(f"cannot listen on {host}:{port} ({door.what}): {fault.strerror or fault}", todo=change)
