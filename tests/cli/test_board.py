"""Figures of `headgate top`, from pages that the router's own metrics produce and from one written by hand."""

import re

import pytest
from rich.console import Console

from cli.board import board
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
