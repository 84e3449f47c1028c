"""What is taken from a lease, and when one ends."""

from hypothesis import given
from hypothesis import strategies as st

from router.admission.lease import COOLING_S, IDLE_S, OLDEST_S, Lease, Lessee
from router.admission.records import Chain
from router.snapshot import Budget

CHAIN = Chain.of((Budget("team", 2.0, "day", hard=True), Budget("org", 1.0, "", hard=True), Budget("all", 0.1)))


def lessee(lease: Lease | None = None) -> Lessee:
    return Lessee(CHAIN, used_s=0.0, lease=lease)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(-10, 100), st.integers(0, 3))))
def test_never_more_is_spent_than_was_leased(steps: list[tuple[int, int, int]]) -> None:
    lease, spent = Lease("a", 100, 0.0, 1e9), 0
    for number, (amount, actual, times) in enumerate(steps):
        taken = lease.take(str(number), (amount,))
        for turn in range(times):  # a second settlement is nothing
            lease.settle(str(number), actual)
            if taken is not None and turn == 0:
                spent += min(max(actual, 0), amount)
        assert lease.used_nano == spent
        assert spent + sum(lease.out.values()) == 100 - lease.left_nano
        assert lease.left_nano >= 0


def test_the_first_amount_that_fits_is_taken() -> None:
    lease = Lease("a", 100, 0.0, 1e9)
    assert lease.take("x", (120, 70, 10)) == 1
    assert lease.take("y", (120, 70, 10)) == 2
    assert lease.take("z", (21,)) is None
    lease.give_up()
    assert (lease.used_nano, lease.left_nano, lease.out) == (80, 20, {})


def test_a_lease_is_a_share_of_the_least_hard_budget_of_an_active_tenant() -> None:
    assert lessee().wanted_nano(0.001) == 1_000_000
    assert lessee().wants_lease(IDLE_S, 0.001)
    assert not lessee().wants_lease(IDLE_S + 1, 0.001)
    assert not lessee().wants_lease(1.0, 0.0)
    assert not Lessee(Chain.of((Budget("soft", 1.0),)), 0.0).wants_lease(1.0, 0.001)
    refused = lessee()
    refused.refused_s = 1.0
    assert not refused.wants_lease(1.0 + COOLING_S - 0.1, 0.001)
    assert refused.wants_lease(1.0 + COOLING_S, 0.001)


def ends(now_s: float = 1.0, redis_now_s: float = 1.0, lives: tuple[bytes, ...] = (b"a",), used_nano: int = 0) -> bool:
    one = lessee(Lease("a", 100, 0.0, ends_s=50_000.0, lives=(b"a",), used_nano=used_nano))
    one.used_s = now_s if now_s > IDLE_S * 2 else 0.0
    one.let_go(now_s, redis_now_s, lives)
    return one.lease is None


def test_a_lease_ends_when_it_is_old_idle_half_spent_out_of_its_window_or_not_counted() -> None:
    assert not ends()
    assert not ends(used_nano=50)
    assert ends(used_nano=51)
    assert not ends(IDLE_S)
    assert ends(IDLE_S + 1)
    assert not ends(OLDEST_S)
    assert ends(OLDEST_S + 1)
    assert ends(redis_now_s=50_000.0)
    assert ends(lives=(b"b",))


def test_what_is_left_goes_back_once_nothing_is_under_way() -> None:
    one = lessee(Lease("a", 100, 0.0, 1e9))
    assert one.lease is not None
    one.lease.take("x", (40,))
    lease = one.lease
    one.end()
    assert one.ended() == []
    lease.settle("x", 30)
    assert one.ended() == [lease]
    assert one.ended() == []
    assert lease.used_nano == 30


def test_a_lease_is_in_the_way_when_leases_may_be_all_that_is_missing() -> None:
    one = lessee(Lease("a", 100, 0.0, 1e9))
    assert one.is_in_the_way(50)
    assert not one.is_in_the_way(1_000_000)
    assert not lessee().is_in_the_way(0)
