"""What was spent without asking Redis, to be booked when it is there. Pure bookkeeping.

There is one sum for each chain of budgets, so that no outage is too long for it.
"""

from dataclasses import dataclass, field

from router.admission.records import Chain

MOST_CHAINS = 10_000


@dataclass(slots=True)
class Bookings:
    """`open` are requests under way, `sums_nano` what ended ones cost, `posted_nano` what is on its way to Redis.

    `lost_nano` could not be kept: there were too many tenants.
    """

    open: dict[str, tuple[Chain, int]] = field(default_factory=dict)
    sums_nano: dict[Chain, int] = field(default_factory=dict)
    posted_nano: int = 0
    lost_nano: int = 0

    @property
    def waiting_nano(self) -> int:
        return sum(self.sums_nano.values()) + self.posted_nano

    def begin(self, hold_id: str, chain: Chain, most_nano: int) -> None:
        self.open[hold_id] = (chain, most_nano)

    def settle(self, hold_id: str, actual_nano: int) -> None:
        """Once; more than was foreseen is not charged."""
        chain, most_nano = self.open.pop(hold_id, (None, 0))
        amount = min(most_nano, max(0, actual_nano))
        if chain is None or not amount:
            return
        if chain in self.sums_nano or len(self.sums_nano) < MOST_CHAINS:
            self.sums_nano[chain] = self.sums_nano.get(chain, 0) + amount
        else:
            self.lost_nano += amount

    def take(self) -> dict[Chain, int]:
        """All sums, now on their way."""
        sums, self.sums_nano = self.sums_nano, {}
        self.posted_nano += sum(sums.values())
        return sums

    def booked(self, amount_nano: int) -> None:
        self.posted_nano -= amount_nano

    def of(self, key: str) -> int:
        """What waits to be booked on one record."""
        return sum(amount for chain, amount in self.sums_nano.items() if key in chain.keys)
