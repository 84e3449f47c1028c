"""CPU of one decision: prompt features, pool, prefix match, replica, and its books, on the router's own objects.

    make bench NAME=decision

Nothing is sent. The fleet is a real FleetStore with four pools whose workers have reported; requests are chats of a shared
system prompt, one of 64 shared prefixes and a tail of their own, for `model: auto`; 32 are in flight, so that every decision
sees a new snapshot. A decision here is everything from the request to the release of its replica, the memory of the prompt
included. CPU is this thread's own; medians of repeats. The baseline makes the same decisions with one Python object per
replica, which it reads and writes in place (no snapshots).

Allocations: `blocks_held` are the memory blocks that one decision holds while its request runs, `blocks_kept` those that stay
after it (0: the prompts are known already), `peak_kib` is the most memory one decision needs on the way.
"""

import gc
import statistics
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from random import Random

import numpy as np
import orjson

from router.choosing.beliefs import Beliefs
from router.choosing.choose import Asked, Chooser, PoolChoice, Seen
from router.choosing.features import Features, extract
from router.choosing.quality.prediction import Predictor
from router.choosing.rule import AutoRule
from router.choosing.terms import OWN_TERMS
from router.config import RouterConfig, TopologySource
from router.fleet.specs import PoolSpec, ReplicaSpec
from router.fleet.specs import Report as WorkerReport
from router.fleet.store import FleetStore
from router.picking.pipeline import Ask, Pick
from router.picking.prefix_index import PrefixIndex, chain
from router.picking.registry import PickingConfig, build_pipeline
from router.request import ChatPrompt, Decision, Request, Sampling
from router.routing import Plan, Routing, prompt_bytes
from router.snapshot import Prices, Tenant, Tier
from tests.bench.per_object import PerObjectPicker, decide_all, pick_all
from tests.bench.report import Report
from tests.routings import routing_of
from training.fit.fitting import fit
from training.outcomes.table import Outcomes

SEED = 11
POOL_SIZES = (8, 16, 64, 512)  # 16: 64 replicas in all
REPEATS = 15
ROUND = 512
IN_FLIGHT = 32
ANYONE = Tenant("anyone")
NOBODY: frozenset[str] = frozenset()
TIERS: tuple[Tier, ...] = ("small", "small", "moe", "large")
STARTS, ENDINGS = ("ri", "tra", "no", "gol", "mar", "ste", "wo", "fie"), ("ver", "de", "th", "den", "ket", "p")


@dataclass
class Router:
    """What one decision goes through."""

    store: FleetStore
    routing: Routing
    index: PrefixIndex


def make_predictor(chats: Sequence[Request]) -> Predictor:
    """Trained on invented outcomes of these chats: a pool's answers are better the larger its number."""
    rng = np.random.default_rng(SEED)
    prompts = tuple(
        orjson.loads(chat.prompt.messages_json)[-1]["content"] for chat in chats if isinstance(chat.prompt, ChatPrompt)
    )
    chance = np.array([0.4, 0.5, 0.7, 0.8]) + 0.2 * np.array([len(prompt) % 2 for prompt in prompts])[:, None]
    quality = (rng.random((len(prompts), len(TIERS))) < chance).astype(np.float64)
    nothing = np.full_like(quality, np.nan)
    tokens = rng.integers(20, 400, quality.shape).astype(np.float64)
    return fit(Outcomes(prompts, tuple(f"pool-{at}" for at in range(len(TIERS))), quality, nothing, tokens, None), SEED).model


def make_router(per_pool: int, predictor: Predictor | None = None) -> Router:
    rng = Random(SEED)
    config = RouterConfig(topology=TopologySource(file=Path("unused")))
    store = FleetStore(config, rng=Random(SEED))
    pools = [
        PoolSpec(
            f"pool-{at}",
            tier,
            (f"org/model-{at}",),
            Prices(0.1 * (at + 1), 0.01 * (at + 1), 0.4 * (at + 1)),
            tuple(
                ReplicaSpec(f"pool-{at}-replica-{row}", f"10.{at}.{row // 250}.{row % 250 + 1}:9000") for row in range(per_pool)
            ),
        )
        for at, tier in enumerate(TIERS)
    ]
    store.apply_topology(pools, [], 1)
    for pool in pools:
        for replica in pool.replicas:
            running, waiting, kv_used = rng.randrange(8), rng.randrange(3), rng.random()
            store.apply_report(replica.id, WorkerReport("one", "ready", running, waiting, 64, kv_used, models=pool.models))
    index = PrefixIndex()
    return Router(store, routing_of(predictor, index=index, seed=SEED), index)


