from random import Random

from router.fleet.backoff import Backoff


def test_waits_double_up_to_the_longest_and_start_over() -> None:
    backoff = Backoff(Random(3), first_s=0.1, longest_s=1.0)
    for whole_s in (0.1, 0.2, 0.4, 0.8, 1.0, 1.0):
        assert whole_s / 2 <= backoff.next_s() <= whole_s
    backoff.reset()
    assert backoff.next_s() <= 0.1


def test_two_routers_do_not_come_back_in_step() -> None:
    assert Backoff(Random(1)).next_s() != Backoff(Random(2)).next_s()


def test_a_thousand_tries_do_not_overflow() -> None:
    backoff = Backoff(Random(1))
    assert max(backoff.next_s() for _ in range(2000)) <= 5.0
