"""Figures of `headgate top`, from pages that the router's own metrics produce and from one written by hand."""

import re

import pytest
from rich.console import Console

from cli.board import Board, BudgetRow, board
from cli.errors import CommandError
from cli.router_page import Page, parse, quantile
from cli.top import frame, top

PAGE = """
headgate_router_ready_endpoints{name="small"} 2.0
headgate_router_ready_endpoints{name="large"} 0.0
headgate_router_in_flight{name="small"} 3.0
headgate_router_average_queue_size{name="small"} 1.5
headgate_router_average_running_requests{name="small"} 2.0
headgate_router_average_kv_cache_utilization{name="small"} 0.25
headgate_router_request_running 3.0
headgate_router_request_total{model_name="auto",target_model_name="smol",fairness_id="a",priority="0"} %d
headgate_router_request_total{model_name="small",target_model_name="smol",fairness_id="b",priority="0"} 5.0
headgate_router_request_input_tokens_sum{target_model_name="smol"} %d
headgate_router_request_cached_tokens_sum{target_model_name="smol"} %d
headgate_router_request_output_tokens_sum{target_model_name="smol"} %d
headgate_router_request_ttft_seconds_bucket{target_model_name="smol",le="0.1",streaming="true"} %d
headgate_router_request_ttft_seconds_bucket{target_model_name="smol",le="1.0",streaming="true"} %d
headgate_router_request_ttft_seconds_bucket{target_model_name="smol",le="+Inf",streaming="true"} %d
headgate_router_request_cost_usd_total{pool="small",tenant="a"} 0.5
headgate_router_request_error_total{error_code="overloaded"} 2.0
headgate_router_request_resumed_total{pool="small"} 1.0
"""


