"""Where a round of a request goes now: pool and replica, or how long it waits for one, or why there is none.

Owns no request: what it finds it writes into the round. Time is the event loop's.
"""

import asyncio
from typing import Protocol

from router.config import Failover
from router.errors import DeadlineExceeded, HeadgateError, NoReplica
from router.job import Job, Round
from router.picking.pipeline import Pick
from router.routing import Routing
from router.snapshot import Fleet, Pool
from router.waiting import WaitingRoom, cold_start_wait_s


class Fleets(Protocol):
    """The newest snapshot."""

    def view(self) -> Fleet: ...


class Placer:
    """One per router."""

    def __init__(self, fleets: Fleets, room: WaitingRoom, routing: Routing, failover: Failover) -> None:
        self._fleets = fleets
        self._room = room
        self._routing = routing
        self._failover = failover

    async def place(self, job: Job, round_: Round, tried: set[str], *, begun: bool) -> tuple[Pool, Pick]:
        """Pool and replica for the next try. Where there is none, an answer that was accepted waits for one; a new request is
        told at once, but for pools that are started by being asked for."""
        if (found := self._find(job, round_, tried)) is not None:
            return found
        deadline = round_.request.deadline
        check_deadline(deadline)
        fleet = self._fleets.view()
        wait_s = self._failover.wait_s if begun else cold_start_wait_s(_pools(round_, fleet), fleet)
        if not wait_s:
            raise self._nobody(job, round_, fleet)
        give_up_s = until_s = now_s() + wait_s
        if deadline is not None:
            until_s = min(until_s, deadline)
        with self._room.entered(_names(round_), begun=begun) as ticket:
            while await self._room.turn(ticket, until_s):
                if (found := self._find(job, round_, tried)) is not None:
                    return found
        if until_s < give_up_s:
            raise DeadlineExceeded("the request's time was up before a replica was ready")
        why = self._nobody(job, round_, self._fleets.view())
        raise NoReplica(f"no replica was ready within {wait_s:g} s: {why}", retry_after_s=5.0)

    def _find(self, job: Job, round_: Round, tried: set[str]) -> tuple[Pool, Pick] | None:
        """The best replica of the best pool that has one for this request now."""
        fleet = self._fleets.view()
        for pool in _pools(round_, fleet):
            # Tried replicas are the last resort: they may have come back.
            for excluded in (frozenset(tried), frozenset()) if tried else (frozenset[str](),):
                if (pick := self._routing.pick(job.plan, pool, fleet, excluded)) is not None:
                    round_.pool, round_.decision = pool, self._routing.decision(job.plan, pool, pick, staged=round_.staged)
                    return pool, pick
        return None

    def _nobody(self, job: Job, round_: Round, fleet: Fleet) -> HeadgateError:
        pools = _pools(round_, fleet)
        if not pools:
            return NoReplica(f"the pool of {job.request.model} has gone", retry_after_s=2.0)
        return self._routing.refusal(job.plan, pools[0], fleet)


def check_deadline(deadline: float | None) -> None:
    if deadline is not None and now_s() >= deadline:
        raise DeadlineExceeded("the request's time is up")


def now_s() -> float:
    """The clock of deadlines."""
    return asyncio.get_running_loop().time()


def _names(round_: Round) -> list[str]:
    """Pools to try. An answer that has begun stays with its model."""
    if round_.pool is not None and (round_.begun or len(round_.answers) > 1):
        return [round_.pool.name]
    return list(round_.names)


def _pools(round_: Round, fleet: Fleet) -> list[Pool]:
    """Those of them that are there, as this snapshot has them."""
    return [pool for name in _names(round_) if (pool := fleet.pool(name)) is not None]
