"""Money that a router took in Redis beforehand, for the time when Redis is away. Pure bookkeeping; Redis counts it as spent.

A lease ends in two steps: nothing more is taken from it, and once its last hold is settled, what is left goes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from router.admission.records import Chain

IDLE_S = 60.0  # a tenant who asked nothing for so long needs none
OLDEST_S = 1800.0  # well below the time for which Redis remembers a hold
COOLING_S = 10.0  # after a refusal
MANY_ROUTERS = 32


@dataclass(slots=True, eq=False)
class Lease:
    """One hold in Redis, and what was taken from it since: `out` is under way, `used_nano` is settled."""

    hold_id: str
    amount_nano: int
    since_s: float
    ends_s: float  # with the window it was taken in; infinite where that never ends
    lives: tuple[bytes, ...] = ()  # of the records that count it
    used_nano: int = 0
    out: dict[str, int] = field(default_factory=dict)

    @property
    def left_nano(self) -> int:
        return self.amount_nano - self.used_nano - sum(self.out.values())

    def take(self, hold_id: str, amounts_nano: Sequence[int]) -> int | None:
        """Sets aside the first amount that fits; its place, or None."""
        left = self.left_nano
        for place, amount in enumerate(amounts_nano):
            if amount <= left:
                self.out[hold_id] = amount
                return place
        return None

    def give_up(self) -> None:
        """What is under way stays spent."""
        self.used_nano += sum(self.out.values())
        self.out.clear()

    def settle(self, hold_id: str, actual_nano: int) -> None:
        """Once; more than was set aside is not charged."""
        if (held := self.out.pop(hold_id, None)) is not None:
            self.used_nano += min(held, max(0, actual_nano))


@dataclass(slots=True, eq=False)
class Lessee:
    """A tenant's chain of budgets as this router deals with it."""

    chain: Chain
    used_s: float
    looked_s: float = float("-inf")
    refused_s: float = float("-inf")
    lease: Lease | None = None
    ending: list[Lease] = field(default_factory=list)

    def wanted_nano(self, share: float) -> int:
        """What to lease: a share of the least of its hard budgets."""
        return int(share * min((limit for limit in self.chain.limits_nano if limit >= 0), default=0))

    def wants_lease(self, now_s: float, share: float) -> bool:
        idle, cooling = now_s - self.used_s > IDLE_S, now_s - self.refused_s < COOLING_S
        return self.chain.hard and self.lease is None and not idle and not cooling and self.wanted_nano(share) > 0

    def let_go(self, now_s: float, redis_now_s: float, lives: tuple[bytes, ...]) -> None:
        """Ends a lease that is half spent, too old, of a window that is over, of a tenant who went away, or that no record
        counts any more."""
        lease = self.lease
        if lease is None:
            return
        idle, old = now_s - self.used_s > IDLE_S, now_s - lease.since_s > OLDEST_S
        if idle or old or lease.lives != lives or redis_now_s >= lease.ends_s or lease.left_nano * 2 < lease.amount_nano:
            self.end()

    def is_in_the_way(self, missing_nano: int) -> bool:
        """Whether what routers have leased is why a request does not fit that lacks so much: then nobody should keep any."""
        return self.lease is not None and missing_nano <= MANY_ROUTERS * self.lease.amount_nano

    def end(self) -> None:
        if self.lease is not None:
            self.ending.append(self.lease)
            self.lease = None

    def ended(self) -> list[Lease]:
        """Leases whose rest can go back now; they are forgotten here."""
        over = [lease for lease in self.ending if not lease.out]
        self.ending = [lease for lease in self.ending if lease.out]
        return over
