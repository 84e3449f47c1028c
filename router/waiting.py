"""Where requests wait for a pool that has no replica ready: a cold start, or the last replica was lost in mid-answer.

Owns who waits and whose turn it is. One look at the fleet every few milliseconds serves all of them, and the longest waiting
go first, a few at a time: the first replica that comes up must not be met by a thousand requests at once.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from router.errors import NoReplica
from router.snapshot import Fleet, Pool

STEP_S = 0.02
AT_ONCE = 32  # requests of one pool that are let go in one step


class FleetSource(Protocol):
    def view(self) -> Fleet: ...


@dataclass(slots=True, eq=False)
class Ticket:
    """One that waits, for a replica of any of `pools`; it is counted under the first."""

    pools: tuple[str, ...]
    since_s: float
    turn: asyncio.Future[None]


class WaitingRoom:
    """Used on one event loop. `most` bounds those that wait without having begun."""

    def __init__(self, fleet: FleetSource, most: int) -> None:
        self._fleet = fleet
        self._most = most
        self._tickets: dict[Ticket, None] = {}  # in order of arrival
        self._timer: asyncio.TimerHandle | None = None
        self._on_entry: Callable[[], None] | None = None

    def on_entry(self, callback: Callable[[], None]) -> None:
        """Calls back whenever a request begins to wait."""
        self._on_entry = callback

    def waiting(self, pool: str, now_s: float) -> tuple[int, float]:
        """How many wait for this pool, and for how many seconds the oldest has."""
        waits = [now_s - ticket.since_s for ticket in self._tickets if ticket.pools[0] == pool]
        return len(waits), max(waits, default=0.0)

    @contextmanager
    def entered(self, pools: Sequence[str], *, begun: bool) -> Iterator[Ticket]:
        """Waits from here to the end of the block. Raises NoReplica where too many do; a `begun` answer is never too many."""
        if not begun and len(self._tickets) >= self._most:
            raise NoReplica(f"{len(self._tickets)} requests wait for a replica, the most this router holds", retry_after_s=5.0)
        loop = asyncio.get_running_loop()
        ticket = Ticket(tuple(pools), loop.time(), loop.create_future())
        self._tickets[ticket] = None
        if self._timer is None:
            self._timer = loop.call_later(STEP_S, self._step)
        if self._on_entry is not None:
            self._on_entry()
        try:
            yield ticket
        finally:
            del self._tickets[ticket]
            if not self._tickets and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    async def turn(self, ticket: Ticket, until_s: float) -> bool:
        """Returns True when a replica is ready and it is this one's turn to try, False at `until_s` of the loop's clock."""
        try:
            async with asyncio.timeout_at(until_s):
                await ticket.turn
        except TimeoutError:
            return False
        ticket.turn = asyncio.get_running_loop().create_future()
        return True

    def _step(self) -> None:
        fleet = self._fleet.view()
        ready = {pool.name for pool in fleet.pools if is_ready(pool, fleet)}
        gone: Counter[str] = Counter()
        for ticket in self._tickets if ready else ():
            name = ticket.pools[0]
            if gone[name] < AT_ONCE and not ticket.turn.done() and not ready.isdisjoint(ticket.pools):
                gone[name] += 1
                ticket.turn.set_result(None)
        self._timer = asyncio.get_running_loop().call_later(STEP_S, self._step)


def is_ready(pool: Pool, fleet: Fleet) -> bool:
    """Whether the pool has a ready replica."""
    return bool(fleet.ready[pool.rows].any())


def cold_start_wait_s(pools: Sequence[Pool], fleet: Fleet) -> float:
    """How long a new request may wait for any of these pools, best first; 0 where it should not, since one is up."""
    if any(is_ready(pool, fleet) for pool in pools):
        return 0.0
    return float(next((pool.cold_start_wait_s for pool in pools if pool.cold_start_wait_s), 0))
