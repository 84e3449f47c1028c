"""What a tenant is told."""

from router.admission import refusals
from router.admission.records import Chain, Seen
from router.snapshot import Budget

DAY_S = 86_400
CHAIN = Chain.of((Budget("key", 1.0, "hour", hard=True), Budget("team", 5.0, "day", hard=True), Budget("org", 1.0, "day")))


def seen(spent_nano: int, start_s: int = 0) -> Seen:
    return Seen(start_s, spent_nano, 0, b"e", 1, b"new")


def test_the_first_budget_that_is_too_small_is_named_and_the_longest_wait() -> None:
    fault = refusals.spent(CHAIN, (seen(950_000_000), seen(4_980_000_000), seen(10**12)), 60_000_000, 3000)
    assert fault.message == (
        "the budget of key, 1.00 USD per hour, does not allow this: 0.95 USD are spent or held, "
        "and this request may cost 0.06 USD; it begins anew at 1970-01-01 01:00 UTC"
    )
    assert fault.retry_after_s == DAY_S - 3000
    only_key = refusals.spent(CHAIN, (seen(950_000_000), seen(0), seen(0)), 60_000_000, 3000)
    assert only_key.retry_after_s == 600
    assert fault.code == "budget_exceeded"
    assert fault.retryable


def test_waiting_is_not_asked_for_where_it_is_no_use() -> None:
    forever = Chain.of((Budget("key", 1.0, "", hard=True),))
    assert refusals.spent(forever, (seen(10**9),), 1, 3000).retry_after_s is None
    assert "anew" not in refusals.spent(forever, (seen(10**9),), 1, 3000).message
    assert refusals.spent(CHAIN, (seen(0), seen(0), seen(0)), 2 * 10**9, 3000).retry_after_s is None


def test_what_is_missing_is_that_of_the_tightest_hard_budget() -> None:
    assert refusals.missing_nano(CHAIN, (seen(950_000_000), seen(4_980_000_000), None), 60_000_000) == 40_000_000


def test_other_refusals_say_what_to_do() -> None:
    assert "headgate budget set" in refusals.lost(CHAIN.budgets[0]).message
    assert "headgate budget set" in refusals.unreadable(CHAIN.budgets[0]).message
    assert "HEADGATE_REDIS_URL" in refusals.no_store(CHAIN).message
    assert refusals.no_store(CHAIN).retry_after_s is None
    assert refusals.away(CHAIN).retry_after_s == refusals.AWAY_S
    soft_first = Chain.of((Budget("soft", 1.0), Budget("hard", 2.0, "week", hard=True)))
    assert "budget of hard, 2.00 USD per week," in refusals.away(soft_first).message
