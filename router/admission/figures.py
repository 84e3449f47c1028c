"""What the metrics tell of budgets. Values."""

from dataclasses import dataclass

from router.request import BudgetState


@dataclass(frozen=True, slots=True)
class MoneyFigures:
    """Since the router started, unless it says otherwise.

    store          whether a Redis is configured
    connected      whether it answers now
    went_away      times that it stopped to
    states         budgets that this router asked for in the last minute, as last seen
    waiting        settlements that are still to be carried out, now
    dropped        those that were given up: the money stays spent
    refused        requests refused for lack of money
    lost_records   budgets whose record Redis lost and that are refused now
    overruns       answers that cost more than was held; `overrun_usd` was not charged
    leased_usd     set aside by this router for the time without Redis, now; `lease_spent_usd` was spent from it
    unbooked_usd   spent while Redis was away, and not booked yet, now
    unbooked_lost_usd   could not be booked any more
    """

    store: bool
    connected: bool
    went_away: int = 0
    states: tuple[BudgetState, ...] = ()
    waiting: int = 0
    dropped: int = 0
    refused: int = 0
    lost_records: int = 0
    overruns: int = 0
    overrun_usd: float = 0.0
    leased_usd: float = 0.0
    lease_spent_usd: float = 0.0
    unbooked_usd: float = 0.0
    unbooked_lost_usd: float = 0.0
