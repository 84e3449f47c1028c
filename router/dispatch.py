"""The request path, in order: admit → choose a pool → pick a replica → stream → settle.

A lost replica is replaced in mid-answer (`continuation.py` says how), so the caller sees a pause and nothing else. This module
knows no transport: fronts decode to Request and encode Events; the store and the workers are reached through the Protocols
below. Everything it counts is released in `finally`, whether the answer ended, failed, or the caller left.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from random import Random
from time import perf_counter
from typing import Protocol

from router.config import RouterConfig
from router.continuation import Answer, Call, Part
from router.errors import AnswerLost, DeadlineExceeded, HeadgateError, NoReplica, Rejected, ReplicaLost
from router.merge import merged
from router.picking.pipeline import Pick
from router.request import Decision, Event, Finished, Piece, Request, Started, Usage
from router.routing import Plan, Routing
from router.snapshot import Fleet, Pool, Tenant
from router.waiting import WaitingRoom, cold_start_wait_s


class Store(Protocol):
    """The fleet, as far as dispatch acts on it."""

    def view(self) -> Fleet: ...
    def address(self, replica_id: str) -> str: ...
    def assume(self, replica_id: str) -> None: ...
    def release(self, replica_id: str) -> None: ...
    def failed(self, replica_id: str) -> None: ...
    def succeeded(self, replica_id: str) -> None: ...


class Workers(Protocol):
    """The wire to the workers."""

    def generate(self, address: str, call: Call) -> AsyncGenerator[Part, None]: ...


class Ledger(Protocol):
    """Counts what happened. Cheap: it is called on every request."""

    def started(self) -> None: ...
    def arrived(self, pool: str) -> None: ...
    def finished(self, request: Request, tenant: Tenant, finished: Finished) -> None: ...
    def failed(self, request: Request, tenant: Tenant, code: str) -> None: ...
    def decided(self, seconds: float) -> None: ...
    def resumed(self, request: Request, pool: Pool, pick: Pick, lost: ReplicaLost) -> None: ...
    def ended(self) -> None: ...


@dataclass(slots=True)
class Job:
    """One request under way. `pool` and `decision` say where it is now."""

    request: Request
    plan: Plan
    began_s: float
    answers: list[Answer]
    pool: Pool | None = None
    decision: Decision | None = None
    resumed: int = 0
    ttft_s: float | None = None

    @property
    def begun(self) -> bool:
        return any(answer.begun for answer in self.answers)


class Dispatcher:
    """Serves requests. One per router process, used from its event loop only."""

    def __init__(
        self, store: Store, workers: Workers, routing: Routing, ledger: Ledger, room: WaitingRoom, config: RouterConfig
    ) -> None:
        self._store = store
        self._room = room
        self._workers = workers
        self._routing = routing
        self._ledger = ledger
        self._limits = config.limits
        self._failover = config.failover
        self._rng = Random()
        self.in_flight = 0
        self.draining = False

    async def generate(self, request: Request, tenant: Tenant) -> AsyncGenerator[Event, None]:
        """Streams one answer: Started, Pieces of all choices, Finished. Closing it cancels the request in the engines."""
        self._admit()
        outcome = "cancelled"  # unless something else is known: the caller left
        try:
            job = self._plan(request, tenant)
            async with aclosing(merged([self._choice(job, answer) for answer in job.answers])) as pieces:
                async for piece in pieces:
                    if job.ttft_s is None:
                        job.ttft_s = perf_counter() - job.began_s
                        yield Started(request.id, self._decided(job))
                    yield piece
            finished = self._settle(job, tenant)
            outcome = ""
            yield finished
        except HeadgateError as fault:
            outcome = fault.code
            raise
        except Exception:
            outcome = "internal"
            raise
        finally:
            self.in_flight -= 1
            self._ledger.ended()
            if outcome:
                self._ledger.failed(request, tenant, outcome)

    def _plan(self, request: Request, tenant: Tenant) -> Job:
        began = perf_counter()
        plan = self._routing.plan(request, tenant, self._store.view())
        self._ledger.decided(perf_counter() - began)
        self._ledger.arrived(plan.choices[0].pool.name)
        return Job(request, plan, began, [Answer(index, request) for index in range(request.n)])

    def _admit(self) -> None:
        if self.draining:
            raise NoReplica("this router is shutting down", retry_after_s=1.0)
        if self.in_flight >= self._limits.max_in_flight:
            raise Rejected(f"{self.in_flight} requests are in flight, the most this router takes", retry_after_s=1.0)
        self.in_flight += 1
        self._ledger.started()

    async def _choice(self, job: Job, answer: Answer) -> AsyncGenerator[Piece, None]:
        """One choice, on as many replicas as it takes."""
        lost: ReplicaLost | None = None
        tried: set[str] = set()
        for attempt in range(self._failover.tries):
            pool, pick = await self._place(job, tried, begun=attempt > 0)
            sampling, resume = answer.next_try(pool.reports_token_ids)
            call = Call(job.request, answer.index, pool.models[0], sampling, resume, job.plan.cache_salt)
            self._store.assume(pick.replica_id)
            try:
                async with aclosing(self._workers.generate(self._store.address(pick.replica_id), call)) as parts:
                    async for part in parts:
                        if part.prompt_tokens is not None and not resume:
                            self._routing.learn(job.plan, pool, pick, part.prompt_tokens, part.cached_tokens)
                        if (piece := answer.accept(part)) is not None:
                            yield piece
                self._store.succeeded(pick.replica_id)
                return
            except ReplicaLost as fault:
                lost = fault
                if fault.at_fault:
                    self._store.failed(pick.replica_id)
            finally:
                self._store.release(pick.replica_id)
            tried.add(pick.replica_id)
            job.resumed += 1
            self._ledger.resumed(job.request, pool, pick, lost)
            await self._back_off(attempt, job.request.deadline)
        kind = AnswerLost if answer.begun else NoReplica
        raise kind(f"{self._failover.tries} tries failed; the last: {lost}", retry_after_s=1.0) from lost

    async def _place(self, job: Job, tried: set[str], *, begun: bool) -> tuple[Pool, Pick]:
        """Pool and replica for the next try. Where there is none, an answer that was accepted waits for one; a new request is
        told at once, but for pools that are started by being asked for."""
        if (found := self._find(job, tried)) is not None:
            return found
        self._check_deadline(job.request.deadline)
        fleet = self._store.view()
        wait_s = self._failover.wait_s if begun else cold_start_wait_s(self._pools(job, fleet), fleet)
        if not wait_s:
            raise self._nobody(job, fleet)
        give_up_s = until_s = self._now() + wait_s
        if job.request.deadline is not None:
            until_s = min(until_s, job.request.deadline)
        with self._room.entered(self._names(job), begun=begun) as ticket:
            while await self._room.turn(ticket, until_s):
                if (found := self._find(job, tried)) is not None:
                    return found
        if until_s < give_up_s:
            raise DeadlineExceeded("the request's time was up before a replica was ready")
        why = self._nobody(job, self._store.view())
        raise NoReplica(f"no replica was ready within {wait_s:g} s: {why}", retry_after_s=5.0)

    def _find(self, job: Job, tried: set[str]) -> tuple[Pool, Pick] | None:
        """The best replica of the best pool that has one for this request now."""
        fleet = self._store.view()
        for pool in self._pools(job, fleet):
            # Tried replicas are the last resort: they may have come back.
            for excluded in (frozenset(tried), frozenset()) if tried else (frozenset[str](),):
                if (pick := self._routing.pick(job.plan, pool, fleet, excluded)) is not None:
                    job.pool, job.decision = pool, self._routing.decision(job.plan, pool, pick)
                    return pool, pick
        return None

    def _names(self, job: Job) -> list[str]:
        """Pools to try. An answer that has begun stays with its model."""
        if job.pool is not None and (job.begun or len(job.answers) > 1):
            return [job.pool.name]
        return [choice.pool.name for choice in job.plan.choices]

    def _pools(self, job: Job, fleet: Fleet) -> list[Pool]:
        """Those of them that are there, as this snapshot has them."""
        return [pool for name in self._names(job) if (pool := fleet.pool(name)) is not None]

    def _nobody(self, job: Job, fleet: Fleet) -> HeadgateError:
        pools = self._pools(job, fleet)
        if not pools:
            return NoReplica(f"the pool of {job.request.model} has gone", retry_after_s=2.0)
        return self._routing.refusal(job.plan, pools[0], fleet)

    async def _back_off(self, attempt: int, deadline: float | None) -> None:
        self._check_deadline(deadline)
        await asyncio.sleep(self._rng.uniform(0.0, 2 * self._failover.backoff_s * 2**attempt))

    def _check_deadline(self, deadline: float | None) -> None:
        if deadline is not None and self._now() >= deadline:
            raise DeadlineExceeded("the request's time is up")

    def _decided(self, job: Job) -> Decision:
        if job.decision is None:
            raise AnswerLost("an answer began before it had a replica")
        return job.decision

    def _settle(self, job: Job, tenant: Tenant) -> Finished:
        """What the answer used and cost. The prompt is charged once, however many choices were asked for."""
        first = job.answers[0]
        usage = Usage(first.prompt_tokens, sum(answer.completion_tokens for answer in job.answers), first.cached_tokens)
        uncached = usage.prompt_tokens - usage.cached_tokens
        prices = job.pool.prices if job.pool else None
        # Rounded far below a token's price, so that no binary fraction shows in an answer.
        cost = round(prices.cost_usd(uncached, usage.cached_tokens, usage.completion_tokens), 12) if prices else 0.0
        total_s = perf_counter() - job.began_s
        finished = Finished(usage, cost, self._decided(job), job.resumed, job.ttft_s or 0.0, total_s)
        self._ledger.finished(job.request, tenant, finished)
        return finished

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
