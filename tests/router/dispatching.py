"""A dispatcher over a real store and the real decisions, with a scripted wire; on a virtual clock."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Never

from router.admission.money import Money
from router.admission.treasury import Treasury
from router.admission.unlimited import Unlimited
from router.cascading import Judge
from router.choosing.quality.prediction import Predictor
from router.config import RouterConfig, TopologySource
from router.continuation import Call, Part
from router.dispatch import Dispatcher, Means
from router.errors import HeadgateError, ReplicaLost
from router.fleet.specs import PolicySpec, PoolSpec, ReplicaSpec, Report
from router.fleet.store import FleetStore
from router.request import Event, Finished, Piece, Request, Sampling, TextPrompt
from router.snapshot import Prices, Tenant
from router.verifiers import Verifiers
from router.waiting import WaitingRoom
from tests.routings import routing_of

ANYONE = Tenant("anyone")
Script = Callable[[str, Call], AsyncGenerator[Part, None]]


async def words(address: str, call: Call, count: int = 10) -> AsyncGenerator[Part, None]:
    """Counts upwards, one token a part, after whatever was resumed."""
    yield Part(prompt_tokens=100, cached_tokens=40)
    done = len(call.resume_token_ids)
    for token in range(done, count):
        yield Part((token,), f"{token} ", finish_reason="stop" if token == count - 1 else None)


def losing(times: int, after: int, fault: HeadgateError | None = None) -> Script:
    """Loses the first `times` calls after some parts, then answers."""
    calls: list[str] = []

    async def script(address: str, call: Call) -> AsyncGenerator[Part, None]:
        calls.append(address)
        lose = len(calls) <= times
        given = 0
        async with aclosing(words(address, call)) as parts:
            async for part in parts:
                if lose and given == after:
                    raise fault or ReplicaLost("gone")
                given += 1
                yield part

    return script


class Ledger:
    def __init__(self) -> None:
        self.running, self.codes, self.done, self.moved = 0, [], [], 0
        self.arrivals: list[str] = []
        self.escalations: list[tuple[str, str]] = []

    def started(self) -> None:
        self.running += 1

    def arrived(self, pool: str) -> None:
        self.arrivals.append(pool)

    def finished(self, request: Request, tenant: Tenant, finished: Finished, trace: object | None = None) -> None:
        self.done.append(finished)

    def failed(self, request: Request, tenant: Tenant, code: str) -> None:
        self.codes.append(code)

    def decided(self, seconds: float) -> None:
        assert seconds >= 0

    def resumed(self, request: Request, pool: object, pick: object, lost: ReplicaLost) -> None:
        self.moved += 1

    def escalated(self, from_pool: str, to_pool: str) -> None:
        self.escalations.append((from_pool, to_pool))

    def ended(self) -> None:
        self.running -= 1


def no_pacer(*_: object) -> Never:
    raise AssertionError("nobody has a budget here")


class World:
    """A dispatcher over pools of ready replicas, and a scripted wire."""

    def __init__(
        self,
        script: Script,
        replicas: int = 2,
        *,
        more_pools: Sequence[PoolSpec] = (),
        money: Money | None = None,
        policies: Mapping[str, PolicySpec] | None = None,
        pacer: Callable[..., Any] = no_pacer,
        predictor: Predictor | None = None,
        judge: Judge | None = None,
        **settings: Any,
    ) -> None:
        config = RouterConfig(topology=TopologySource(file=Path("none")), **settings)
        self.store = FleetStore(config, clock=asyncio.get_running_loop().time, rng=Random(1))
        self.calls: list[tuple[str, Call]] = []
        self.open_calls = 0
        self.ledger = Ledger()
        self.script = script
        specs = [ReplicaSpec(f"r{i}", f"127.0.0.1:{7000 + i}") for i in range(replicas)]
        self.pool = PoolSpec("small", "small", ("smol",), Prices(1.0, 0.1, 10.0), tuple(specs))
        self.store.apply_topology([self.pool, *more_pools], [], 1)
        for spec in specs:
            self.report(spec.id)
        for pool in more_pools:
            for spec in pool.replicas:
                self.report(spec.id, models=pool.models)
        self.room = WaitingRoom(self.store, config.limits.max_waiting_cold)
        clock, known = asyncio.get_running_loop().time, tuple((policies or {}).values())
        self.routing = routing_of(predictor, clock=clock)
        treasury = Treasury(money or Unlimited(), lambda: known, pacer, clock, Random(3))
        means = Means(self.store, self, self.room, treasury)
        self.dispatcher = Dispatcher(means, self.routing, judge or Judge(Verifiers({})), self.ledger, config)

    def report(self, replica_id: str, **changes: object) -> None:
        given = {"incarnation": "1", "phase": "ready", "max_running": 8, "models": ("smol",), "reports_token_ids": True}
        self.store.apply_report(replica_id, Report(**{**given, **changes}))

    def scale(self, replicas: int, **changes: object) -> None:
        """The first so many replicas are the whole pool now."""
        self.store.apply_topology([replace(self.pool, replicas=self.pool.replicas[:replicas], **changes)], [], 9)

    async def generate(self, address: str, call: Call) -> AsyncGenerator[Part, None]:
        self.calls.append((address, call))
        self.open_calls += 1
        try:
            async with aclosing(self.script(address, call)) as parts:
                async for part in parts:
                    yield part
        finally:
            self.open_calls -= 1

    async def ask(self, tenant: Tenant = ANYONE, **changes: Any) -> list[Event]:
        """One answer, of the request that `request` makes with these changes."""
        return [event async for event in self.dispatcher.generate(request(**changes), tenant)]

    def is_idle(self) -> bool:
        return (
            self.open_calls == self.ledger.running == self.dispatcher.in_flight == int(self.store.view().in_flight.sum()) == 0
        )


def request(**changes: Any) -> Request:
    given = {"id": "q", "model": "small", "prompt": TextPrompt("hello " * 100), "sampling": Sampling(temperature=0)}
    return Request(**{**given, **changes})


def now() -> float:
    return asyncio.get_running_loop().time()


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Piece))
