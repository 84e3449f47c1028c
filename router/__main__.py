"""Composition root of the router: config → objects → serve → drain. `python -m router --config FILE`."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from random import Random

import uvloop

from router.admission.accounts import open_accounts
from router.admission.treasury import Treasury
from router.books import Books
from router.cascading import Judge
from router.config import ConfigError, RouterConfig, load
from router.dispatch import Dispatcher, Means
from router.embedding import Embedder
from router.fleet.channels import Channels
from router.fleet.feed import Feed
from router.fleet.loads import LoadCounts
from router.fleet.stats import StatsWatcher
from router.fleet.store import FleetStore
from router.fronts.grpc_front import GrpcFront
from router.fronts.http_front import HttpFront
from router.metrics import Metrics
from router.metrics.money import money
from router.mind import Mind
from router.named_classes import load_choosers
from router.picking.prefix_index import PrefixIndex
from router.picking.registry import build_pipeline
from router.routing import Routing
from router.service import Service
from router.tls import WORKER, TlsFiles, TlsUnusable
from router.verifiers import load_verifiers
from router.waiting import WaitingRoom
from router.worker_client import WorkerClient

log = logging.getLogger("router")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def serve(config: RouterConfig, ready_file: Path | None) -> None:
    """Runs until SIGTERM or SIGINT, then drains: no new work, running answers get `drain_s` to end. Raises TlsUnusable
    and ConfigError."""
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tls = TlsFiles(config.tls.folder) if config.tls is not None else None
    store = FleetStore(config)
    channels = Channels(config.limits.max_timeout_s, tls, WORKER)
    room = WaitingRoom(store, config.limits.max_waiting_cold)
    metrics, loads = Metrics(store), LoadCounts()
    feed = Feed(config.topology, store, loads, room, tls)
    books = Books(metrics, loads)
    mind = Mind(config)
    accounts = open_accounts(config.redis, config.budgets)
    treasury = Treasury(accounts, lambda: store.policies)
    own = load_choosers(config.choosers)
    routing = Routing(mind.experience, build_pipeline(config.picking), PrefixIndex(), Random(), own)
    store.on_incarnation(routing.forget)
    store.subscribe(lambda _: mind.experience.learning.tenants(len(store.tenants)))
    books.learn_with(mind.experience.heard, mind.experience.preferred, mind.experience.revised)
    workers = WorkerClient(channels, config.failover)
    means = Means(store, workers, room, treasury)
    dispatcher = Dispatcher(means, routing, Judge(load_verifiers(config.verifiers)), books, config)
    embedder = Embedder(store, workers, routing, books, room, config.failover.tries, treasury)
    service = Service(dispatcher, embedder, store, routing, books, treasury)
    feed.shown_by(metrics)
    mind.shown_by(metrics)
    metrics.watch(lambda: money(accounts.figures(), treasury.prices()))
    http = HttpFront(service, config, metrics.page)
    grpc = GrpcFront(service, config)
    async with asyncio.TaskGroup() as tasks:
        lasting = (StatsWatcher(store, channels, tls=tls), feed, accounts, mind)
        background = [tasks.create_task(each.run()) for each in lasting]
        http_address = await http.start()
        grpc_address = await grpc.start()
        _announce(ready_file, http_address, grpc_address)
        await stop.wait()
        for number in STOP_SIGNALS:  # a second one ends the process at once
            asyncio.get_running_loop().remove_signal_handler(number)
        log.info("shutting down: up to %g s for %d running requests", config.drain_s, dispatcher.in_flight)
        service.draining = True
        await asyncio.gather(http.drain(config.drain_s), grpc.drain(config.drain_s))
        await asyncio.gather(http.close(), grpc.close())
        await asyncio.gather(accounts.close(), mind.close())
        for task in background:
            task.cancel()
    await asyncio.gather(channels.close(), feed.close())


def _announce(ready_file: Path | None, http: tuple[str, int], grpc: tuple[str, int]) -> None:
    """Says where the router listens; the file appears whole or not at all."""
    addresses = {"http": f"{http[0]}:{http[1]}", "grpc": f"{grpc[0]}:{grpc[1]}", "pid": os.getpid()}
    log.info("serving HTTP on %s and gRPC on %s", addresses["http"], addresses["grpc"])
    if ready_file is not None:
        fresh = ready_file.with_suffix(".new")
        fresh.write_text(json.dumps(addresses))
        fresh.replace(ready_file)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m router", description="The Headgate router.")
    parser.add_argument("--config", type=Path, required=True, help="router settings, YAML")
    parser.add_argument("--ready-file", type=Path, help="written with the addresses once the router serves")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        config = load(arguments.config)
    except ConfigError as fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    try:
        uvloop.run(serve(config, arguments.ready_file))
    except (ConfigError, TlsUnusable) as fault:
        sys.stderr.write(f"router: {fault}\n")
        return 2
    except OSError as fault:
        sys.stderr.write(f"router: can't listen: {fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
