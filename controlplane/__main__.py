"""Composition root of the control plane: config → objects → serve → drain. `python -m controlplane --config FILE`.

SIGTERM or Ctrl-C ends it in order: the lease is given back, routers are told to look elsewhere. Exit 2: bad settings.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from uuid import uuid4

import uvloop

from controlplane.cluster.api import connected
from controlplane.cluster.controller import Controller, Identity
from controlplane.cluster.health_page import HealthPage
from controlplane.config import ControlPlaneConfig, load
from controlplane.errors import ConfigError
from controlplane.feed.service import Feed
from controlplane.metrics import Metrics

log = logging.getLogger("controlplane")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


async def serve(config: ControlPlaneConfig, kubeconfig: Path | None, ready_file: Path | None) -> None:
    """Runs until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = Metrics()
    async with AsyncExitStack() as open_:
        api = await open_.enter_async_context(connected(kubeconfig))
        feed = Feed(config.listen, config.tls.folder if config.tls else None, monotonic)
        controller = Controller(api, feed, metrics, config, identity())
        metrics.read_from(controller)
        page = HealthPage(config.http, controller.why_not_ready, metrics.page)
        await feed.start()
        addresses = {"http": await page.start(), "grpc": feed.address, "pid": os.getpid()}
        open_.push_async_callback(page.stop)
        log.info("serving Topology on %s, metrics on %s", addresses["grpc"], addresses["http"])
        if ready_file is not None:
            fresh = ready_file.with_suffix(".new")
            fresh.write_text(json.dumps(addresses))
            fresh.replace(ready_file)
        running = asyncio.create_task(controller.run())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for number in STOP_SIGNALS:  # a second one ends the process at once
            asyncio.get_running_loop().remove_signal_handler(number)
        stopped.cancel()
        running.cancel()
        await asyncio.gather(feed.stop(config.drain_s), running, return_exceptions=True)
        if not running.cancelled() and (fault := running.exception()) is not None:
            raise fault


def identity() -> Identity:
    """Who this replica is. The random part tells a process from the one before it in the same pod."""
    name = os.environ.get("POD_NAME") or socket.gethostname()
    namespace = os.environ.get("POD_NAMESPACE") or (
        _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"
    )
    return Identity(f"{name}_{uuid4().hex[:8]}", namespace)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m controlplane", description="The Headgate control plane.")
    parser.add_argument("--config", type=Path, required=True, help="settings, YAML (controlplane/config.py)")
    parser.add_argument("--kubeconfig", type=Path, help="way to the Kubernetes API; without it, the pod's service account")
    parser.add_argument("--ready-file", type=Path, help="written with the addresses once it serves")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("kopf").setLevel(logging.CRITICAL)  # it logs each retry of each watch; when watching ends, we say so
    try:
        uvloop.run(serve(load(arguments.config), arguments.kubeconfig, arguments.ready_file))
    except ConfigError as fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    except OSError as fault:
        sys.stderr.write(f"controlplane: can't listen: {fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
