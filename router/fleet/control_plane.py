"""Where the control plane's replicas are: one host name may stand for several of them. Owns neither streams nor calls."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from router.fleet.channels import Channels

Resolve = Callable[[str], Awaitable[tuple[str, ...]]]


async def resolve(address: str) -> tuple[str, ...]:
    """Every ip:port that host:port stands for now, sorted. Raises OSError where the name leads nowhere."""
    host, _, port = address.rpartition(":")
    found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    ips = {f"[{name[0]}]" if family == socket.AF_INET6 else str(name[0]) for family, _, _, _, name in found}
    return tuple(sorted(f"{ip}:{port}" for ip in ips))


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """How this router reaches it. `name` is host:port as configured; `router_id` is what this router calls itself there."""

    name: str
    channels: Channels
    router_id: str
    resolve: Resolve = resolve

    async def addresses(self) -> tuple[str, ...]:
        """Those of its replicas, at least one; channels to others are given up. Raises OSError."""
        found = await self.resolve(self.name)
        if not found:
            raise OSError(f"{self.name} leads nowhere")
        self.channels.keep(found)
        return found
