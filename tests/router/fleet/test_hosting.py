import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controlplane.resources.hardware import Hosting
from router.fleet.hosting import CACHED_WORK, INPUT_WORK, footprint_of, prices_of, rounded, work_tokens
from router.fleet.specs import HostingSpec, PoolSpec
from router.snapshot import Prices
from tests.router.fleet.given import pool

FREE = Prices()


def hosted(prices: Prices = FREE, **hosting: float) -> PoolSpec:
    return pool(prices=prices, hosting=HostingSpec(**hosting))


def on_the_page(page: str) -> HostingSpec:
    """The settings of its example, as a ModelPool has them."""
    (block,) = re.findall("```yaml\nhosting:\n(.*?)```", page, re.DOTALL)
    return HostingSpec(*Hosting.model_validate(yaml.safe_load(block)).model_dump().values())


def test_the_worked_example_of_the_page() -> None:
    """docs/prices.md works these out by hand."""
    page = (Path(__file__).parents[3] / "docs" / "prices.md").read_text(encoding="utf-8")
    figures = (
        "= 0.50 USD",
        "= 0.10 USD",
        "= 0.01 USD",
        "0.000342 USD",
        "166.7 µWh",
        "3.5 ml",
        "0.114 Wh",
        "0.0456 g",
        "0.399 ml",
    )
    assert [figure for figure in figures if figure not in page] == []
    spec = pool(prices=FREE, hosting=on_the_page(page))
    assert spec.hosting is not None
    assert spec.hosting.tokens_per_s == 2000.0
    prices, footprint = prices_of(spec, 2000.0), footprint_of(spec.hosting, 2000.0)
    assert (prices.input, prices.cached_input, prices.output) == pytest.approx((0.1, 0.01, 0.5))
    assert footprint is not None
    assert (footprint.input_wh, footprint.cached_input_wh, footprint.output_wh) == pytest.approx(
        (33.3333, 3.33333, 166.6667), rel=1e-5
    )
    # A request: 800 tokens read, 1200 found in the cache, 500 written.
    assert prices.cost_usd(800, 1200, 500) == pytest.approx(0.000342)
    wh = footprint.energy_wh(800, 1200, 500)
    assert wh == pytest.approx(0.114)
    assert wh * footprint.carbon_g_per_wh == pytest.approx(0.0456)
    assert wh * footprint.water_ml_per_wh == pytest.approx(0.399)


@pytest.mark.parametrize("given_prices", [Prices(input=0.1), Prices(cached_input=0.1), Prices(output=0.1)])
def test_any_given_price_wins(given_prices: Prices) -> None:
    assert prices_of(hosted(given_prices, usd_per_hour=4.0), 1000.0) is given_prices


def test_without_hosting_or_its_price_a_pool_is_free() -> None:
    assert prices_of(pool(prices=FREE), 1000.0) == FREE
    assert prices_of(hosted(power_w=700.0), 1000.0) == FREE


def test_without_power_nothing_is_said_of_the_footprint() -> None:
    assert footprint_of(None, 1.0) is None
    assert footprint_of(HostingSpec(usd_per_hour=4.0, carbon_g_per_kwh=400.0), 1.0) is None


def test_a_footprint_needs_no_hosting_price_and_given_prices_do_not_hide_it() -> None:
    hosting = HostingSpec(power_w=700.0)
    found = footprint_of(hosting, 100.0)
    assert found is not None
    assert (found.carbon_g_per_wh, found.water_ml_per_wh) == (0.0, 0.0)
    assert found.output_wh == pytest.approx(700.0 / 3600.0 / 100.0 * 1e6)


REQUESTS = st.lists(st.tuples(*[st.integers(0, 100_000)] * 3), min_size=1, max_size=50)


@given(REQUESTS, st.floats(0.01, 500.0), st.floats(1.0, 20_000.0), st.floats(1.0, 3.0), st.floats(1.0, 1e5))
def test_what_all_requests_pay_and_take_is_what_the_machine_costs_and_takes(
    requests: list[tuple[int, int, int]], usd_per_hour: float, power_w: float, pue: float, seconds: float
) -> None:
    """A replica does these requests in `seconds`, however its time was shared among them."""
    work = sum(Fraction("0.2") * uncached + Fraction("0.02") * cached + output for uncached, cached, output in requests)
    if not work:
        return
    hosting = HostingSpec(usd_per_hour, 0.0, power_w, pue, 400.0, 0.5, 3.0)
    tokens_per_s = float(work) / seconds
    prices, footprint = prices_of(pool(prices=FREE, hosting=hosting), tokens_per_s), footprint_of(hosting, tokens_per_s)
    assert footprint is not None
    assert sum(prices.cost_usd(*tokens) for tokens in requests) == pytest.approx(usd_per_hour * seconds / 3600)
    machine_kwh = power_w / 1000 * seconds / 3600
    drawn_wh = sum(footprint.energy_wh(*tokens) for tokens in requests)
    assert drawn_wh == pytest.approx(machine_kwh * pue * 1000)
    assert drawn_wh * footprint.carbon_g_per_wh == pytest.approx(machine_kwh * pue * 400.0)
    assert drawn_wh * footprint.water_ml_per_wh == pytest.approx(machine_kwh * (0.5 + pue * 3.0) * 1000)


def test_work_is_counted_in_output_tokens() -> None:
    assert work_tokens(0, 0, 7) == 7
    assert work_tokens(1000, 0, 0) == 1000 * INPUT_WORK == 200
    assert work_tokens(0, 1000, 0) == 1000 * CACHED_WORK == 20


@given(st.floats(0.0, 1e6))
def test_a_throughput_is_rounded_to_one_that_is_near_and_stays_so(tokens_per_s: float) -> None:
    step = rounded(tokens_per_s)
    assert step >= 1.0
    assert rounded(step) == step
    if tokens_per_s >= 1.0:
        assert 1 / 1.025 <= step / tokens_per_s <= 1.025


def test_rounded_figures_are_in_order_and_few() -> None:
    found = [rounded(100.0 + n / 10) for n in range(1000)]
    assert found == sorted(found)
    assert len(set(found)) <= 16  # ln 2 / ln 1.05 steps in an octave, and both ends


def test_prices_step_with_the_throughput() -> None:
    spec = hosted(usd_per_hour=4.0)
    assert prices_of(spec, 500.0).output == pytest.approx(2 * prices_of(spec, 1000.0).output)
    assert prices_of(replace(spec, hosting=HostingSpec(usd_per_hour=8.0)), 1000.0).output == pytest.approx(
        2 * prices_of(spec, 1000.0).output
    )
