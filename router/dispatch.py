"""The request path, in order: admit → choose a pool → set money aside → pick a replica → stream → settle.

A lost replica is replaced in mid-answer (`continuation.py` says how), so the caller sees a pause and nothing else. A policy may
ask a cheap pool first and go on to a dearer one where its answer is weak (`cascading.py`). This module knows no transport:
fronts decode to Request and encode Events; the store and the workers are reached through the Protocols below. Everything it
counts or sets aside is released in `finally`, whether the answer ended, failed, or the caller left.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from random import Random
from secrets import token_hex
from time import perf_counter
from typing import Protocol

from router.admission.money import NOTHING_HELD, Expected, Hold
from router.cascading import Course, Judge, run_stages
from router.choosing.cascade import Now, Staged, plan_stages
from router.choosing.terms import Terms
from router.config import RouterConfig
from router.continuation import Answer, Call, Part
from router.errors import AnswerLost, BudgetExhausted, HeadgateError, NoReplica, Rejected, ReplicaLost
from router.job import Job, Round
from router.merge import merged
from router.picking.pipeline import Pick
from router.placing import Placer, check_deadline, now_s
from router.request import BudgetState, Event, Finished, Piece, Request, Started
from router.routing import Plan, Routing
from router.snapshot import Fleet, Pool, Tenant
from router.waiting import WaitingRoom


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


class Treasury(Protocol):
    """Tenants' money."""

    def terms(self, tenant: Tenant) -> Terms: ...
    async def hold(self, request_id: str, tenant: Tenant, bounds_usd: Sequence[float], expected: Expected) -> Hold: ...
    def settle(self, tenant: Tenant, hold: Hold, actual_usd: float, expected_usd: float) -> None: ...
    def states(self, tenant: Tenant) -> tuple[BudgetState, ...]: ...


