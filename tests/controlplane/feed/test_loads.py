import pytest

from controlplane.feed.loads import Loads
from controlplane.world import PoolLoad
from headgate.v1 import topology_pb2 as wire


class Clock:
    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def loads(clock: Clock, woken: list[str]) -> Loads:
    made = Loads(clock, woken.append)
    made.serve(["p", "q"])
    return made


def said(pool: str = "p", router: str = "r", **figures: object) -> wire.RouterReport:
    return wire.RouterReport(router_id=router, incarnation="1", pools=[wire.ReportedPool(pool=pool, **figures)])  # type: ignore[arg-type]


def test_when_it_was_seen_is_told_in_the_callers_time(loads: Loads, clock: Clock) -> None:
    loads.take(said(slots=4))
    clock.now_s += 3.0
    assert loads.of("p", 1_000_000.0).seen_s == 999_997.0
    assert loads.of("p", 5.0) == PoolLoad(routers=1, seen_s=2.0, slots=4), "a step of that time changes nothing else"
    assert loads.of("q", 5.0) == PoolLoad()
    assert loads.routers == 1


def test_who_waits_for_a_pool_without_a_replica_is_heard_at_once(loads: Loads, clock: Clock, woken: list[str]) -> None:
    loads.take(said(waiting_here=0))
    loads.take(said(waiting_here=1, ready=1))
    loads.take(said("unknown", waiting_here=1))
    assert woken == []
    loads.take(said(waiting_here=1))
    loads.take(said("q", waiting_here=1))
    assert woken == ["p", "q"]


def test_one_pool_is_woken_once_a_second(loads: Loads, clock: Clock, woken: list[str]) -> None:
    for _ in range(11):
        for router in "ab":
            loads.take(said(router=router, waiting_here=1))
        clock.now_s += 0.25
    assert woken == ["p"] * 3


def test_a_pool_that_is_made_anew_is_woken_anew(loads: Loads, woken: list[str]) -> None:
    loads.take(said(waiting_here=1))
    loads.serve(["q"])
    loads.serve(["p"])
    loads.take(said(waiting_here=1))
    assert woken == ["p", "p"]
