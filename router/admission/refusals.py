"""What a tenant is told whose money does not suffice. Pure; no text holds a key, a prompt or an address."""

from collections.abc import Sequence

from router.admission.amounts import limit_nano, usd_text
from router.admission.records import Chain, Seen
from router.admission.windows import bounds, utc_text
from router.errors import BudgetExhausted
from router.snapshot import Budget

AWAY_S = 5.0  # when to come back while the store is away


def spent(chain: Chain, seen: Sequence[Seen | None], needed_nano: int, now_s: int) -> BudgetExhausted:
    """The first budget that is too small names itself; the time to wait is that of the one that lasts longest."""
    said: str | None = None
    waits_s: list[float | None] = []
    for budget, limit, record in zip(chain.budgets, chain.limits_nano, seen, strict=True):
        used = record.spent_nano if record is not None else 0
        if limit < 0 or used + needed_nano <= limit:
            continue
        _, end_s = bounds(budget.window, max(now_s, record.start_s if record is not None else 0))
        hopeless = not end_s or needed_nano > limit
        waits_s.append(None if hopeless else max(1.0, float(end_s - now_s)))
        if said is None:
            said = f"{_of(budget)} does not allow this: {usd_text(used)} USD are spent or held, "
            said += f"and this request may cost {usd_text(needed_nano)} USD"
            said += f"; it begins anew at {utc_text(end_s)}" if end_s else ""
    wait_s = None if None in waits_s else max((each for each in waits_s if each is not None), default=None)
    return BudgetExhausted(said or "the budget does not allow this", retry_after_s=wait_s)


def missing_nano(chain: Chain, seen: Sequence[Seen | None], needed_nano: int) -> int:
    """How much the tightest of the hard budgets is short of."""
    pairs = zip(chain.limits_nano, seen, strict=True)
    short = (record.spent_nano + needed_nano - limit for limit, record in pairs if limit >= 0 and record is not None)
    return max(short, default=0)


def lost(budget: Budget) -> BudgetExhausted:
    text = f"the record of {_of(budget)} was lost, so nobody knows what is left"
    return BudgetExhausted(f"{text}: an operator sets it with `headgate budget set`")


def unreadable(budget: Budget) -> BudgetExhausted:
    return BudgetExhausted(f"the record of {_of(budget)} can't be read: an operator sets it with `headgate budget set`")


def away(chain: Chain) -> BudgetExhausted:
    text = f"{_of(_hard(chain))} can't be checked now: the store of budgets does not answer"
    return BudgetExhausted(f"{text}, and what this router set aside for that is used up", retry_after_s=AWAY_S)


def no_store(chain: Chain) -> BudgetExhausted:
    text = f"{_of(_hard(chain))} can't be kept: this router has no Redis"
    return BudgetExhausted(f"{text} (HEADGATE_REDIS_URL, or redis.url in its settings)")


def _of(budget: Budget) -> str:
    name = budget.tenant if len(budget.tenant) <= 100 else f"{budget.tenant[:100]}…"
    window = f" per {budget.window}" if budget.window else ""
    return f"the budget of {name}, {usd_text(limit_nano(budget.usd))} USD{window},"


def _hard(chain: Chain) -> Budget:
    return next(each for each in chain.budgets if each.hard)
