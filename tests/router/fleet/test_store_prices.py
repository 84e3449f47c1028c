"""Prices and footprints in the store's view, as they follow from what its replicas report."""

from itertools import pairwise
from typing import Any

import pytest

from router.fleet.specs import HostingSpec
from router.fleet.store import FleetStore
from router.fleet.throughput import ASSUMED_TOKENS_PER_S, SHOWN_S
from router.snapshot import Prices
from tests.router.fleet.given import Clock, pool, report, store

HOSTED: dict[str, Any] = {"prices": Prices(), "hosting": HostingSpec(usd_per_hour=3.6, power_w=720.0)}


def work(fleet: FleetStore, clock: Clock, seconds: int, tokens_per_s: int, since: int = 0) -> int:
    """Replica a works on; returns its counter."""
    for _ in range(seconds):
        since += tokens_per_s
        clock.pass_s(1.0)
        fleet.apply_report("a", report(running=1, output_tokens_total=since))
    return since


def test_a_pool_of_which_only_the_hosting_is_known_is_priced_by_what_it_does() -> None:
    clock = Clock()
    fleet = store(clock)
    fleet.apply_topology([pool("small", "a", **HOSTED)], [], 1)
    (new,) = fleet.view().pools
    assert new.prices.output == pytest.approx(3.6 / 3600 / ASSUMED_TOKENS_PER_S * 1e6)
    total = work(fleet, clock, 75, 250)
    (measured,) = fleet.view().pools
    assert measured.prices.output == pytest.approx(4.0, rel=0.05)
    assert measured.prices.input == pytest.approx(0.2 * measured.prices.output)
    assert measured.footprint is not None
    assert measured.footprint.output_wh == pytest.approx(720 / 3600 / 250 * 1e6, rel=0.05)
    assert fleet.tokens_per_s == {"small": pytest.approx(250, rel=0.03)}
    work(fleet, clock, 300, 250, total)
    assert fleet.view().pools[0].prices == measured.prices, "the same work, the same price"


def test_a_price_moves_at_most_every_ten_seconds_and_only_the_pools_that_it_follows_for() -> None:
    clock = Clock()
    fleet = store(clock)
    given = pool("large", "z", prices=Prices(1.0, 0.1, 2.0), hosting=HostingSpec(usd_per_hour=9.0, tokens_per_s=10.0))
    fleet.apply_topology([pool("small", "a", **HOSTED), given], [], 1)
    before = fleet.view().pools
    moves = []
    total = 0
    for second in range(600):
        total = work(fleet, clock, 1, 50 + second, total)  # ever faster
        pools = fleet.view().pools
        if pools[0].prices != before[0].prices:
            moves.append(second)
        assert pools[1].prices == Prices(1.0, 0.1, 2.0)
        before = pools
    assert len(moves) > 3
    assert min(b - a for a, b in pairwise(moves)) >= SHOWN_S


def test_what_was_measured_stays_while_the_pool_changes_and_while_it_is_at_zero() -> None:
    clock = Clock()
    fleet = store(clock)
    fleet.apply_topology([pool("small", "a", **HOSTED)], [], 1)
    total = work(fleet, clock, 40, 250)
    fleet.apply_topology([pool("small", "a", "b", **HOSTED)], [], 2)
    work(fleet, clock, 40, 250, total)
    clock.pass_s(SHOWN_S)
    price = fleet.view().pools[0].prices.output
    assert price == pytest.approx(4.0, rel=0.05)
    fleet.apply_topology([pool("small", **HOSTED)], [], 3)
    assert fleet.view().pools[0].prices.output == price


def test_a_pool_has_its_objectives() -> None:
    fleet = store()
    fleet.apply_topology([pool("small", ttft_ms=500, tpot_ms=30), pool("large", "a")], [], 1)
    assert [(p.ttft_ms, p.tpot_ms, p.footprint) for p in fleet.view().pools] == [(500, 30, None), (0, 0, None)]
