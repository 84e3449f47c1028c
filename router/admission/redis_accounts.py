"""Budgets kept in Redis, shared by all routers: reserve before, settle after, and what holds while Redis is away.

Implements `money.Money`. What a request may do is decided by budgets.lua, in one atomic step; docs/budgets.md says what is
guaranteed.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf, isfinite

from router.admission import refusals
from router.admission.amounts import charge_nano, to_usd
from router.admission.figures import MoneyFigures
from router.admission.lease import Lease, Lessee
from router.admission.money import Hold
from router.admission.records import Reply
from router.admission.redis_records import RedisRecords
from router.admission.redis_work import RedisAway
from router.admission.tending import Tending
from router.config import BudgetSettings
from router.errors import BudgetExhausted
from router.request import BudgetState
from router.snapshot import Tenant


@dataclass(frozen=True, slots=True)
class Reserved(Hold):
    """Held in Redis, on the records `keys`."""

    hold_id: str = ""
    nano: int = 0
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Leased(Hold):
    """Held in this router's lease."""

    hold_id: str = ""
    nano: int = 0
    lease: Lease | None = None


@dataclass(frozen=True, slots=True)
class Unbooked(Hold):
    """Served without asking; what it costs is booked later."""

    hold_id: str = ""
    nano: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request asks for: amounts from the largest to the smallest, in both units."""

    request_id: str
    lessee: Lessee
    usd: tuple[float, ...]
    nano: tuple[int, ...]


class RedisMoney:
    """`run` until cancelled; `close` before that."""

    def __init__(self, records: RedisRecords, settings: BudgetSettings) -> None:
        self._records = records
        self._open = settings.when_away == "open"
        self._tending = Tending(records, settings.lease_share)
        self._refused = self._overruns = self._overrun_nano = self._lease_spent_nano = 0

    async def reserve(self, request_id: str, tenant: Tenant, bounds_usd: Sequence[float]) -> Hold:
        """See `Money`. Raises ValueError for no bounds at all."""
        if not tenant.budgets:
            return Hold(request_id, inf)
        if not bounds_usd:
            raise ValueError("a request needs at least one bound")
        largest_first = tuple(sorted(bounds_usd, reverse=True))
        nano = tuple(map(charge_nano, largest_first))
        wish = Wish(request_id, self._tending.lessee(tenant.budgets), largest_first, nano)
        if not wish.lessee.chain.hard and not isfinite(largest_first[0]):
            return self._unbooked(wish)
        hold_id = self._records.new_id()
        try:
            reply = await self._records.reserve(wish.lessee.chain, hold_id, nano)
        except RedisAway:
            return self._without_redis(wish)
        if reply.code != "ok":
            return self._not_granted(wish, reply)
        self._tending.wants_lease(wish.lessee)
        granted_usd = largest_first[nano.index(reply.detail)]
        states = self._states(tenant)
        return Reserved(request_id, granted_usd, states, hold_id, reply.detail, wish.lessee.chain.keys)

    def settle(self, tenant: Tenant, hold: Hold, actual_usd: float) -> None:
        if not isinstance(hold, Reserved | Leased | Unbooked):
            return
        actual = charge_nano(actual_usd)
        if actual > hold.nano:
            self._overruns += 1
            self._overrun_nano += actual - hold.nano if isfinite(actual_usd) else 0
            actual = hold.nano
        if isinstance(hold, Reserved):
            self._records.settle(hold.hold_id, hold.keys, actual, hold.nano)
        elif isinstance(hold, Unbooked):
            self._tending.bookings.settle(hold.hold_id, actual)
        elif hold.lease is not None and hold.hold_id in hold.lease.out:
            hold.lease.settle(hold.hold_id, actual)
            self._lease_spent_nano += actual

    def unavailable(self, tenant: Tenant) -> str:
        if not tenant.budgets:
            return ""
        lessee = self._tending.lessee(tenant.budgets)
        chain = lessee.chain
        for budget, key in zip(chain.budgets, chain.keys, strict=True):
            if budget.hard and key in self._records.lost:
                return refusals.lost(budget).message
        away = self._records.link.up is not True and lessee.lease is None
        return refusals.away(chain).message if away and chain.hard and not self._open else ""

    def states(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        return self._states(tenant)

    async def look(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        if tenant.budgets:
            with suppress(RedisAway):  # as last seen, then
                await self._records.look(self._tending.chain(tenant.budgets))
        return self._states(tenant)

    def figures(self) -> MoneyFigures:
        link, bookings = self._records.link, self._tending.bookings
        shown = {(each.tenant, each.window): each for chain in self._tending.active() for each in self._records.states(chain)}
        return MoneyFigures(
            store=True,
            connected=link.up is True,
            went_away=link.went_away,
            states=tuple(shown.values()),
            waiting=link.waiting,
            dropped=link.dropped,
            refused=self._refused,
            lost_records=len(self._records.lost),
            overruns=self._overruns,
            overrun_usd=to_usd(self._overrun_nano),
            leased_usd=to_usd(self._tending.leased_nano()),
            lease_spent_usd=to_usd(self._lease_spent_nano),
            unbooked_usd=to_usd(bookings.waiting_nano),
            unbooked_lost_usd=to_usd(bookings.lost_nano),
        )

    async def run(self) -> None:
        """Keeps the connection, the leases, and what is known of each record."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._records.link.run(), name="budgets: connection")
            tasks.create_task(self._tending.run(), name="budgets: leases")

    async def close(self, within_s: float = 2.0) -> bool:
        """While `run` still runs: gives leases back and carries out what is left. False where there was no time for all of it;
        then that money stays spent."""
        return await self._tending.close(within_s)

    def _states(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        return self._records.states(self._tending.chain(tenant.budgets)) if tenant.budgets else ()

    def _not_granted(self, wish: Wish, reply: Reply) -> Hold:
        """Redis says no. The last of a budget is often what routers have leased, so that is spent before anybody is refused."""
        lessee, chain = wish.lessee, wish.lessee.chain
        if reply.code == "full":
            if (hold := self._from_lease(wish)) is not None:
                return hold
            if lessee.is_in_the_way(refusals.missing_nano(chain, reply.seen, wish.nano[-1])):
                self._tending.end_lease(lessee)
            raise self._refusal(refusals.spent(chain, reply.seen, wish.nano[-1], reply.now_s))
        budget = chain.budgets[max(0, reply.detail - 1)]
        raise self._refusal(refusals.lost(budget) if reply.code == "lost" else refusals.unreadable(budget))

    def _without_redis(self, wish: Wish) -> Hold:
        if self._open or not wish.lessee.chain.hard:
            return self._unbooked(wish)
        if (hold := self._from_lease(wish)) is not None:
            return hold
        raise self._refusal(refusals.away(wish.lessee.chain))

    def _from_lease(self, wish: Wish) -> Leased | None:
        if (lease := wish.lessee.lease) is None:
            return None
        hold_id = self._records.new_id()
        if (place := lease.take(hold_id, wish.nano)) is None:
            return None
        states = self._records.states(wish.lessee.chain)
        return Leased(wish.request_id, wish.usd[place], states, hold_id, wish.nano[place], lease)

    def _unbooked(self, wish: Wish) -> Unbooked:
        hold_id = self._records.new_id()
        self._tending.bookings.begin(hold_id, wish.lessee.chain, wish.nano[0])
        return Unbooked(wish.request_id, wish.usd[0], self._records.states(wish.lessee.chain), hold_id, wish.nano[0])

    def _refusal(self, fault: BudgetExhausted) -> BudgetExhausted:
        self._refused += 1
        return fault