class Ledger(Protocol):
    """Counts what happened. Cheap: it is called on every request."""

    def started(self) -> None: ...
    def arrived(self, pool: str) -> None: ...
    def finished(self, request: Request, tenant: Tenant, finished: Finished, trace: object | None = None) -> None: ...
    def failed(self, request: Request, tenant: Tenant, code: str) -> None: ...
    def decided(self, seconds: float) -> None: ...
    def escalated(self, from_pool: str, to_pool: str) -> None: ...
    def resumed(self, request: Request, pool: Pool, pick: Pick, lost: ReplicaLost) -> None: ...
    def ended(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What a request is served with."""

    store: Store
    workers: Workers
    room: WaitingRoom
    treasury: Treasury


class Dispatcher:
    """Serves requests. One per router process, used from its event loop only."""

    def __init__(self, means: Means, routing: Routing, judge: Judge, ledger: Ledger, config: RouterConfig) -> None:
        self._store = means.store
        self._workers = means.workers
        self._treasury = means.treasury
        self._placer = Placer(means.store, means.room, routing, config.failover)
        self._routing = routing
        self._judge = judge
        self._ledger = ledger
        self._limits = config.limits
        self._failover = config.failover
        self._budgeted_tokens = config.budgets.default_max_tokens
        self._rng = Random()
        self.in_flight = 0
        self.draining = False

    async def generate(self, request: Request, tenant: Tenant) -> AsyncGenerator[Event, None]:
        """Streams one answer: Started, Pieces of all choices, Finished. Closing it cancels the request in the engines."""
        self._admit()
        job: Job | None = None
        outcome = "cancelled"  # unless something else is known: the caller left
        try:
            job = await self._accept(request, tenant)
            async with aclosing(self._answer(job)) as pieces:
                async for piece in pieces:
                    if job.ttft_s is None:
                        job.ttft_s = perf_counter() - job.began_s
                        yield Started(request.id, job.decided())
                    yield piece
            finished = self._finish(job)
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
                if job is not None:  # what was used until then is paid
                    self._settle(job)

    def _admit(self) -> None:
        if self.draining:
            raise NoReplica("this router is shutting down", retry_after_s=1.0)
        if self.in_flight >= self._limits.max_in_flight:
            raise Rejected(f"{self.in_flight} requests are in flight, the most this router takes", retry_after_s=1.0)
        self.in_flight += 1
        self._ledger.started()

    async def _accept(self, request: Request, tenant: Tenant) -> Job:
        """Chooses, and sets aside what the choice can cost at most; choices that the money can't cover are dropped."""
        began = perf_counter()
        request = self.bounded(request, tenant)
        plan = self._routing.plan(request, tenant, self._store.view(), self._treasury.terms(tenant))
        staged = self.staged(plan)
        self._ledger.decided(perf_counter() - began)
        self._ledger.arrived(plan.choices[0].pool.name)
        expected_usd = plan.choices[0].cost_usd if not staged.stages else staged.expected_usd
        hold = await self._hold(plan, staged, expected_usd, tenant) if tenant.budgets else NOTHING_HELD
        if staged.stages:
            job = Job(request, tenant, self._routing.begin(plan, try_another=False), hold, expected_usd, began)
            job.course = Course(staged, hold.usd, job.cost_usd)
            return job
        return Job(request, tenant, self._routing.begin(_covered(plan, hold)), hold, expected_usd, began)

    async def _hold(self, plan: Plan, staged: Staged, expected_usd: float, tenant: Tenant) -> Hold:
        bounds_usd = staged.bounds_usd or sorted({choice.bound_usd for choice in plan.choices}, reverse=True)
        typical_usd = sum(choice.cost_usd for choice in plan.choices) / len(plan.choices)
        # Not under the request's id: callers choose those, and what is set aside under one id is set aside once.
        return await self._treasury.hold(token_hex(12), tenant, bounds_usd, Expected(expected_usd, typical_usd))

    def bounded(self, request: Request, tenant: Tenant) -> Request:
        """An answer without a limit has no certain cost: where a hard budget holds, the settings' limit does."""
        if request.sampling.max_tokens is not None or not any(budget.hard for budget in tenant.budgets):
            return request
        return replace(request, sampling=replace(request.sampling, max_tokens=self._budgeted_tokens))

    def staged(self, plan: Plan) -> Staged:
        """The cascade that the policy asks for, as far as it is worth it; no stages where it is not, or there is none."""
        spec = plan.terms.policy.cascade
        if spec is None:
            return Staged()
        staged = plan_stages(spec, plan.request, plan.choices, Now(now_s(), self._routing.latency.timings))
        if staged.refusal:
            raise BudgetExhausted(staged.refusal)
        return staged

    def _answer(self, job: Job) -> AsyncGenerator[Piece, None]:
        """The pieces that the caller is to see."""
        if job.course is None:
            return self._round(job, job.begin())
        return run_stages(job.course, lambda stage: self._round(job, job.begin(stage)), self._judge)

    def _round(self, job: Job, round_: Round) -> AsyncGenerator[Piece, None]:
        return merged([self._choice(job, round_, answer) for answer in round_.answers])

    async def _choice(self, job: Job, round_: Round, answer: Answer) -> AsyncGenerator[Piece, None]:
        """One choice, on as many replicas as it takes."""
        lost: ReplicaLost | None = None
        tried: set[str] = set()
        for attempt in range(self._failover.tries):
            pool, pick = await self._placer.place(job, round_, tried, begun=attempt > 0)
            sampling, resume = answer.next_try(pool.reports_token_ids)
            call = Call(round_.request, answer.index, pool.models[0], sampling, resume, job.plan.cache_salt)
            self._store.assume(pick.replica_id)
            sent_s = perf_counter()
            try:
                async with aclosing(self._workers.generate(self._store.address(pick.replica_id), call)) as parts:
                    async for part in parts:
                        if part.prompt_tokens is not None and not resume:
                            self._routing.learn(job.plan, pool, pick, part.prompt_tokens, part.cached_tokens)
                        if (piece := answer.accept(part)) is not None:
                            if round_.ttft_s is None:
                                round_.ttft_s = perf_counter() - sent_s
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
            await self._back_off(attempt, round_.request.deadline)
        kind = AnswerLost if answer.begun else NoReplica
        raise kind(f"{self._failover.tries} tries failed; the last: {lost}", retry_after_s=1.0) from lost

    async def _back_off(self, attempt: int, deadline: float | None) -> None:
        check_deadline(deadline)
        await asyncio.sleep(self._rng.uniform(0.0, 2 * self._failover.backoff_s * 2**attempt))

    def _settle(self, job: Job) -> float:
        """Once for every job; returns what it cost, all rounds together."""
        cost_usd = job.cost_usd()
        if job.settled:
            return cost_usd
        job.settled = True
        self._treasury.settle(job.tenant, job.hold, cost_usd, job.expected_usd)
        self._routing.end(job.plan, cost_usd)
        return cost_usd

    def _finish(self, job: Job) -> Finished:
        """Settles, and says what the answer used and cost."""
        cost_usd = self._settle(job)
        asked = job.asked()
        for left, taken in pairwise(asked):
            self._ledger.escalated(left, taken)
        decision = job.decided()
        trace = self._routing.answered(job.plan, decision.pool, asked[:-1], broke_form=job.broke_form())
        ttft_s, total_s = job.ttft_s or 0.0, perf_counter() - job.began_s
        if job.course is None and job.request.stream and not job.resumed:  # else times are not those of one replica
            self._routing.timed(job.rounds[0].decision, job.usage(), job.rounds[0].ttft_s, total_s - ttft_s)
        budgets = self._treasury.states(job.tenant) if job.tenant.budgets else ()
        weak = len(asked) - 1
        finished = Finished(job.usage(), cost_usd, decision, job.resumed, ttft_s, total_s, weak, job.used(), budgets)
        self._ledger.finished(job.request, job.tenant, finished, trace)
        return finished


def _covered(plan: Plan, hold: Hold) -> Plan:
    """Without the choices that could cost more than was set aside."""
    if hold.usd == inf or all(choice.bound_usd <= hold.usd for choice in plan.choices):
        return plan
    return plan._replace(choices=tuple(choice for choice in plan.choices if choice.bound_usd <= hold.usd))
