"""What is said to the script, and what its replies mean."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from router.admission.records import Chain, Ending, Garbled, Reply, Seen, hold_key, record_key, states, understood
from router.snapshot import Budget

DAY_S = 86_400
SEEN = Seen(10 * DAY_S, 250_000_000, 50_000_000, b"0001-a", 7, b"new")
RAW = [10 * DAY_S, 250_000_000, 50_000_000, b"0001-a", 7, b"new"]
CHAIN = Chain.of((Budget("team", 1.0, "day", hard=True), Budget("org", 5.0)))


@given(st.text(), st.text(), st.sampled_from(("hour", "day", "")))
def test_each_tenant_and_window_has_one_key_in_one_slot(one: str, other: str, window: str) -> None:
    assert (record_key(one, window) == record_key(other, window)) == (one == other)
    assert record_key(one, "") != record_key(one, "day")
    for key in (record_key(one, window), hold_key("a-1")):
        assert key_slot(key.encode()) == key_slot(b"budgets")  # where a Redis Cluster puts it
        assert key.isascii()
        assert key.isprintable()


def test_a_chain_knows_which_limits_are_hard() -> None:
    assert CHAIN.limits_nano == (1_000_000_000, -1)
    assert CHAIN.hard
    assert not Chain.of((Budget("org", 5.0),)).hard


def test_replies_are_understood() -> None:
    assert understood([b"ok", 5, 12, RAW, None]) == Reply("ok", 5, 12, (SEEN, None))
    assert understood([b"clock", 5, 6, 7]) == Reply("clock", 5, times_s=(6, 7))
    assert understood([b"none", 5]) == Reply("none", 5)


GARBAGE: list[Any] = [
    *(None, b"OK", 1, [], [b"ok"], [b"ok", b"5"], [b"sure", 5], [b"ok", 5, b"x"], [b"clock", 5, b"x"], [b"ok", 5, 1, 7]),
    *([b"ok", 5, 1, [1, 2, 3]], [b"ok", 5, 1, [b"1", *RAW[1:]]], [b"ok", 5, 1, [*RAW, 1]]),
    *({"ok": 5}, [1, 5], [b"\xff", 5], [b"ok", True]),
]


@pytest.mark.parametrize("raw", GARBAGE, ids=repr)
def test_what_the_script_does_not_say_is_garbage(raw: Any) -> None:
    with pytest.raises(Garbled):
        understood(raw)


def test_budgets_are_shown_as_last_seen_and_empty_in_a_new_window() -> None:
    known = {CHAIN.keys[0]: SEEN}
    own, above = states(CHAIN, known, {}, 10 * DAY_S + 5.0)
    assert (own.tenant, own.spent_usd, own.reserved_usd, own.resets_at_s, own.hard) == ("team", 0.25, 0.05, 11 * DAY_S, True)
    assert (above.tenant, above.spent_usd, above.resets_at_s, above.hard) == ("org", 0.0, 0, False)
    assert states(CHAIN, known, {}, 11 * DAY_S)[0].spent_usd == 0.0
    coming_back = {CHAIN.keys[0]: Ending(held_nano=40_000_000, back_nano=30_000_000)}
    own, _ = states(CHAIN, known, coming_back, 10 * DAY_S + 5.0)
    assert (own.spent_usd, own.reserved_usd) == (0.22, 0.01)
    # A record that is ahead of this clock is believed.
    assert states(CHAIN, known, {}, 9 * DAY_S)[0].spent_usd == 0.25