def make_requests(size: int, count: int = ROUND) -> list[Request]:
    """Chats of about `size` bytes: a fifth shared by all, most of the rest by one of 64 groups."""
    rng = Random(SEED)

    def text(length: int, rng: Random) -> str:
        return " ".join(rng.choice(STARTS) + rng.choice(ENDINGS) for _ in range(length // 5 + 1))[:length]

    system, groups = text(size // 5, rng), [text(size * 3 // 5, Random(group)) for group in range(64)]
    return [
        Request(
            f"request-{at}",
            "auto",
            ChatPrompt(
                orjson.dumps(
                    [
                        {"role": "system", "content": system},
                        {"role": "user", "content": f"{groups[rng.randrange(64)]} {text(size // 5 - 70, rng)} {at}?"},
                    ]
                )
            ),
            Sampling(max_tokens=200),
        )
        for at in range(count)
    ]


def decide(router: Router, request: Request) -> tuple[Plan, Pick, Decision]:
    """As `Dispatcher` does it, up to sending."""
    store, routing = router.store, router.routing
    fleet = store.view()
    plan = routing.plan(request, ANYONE, fleet)
    pool = plan.choices[0].pool
    pick = routing.pick(plan, pool, fleet, NOBODY)
    if pick is None:
        raise RuntimeError("the bench's fleet must have room")
    decision = routing.decision(plan, pool, pick)
    store.assume(pick.replica_id)
    return plan, pick, decision


def settle(router: Router, plan: Plan, pick: Pick) -> None:
    """As `Dispatcher` does it when the worker has read the prompt, and when the answer has ended."""
    tokens = plan.choices[0].estimate.prompt_tokens
    router.routing.learn(plan, plan.choices[0].pool, pick, tokens, int(tokens * 0.8) if pick.matched_blocks else 0)
    router.store.succeeded(pick.replica_id)
    router.store.release(pick.replica_id)


def run(router: Router, requests: Sequence[Request]) -> None:
    running: deque[tuple[Plan, Pick]] = deque()
    for request in requests:
        plan, pick, _ = decide(router, request)
        running.append((plan, pick))
        if len(running) > IN_FLIGHT:
            settle(router, *running.popleft())
    while running:
        settle(router, *running.popleft())


def cpu_us(work: Callable[[], object], per: int) -> float:
    """Median CPU of this thread in µs for each of `per` things that `work` does, after one warm-up."""
    work()
    spent = []
    for _ in range(REPEATS):
        started = time.thread_time_ns()
        work()
        spent.append((time.thread_time_ns() - started) / 1000 / per)
    return statistics.median(spent)


def stages(router: Router, requests: Sequence[Request]) -> dict[str, float]:
    """Each step alone, over the same requests, in µs."""
    store, index = router.store, router.index
    pipeline, rng, chooser = build_pipeline(PickingConfig()), Random(SEED), Chooser(Beliefs(AutoRule()).of)
    fleet = store.view()
    features = [extract(each.prompt, each.sampling) for each in requests]
    seen = Seen(fleet, fleet.ready.tobytes())

    def chosen(request: Request, found: Features) -> PoolChoice:
        return chooser.choose(Asked(request, found, ANYONE), seen, OWN_TERMS)[0]

    pool = chosen(requests[0], features[0]).pool
    data = [prompt_bytes(each) for each in requests]
    links = [chain(each, "") for each in data]
    asks = [Ask(each, index.matched(each, fleet, pool)) for each in links]
    ids = list(islice(cycle(fleet.replica_ids), len(requests)))

    def views() -> None:
        for replica_id in ids:
            store.assume(replica_id)
            store.view()
            store.release(replica_id)

    def remember() -> None:
        for each, replica_id in zip(links, ids, strict=True):
            index.remember(each, replica_id)

    pairs = list(zip(requests, features, strict=True))
    return {
        "features_us": cpu_us(lambda: [extract(each.prompt, each.sampling) for each in requests], len(requests)),
        "choose_us": cpu_us(lambda: [chosen(each, found) for each, found in pairs], len(requests)),
        "chain_us": cpu_us(lambda: [chain(each, "") for each in data], len(requests)),
        "matched_us": cpu_us(lambda: [index.matched(each, fleet, pool) for each in links], len(requests)),
        "pick_us": cpu_us(lambda: [pipeline.pick(ask, pool, fleet, NOBODY, rng) for ask in asks], len(requests)),
        "remember_us": cpu_us(remember, len(requests)),
        "view_and_count_us": cpu_us(views, len(requests)),
    }


def allocations(router: Router, requests: Sequence[Request]) -> dict[str, float]:
    """Per decision; see the module's text. The collector is off, so that nothing else moves the counts."""
    for _ in range(3):
        run(router, requests)
    gc.collect()
    gc.disable()
    try:
        before = sys.getallocatedblocks()
        held = [decide(router, request) for request in requests]
        blocks_held = (sys.getallocatedblocks() - before) / len(requests)
        while held:
            plan, pick, _ = held.pop()
            settle(router, plan, pick)
            del plan, pick, _
        gc.collect()  # empties the interpreter's free lists, which count as allocated
        blocks_kept = (sys.getallocatedblocks() - before) / len(requests)
        tracemalloc.start()
        peaks = []
        for request in requests[:64]:
            tracemalloc.reset_peak()
            floor = tracemalloc.get_traced_memory()[0]
            plan, pick, _ = decide(router, request)
            peaks.append((tracemalloc.get_traced_memory()[1] - floor) / 1024)
            settle(router, plan, pick)
        tracemalloc.stop()
    finally:
        gc.enable()
    return {"blocks_held": blocks_held, "blocks_kept": blocks_kept, "peak_kib": statistics.median(peaks)}


def main() -> None:
    report = Report("decision", "CPU of one decision, µs (4 pools, model: auto)", SEED)
    chats = make_requests(2048)
    for per_pool in POOL_SIZES:
        router = make_router(per_pool)
        total_us = cpu_us(partial(run, router, chats), len(chats))
        parts = stages(router, chats)
        report.row(f"4 x {per_pool} replicas, 2 KB chat", total_us=total_us, **parts, **allocations(router, chats))
        if per_pool == 64:
            report.aim(f"total_us at 4 x {per_pool} replicas", total_us, at_most=100.0)
    predictor = make_predictor(make_requests(2048, 600))
    router = make_router(64, predictor)
    total_us = cpu_us(partial(run, router, chats), len(chats))
    found = [extract(each.prompt, each.sampling) for each in chats]
    predict_us = cpu_us(lambda: [predictor.predict(each) for each in found], len(found))
    report.row(
        "4 x 64 replicas, 2 KB chat, trained predictor", total_us=total_us, predict_us=predict_us, **stages(router, chats)
    )
    report.aim("total_us with a trained predictor at 4 x 64", total_us, at_most=120.0)
    report.aim("predict_us of a 2 KB prompt", predict_us, at_most=60.0)
    for size, label in ((200, "200 B"), (16_384, "16 KB"), (1_000_000, "1 MB")):
        router, sized = make_router(64), make_requests(size, count=ROUND if size < 100_000 else 16)
        total_us = cpu_us(partial(run, router, sized), len(sized))
        report.row(f"4 x 64 replicas, {label} chat", total_us=total_us, **stages(router, sized))
    links = [chain(prompt_bytes(each), "") for each in chats]
    for per_pool in POOL_SIZES:
        router = make_router(per_pool)
        picker = PerObjectPicker(router.store.view(), Random(SEED))
        total_us = cpu_us(partial(decide_all, picker, router.store.view(), chats, IN_FLIGHT), len(chats))
        pick_us = cpu_us(partial(pick_all, picker, links), len(links))
        report.row(f"4 x {per_pool}, baseline: per-object Python", total_us=total_us, pick_us=pick_us)
    source = "Go, 64 endpoints, another machine, no choice of model"
    report.published("Gateway API picker v1.5.0 above its transport", source, total_us="335-400")
    report.published("Gateway API picker v1.5.0, its scheduler alone, wall", source, pick_us=64.0)
    report.note("stages are timed alone with warm caches; total_us also has the calls between them")
    report.note("the baseline's pick_us has its prefix match in it; its total has no snapshots")
    report.finish()


if __name__ == "__main__":
    main()
