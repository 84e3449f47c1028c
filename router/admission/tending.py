"""What goes on beside requests: leases are taken and given back, records looked at, spendings booked. Edge: it has a clock."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic

from router.admission.bookings import Bookings
from router.admission.lease import IDLE_S, Lease, Lessee
from router.admission.records import Chain
from router.admission.redis_records import RedisRecords
from router.admission.redis_work import RedisAway
from router.snapshot import Budget

TICK_S = 1.0
LOOK_ACTIVE_S, LOOK_IDLE_S = 2.0, 30.0
AT_ONCE = 128
MOST_CHAINS = 20_000

log = logging.getLogger(__name__)


class Tending:
    """The chains that this router deals with. `run` until cancelled; then nothing may be leased any more."""

    def __init__(self, records: RedisRecords, lease_share: float) -> None:
        self.bookings = Bookings()
        self._records = records
        self._share = lease_share
        self._lessees: dict[tuple[Budget, ...], Lessee] = {}
        self._hurry = asyncio.Event()
        self._closing = False
        self._ticking = asyncio.Lock()

    def lessee(self, budgets: tuple[Budget, ...]) -> Lessee:
        """The chain of these budgets, used now."""
        now_s = monotonic()
        if (lessee := self._lessees.get(budgets)) is None:
            if len(self._lessees) >= MOST_CHAINS:
                self._forget_oldest()
            lessee = self._lessees[budgets] = Lessee(Chain.of(budgets), now_s)
        lessee.used_s = now_s
        return lessee

    def chain(self, budgets: tuple[Budget, ...]) -> Chain:
        """The same, without counting as use."""
        return lessee.chain if (lessee := self._lessees.get(budgets)) is not None else Chain.of(budgets)

    def active(self) -> Iterator[Chain]:
        now_s = monotonic()
        return (each.chain for each in self._lessees.values() if now_s - each.used_s < IDLE_S)

    def leased_nano(self) -> int:
        return sum(each.lease.left_nano for each in self._lessees.values() if each.lease is not None)

    def wants_lease(self, lessee: Lessee) -> None:
        """The first request of a tenant should not have to wait for the next tick to be safe from an outage."""
        if lessee.lease is None and lessee.wants_lease(monotonic(), self._share):
            self._hurry.set()

    def end_lease(self, lessee: Lessee) -> None:
        """Others need the money more; the next lease has to wait."""
        lessee.refused_s = monotonic()
        lessee.end()
        self._give_back(lessee)

    async def run(self) -> None:
        while True:
            if self._records.link.up and not self._closing:
                async with self._ticking:
                    try:
                        await self._tick()
                    except Exception:  # without leases a router still serves; without a router nobody does
                        log.exception("budgets: leases were not tended")
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._hurry.wait()
            self._hurry.clear()

    async def close(self, within_s: float) -> bool:
        """Gives all leases back and books what is left. False where there was no time for all."""
        self._closing = True
        with suppress(TimeoutError):  # a lease that is being taken must come before it can go back
            async with asyncio.timeout(within_s), self._ticking:
                pass
        for lessee in self._lessees.values():
            lessee.end()
            for lease in lessee.ending:
                lease.give_up()
            self._give_back(lessee)
        self._book()
        return await self._records.link.drain(within_s)

    async def _tick(self) -> None:
        self._book()
        now_s, redis_now_s = monotonic(), self._records.now_s()
        wanting: list[Lessee] = []
        looking: list[Lessee] = []
        for lessee in self._lessees.values():
            lessee.let_go(now_s, redis_now_s, self._records.lives(lessee.chain))
            self._give_back(lessee)
            if lessee.wants_lease(now_s, self._share):
                wanting.append(lessee)
            elif now_s - lessee.looked_s > (LOOK_ACTIVE_S if now_s - lessee.used_s < IDLE_S else LOOK_IDLE_S):
                looking.append(lessee)
        try:
            for at in range(0, len(wanting), AT_ONCE):
                await asyncio.gather(*(self._lease(each) for each in wanting[at : at + AT_ONCE]))
            for at in range(0, len(looking), AT_ONCE):
                await asyncio.gather(*(self._look(each) for each in looking[at : at + AT_ONCE]))
        except RedisAway:
            return

    async def _lease(self, lessee: Lessee) -> None:
        amount, hold_id, now_s = lessee.wanted_nano(self._share), self._records.new_id(), monotonic()
        ends_s = self._records.ends_s(lessee.chain)
        reply = await self._records.reserve(lessee.chain, hold_id, (amount, amount // 4))
        if reply.code != "ok":
            lessee.refused_s = now_s
            return
        lease = Lease(hold_id, reply.detail, now_s, ends_s, self._records.lives(lessee.chain))
        if lessee.lease is None and not self._closing:
            lessee.lease = lease
        else:
            lessee.ending.append(lease)
            self._give_back(lessee)

    async def _look(self, lessee: Lessee) -> None:
        lessee.looked_s = monotonic()
        await self._records.look(lessee.chain)

    def _give_back(self, lessee: Lessee) -> None:
        for lease in lessee.ended():
            self._records.settle(lease.hold_id, lessee.chain.keys, lease.used_nano, lease.amount_nano)

    def _book(self) -> None:
        for chain, amount in self.bookings.take().items():
            self._records.book(chain, self._records.new_id(), amount, self.bookings.booked)

    def _forget_oldest(self) -> None:
        """Of those without a lease: what was known of their records goes with them."""
        idle = [(each.used_s, key) for key, each in self._lessees.items() if each.lease is None and not each.ending]
        for _, key in sorted(idle)[: MOST_CHAINS // 10]:
            del self._lessees[key]