def page(answers: int, tokens: int, ttft: tuple[int, int, int] = (0, 0, 0)) -> Page:
    return parse(PAGE % (answers, tokens, tokens // 4, tokens // 2, *ttft))


def test_what_the_pools_do_now() -> None:
    figures = board(page(0, 0), page(0, 0), 1.0)
    small, large = figures.pools
    assert (small.ready, small.in_flight, small.waiting, small.running, small.kv_used) == (2, 3, 1.5, 2.0, 0.25)
    assert large.ready == 0
    assert (figures.running, figures.answers, figures.errors, figures.resumed, figures.cost_usd) == (3, 5, 2, 1, 0.5)


MONEY = """
headgate_router_budget_limit_usd{tenant="red",window="day"} 10.0
headgate_router_budget_spent_usd{tenant="red",window="day"} 2.5
headgate_router_budget_hard{tenant="red",window="day"} 1.0
headgate_router_budget_limit_usd{tenant="blue",window=""} 4.0
headgate_router_budget_spent_usd{tenant="blue",window=""} 3.5
headgate_router_budget_refused_total{tenant="red"} 2.0
headgate_router_budget_refused_total{tenant="blue"} 1.0
headgate_router_escalations_total{from="small",to="large"} 7.0
headgate_router_explored_total{pool="small"} 4.0
headgate_router_predicted_quality_sum{pool="small"} 6.0
headgate_router_predicted_quality_count{pool="small"} 8.0
headgate_router_energy_wh_total{pool="small",tenant="red"} 0.5
headgate_router_energy_wh_total{pool="small",tenant="blue"} 0.25
headgate_router_drift_state{state="learning"} 0.0
headgate_router_drift_state{state="previous"} 1.0
"""


def rich_page() -> Page:
    return parse(PAGE % (30, 2000, 500, 1000, 1, 2, 2) + MONEY)


def test_money_and_choice() -> None:
    figures = board(rich_page(), rich_page(), 1.0)
    assert figures.budgets == (BudgetRow("blue", "", 4.0, 3.5, False), BudgetRow("red", "day", 10.0, 2.5, True))
    assert (figures.refused, figures.escalated, figures.explored, figures.standing) == (3, 7, 4, "previous")
    small, large = figures.pools
    assert (small.quality, small.energy_wh) == (0.75, 0.75)
    assert (large.quality, large.energy_wh) == (None, 0.0)


def drawn(figures: Board, width: int) -> str:
    console = Console(width=width, height=24, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(frame(figures, "http://127.0.0.1:8080", width, "note"))
    return captured.get()


@pytest.mark.parametrize("width", [60, 80, 132])
def test_money_and_choice_fit_the_screen_too(width: int) -> None:
    told = drawn(board(rich_page(), rich_page(), 1.0), width)
    assert len(told.splitlines()) <= 24
    assert max(map(len, told.splitlines())) <= width
    assert "7 escalated · 4 tried to learn · 3 out of money" in told
    assert "choice by previous (drift)" in " ".join(told.split())
    assert re.search(r"blue\s+4\.00\s+3\.50\s+0\.50", told)
    assert re.search(r"red \(day\)\s+10\.00\s+2\.50\s+7\.50", told)
    assert ("quality" in told) == ("Wh" in told) == (width > 100)
    if width > 100:
        assert re.search(r"small.*0\.75\s+0\.75 *\n", told)


def test_of_many_budgets_the_scarcest_are_shown() -> None:
    lines = [f'headgate_router_budget_limit_usd{{tenant="t{n}",window="day"}} 10.0' for n in range(9)]
    lines += [f'headgate_router_budget_spent_usd{{tenant="t{n}",window="day"}} {n}.0' for n in range(9)]
    told = drawn(board(parse("\n".join(lines) + "\n"), Page(), 1.0), 80)
    assert re.findall(r"t\d(?= \(day)", told) == ["t8", "t7", "t6", "t5"]
    assert "and 5 with more left" in told


def test_rates_are_over_the_window() -> None:
    model = board(page(30, 2000), page(10, 1000), 10.0).models[0]
    assert (model.answers, model.answers_per_s) == (35, 2.0)
    assert (model.tokens_in_per_s, model.tokens_out_per_s, model.cached_share) == (100.0, 50.0, 0.25)


def test_times_are_those_of_the_window() -> None:
    model = board(page(30, 0, (10, 20, 20)), page(10, 0, (10, 10, 10)), 10.0).models[0]
    assert model.ttft_p50_s == pytest.approx(0.55)  # all ten of the window lie between 0.1 and 1.0
    assert model.ttft_p95_s == pytest.approx(0.955)
    assert model.cached_share is None


def test_a_restarted_router_counts_from_zero() -> None:
    model = board(page(0, 100, (1, 1, 1)), page(10, 9000, (5, 5, 5)), 10.0).models[0]
    assert (model.tokens_in_per_s, model.ttft_p50_s) == (10.0, 0.05)


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ([], 0.5, None),
        ([(1.0, 0.0), (float("inf"), 0.0)], 0.5, None),
        ([(1.0, 10.0), (float("inf"), 10.0)], 0.5, 0.5),
        ([(1.0, 0.0), (2.0, 4.0), (float("inf"), 4.0)], 0.25, 1.25),
        ([(1.0, 1.0), (float("inf"), 10.0)], 0.95, 1.0),
    ],
)
def test_quantiles_as_prometheus_has_them(buckets: list[tuple[float, float]], share: float, expected: float | None) -> None:
    assert quantile(buckets, share) == expected


@pytest.mark.parametrize("width", [80, 132])
def test_a_frame_fits_its_screen(width: int) -> None:
    console = Console(width=width, height=24, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(frame(board(page(30, 2000, (1, 2, 2)), page(10, 1000), 10.0), "http://127.0.0.1:8080", width, "note"))
    lines = captured.get().splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= width
    assert re.search(r"small\s+2\s+3\s+1\.5", captured.get())
    assert "…" not in captured.get()


def test_nobody_there() -> None:
    with pytest.raises(CommandError, match="no router's metrics at http") as caught:
        top("127.0.0.1:1", 0.2, once=True)
    assert "headgate up" in caught.value.todo


def test_a_frame_of_an_idle_router() -> None:
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        console.print(frame(board(Page(), Page(), 1.0), "u", 80, "note"))
    assert "no pool yet" in captured.get()
    assert "no answers yet" in captured.get()
