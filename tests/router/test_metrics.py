"""The router's metrics: names and labels that boards rely on, figures, and bounds on what callers can make grow."""

from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from router.errors import BudgetExhausted
from router.metrics import (
    MOST_LABEL_VALUES,
    BoundedLabel,
    Metrics,
    ReportState,
    TopologyState,
    counters,
    gauge,
    gauges,
    info,
)
from router.request import Decision, Embedding, Finished, Usage, Used
from router.snapshot import Fleet, Pool, Prices


class Fleets:
    def __init__(self) -> None:
        self.fleet = Fleet(
            version=7,
            pools=(Pool("a", "small", ("m",), Prices(), 0, 3), Pool("b", "large", ("n",), Prices(), 3, 4)),
            replica_ids=("a1", "a2", "a3", "b1"),
            ready=np.array([True, True, False, False]),
            in_flight=np.array([1, 2, 3, 0], dtype=np.int32),
            running=np.array([4, 0, 9, 0], dtype=np.int32),
            waiting=np.array([3, 0, 50, 0], dtype=np.int32),
            max_running=np.full(4, 8, dtype=np.int32),
            kv_used=np.array([0.5, 0.1, 0.9, 0.0]),
            age_s=np.zeros(4),
        )

    def view(self) -> Fleet:
        return self.fleet


def finished(**usage: int) -> Finished:
    tokens = Usage(**({"prompt_tokens": 100, "completion_tokens": 11, "cached_tokens": 60} | usage))
    return Finished(tokens, 0.25, Decision("a", "m", "a1", "why"), resumed=1, ttft_s=0.5, total_s=1.5)


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """(name, labels) → value, as a scraper reads them."""
    return {
        (sample.name.removeprefix("headgate_router_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.page().decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, /, **labels: str) -> float:
    return samples(metrics)[name, frozenset(labels.items())]


def test_an_answered_request_is_counted_with_its_figures() -> None:
    metrics = Metrics(Fleets())
    metrics.started()
    metrics.started()
    metrics.finished(finished(), "red", "auto")
    metrics.ended()
    who = {"model_name": "auto", "target_model_name": "m", "fairness_id": "red"}
    assert value(metrics, "request_running") == 1
    assert value(metrics, "request_total", **who) == 1
    assert value(metrics, "request_duration_seconds_sum", **who) == 1.5
    assert value(metrics, "request_ttft_seconds_sum", **who, streaming="true") == 0.5
    assert value(metrics, "request_streaming_tpot_seconds_sum", **who) == pytest.approx(0.1)
    assert value(metrics, "request_input_tokens_sum", **who) == 100
    assert value(metrics, "request_output_tokens_sum", **who) == 11
    assert value(metrics, "request_cached_tokens_sum", **who) == 60
    assert value(metrics, "request_cost_usd_total", pool="a", tenant="red") == 0.25


def test_one_token_has_no_time_between_tokens() -> None:
    metrics = Metrics(Fleets())
    metrics.finished(finished(completion_tokens=1), "red", streaming=False)
    who = {"model_name": "a", "target_model_name": "m", "fairness_id": "red"}
    assert value(metrics, "request_streaming_tpot_seconds_count", **who) == 0
    assert value(metrics, "request_ttft_seconds_count", **who, streaming="false") == 1


def test_errors_resumes_decisions_and_verdicts() -> None:
    metrics = Metrics(Fleets())
    metrics.failed("overloaded")
    metrics.failed("overloaded", "red", "auto")
    metrics.resumed("a")
    metrics.decided(60e-6)
    metrics.judged("a", 0.75, "good")
    assert value(metrics, "request_error_total", error_code="overloaded") == 2
    assert value(metrics, "request_total", model_name="auto", target_model_name="", fairness_id="red") == 1
    assert value(metrics, "request_resumed_total", pool="a") == 1
    assert value(metrics, "decision_seconds_bucket", le="5e-05") == 0
    assert value(metrics, "decision_seconds_bucket", le="7.5e-05") == 1
    assert value(metrics, "feedback_total", pool="a", label="good") == 1
    assert value(metrics, "feedback_score_sum", pool="a") == 0.75


def test_pool_figures_are_read_when_scraped_and_average_over_ready_replicas() -> None:
    fleets = Fleets()
    metrics = Metrics(fleets)
    assert value(metrics, "average_kv_cache_utilization", name="a") == pytest.approx(0.3)
    assert value(metrics, "average_queue_size", name="a") == 1.5
    assert value(metrics, "average_running_requests", name="a") == 2
    assert value(metrics, "ready_endpoints", name="a") == 2
    assert value(metrics, "in_flight", name="a") == 6
    assert value(metrics, "average_queue_size", name="b") == value(metrics, "ready_endpoints", name="b") == 0
    assert value(metrics, "topology_version") == 7
    fleets.fleet = Fleet(8, (), (), *(np.zeros(0) for _ in range(7)))
    assert value(metrics, "topology_version") == 8
    assert not [name for name, labels in samples(metrics) if name == "ready_endpoints"]


def test_the_topologys_source_is_told_where_it_is_watched() -> None:
    metrics = Metrics(Fleets())
    assert ("topology_connected", frozenset()) not in samples(metrics)
    metrics.watch_topology(lambda: TopologyState(version=9, age_s=4.5, connected=False))
    assert value(metrics, "topology_version") == 9
    assert value(metrics, "topology_age_seconds") == 4.5
    assert value(metrics, "topology_connected") == 0


def test_first_token_buckets_are_the_engines() -> None:
    metrics = Metrics(Fleets())
    metrics.finished(finished(), "red")
    bounds = [float(dict(labels)["le"]) for name, labels in samples(metrics) if name == "request_ttft_seconds_bucket"]
    # vLLM's `vllm:time_to_first_token_seconds`, so that both can be laid over each other.
    assert sorted(bounds)[:8] == [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1]
    assert sorted(bounds)[-3:] == [640.0, 2560.0, float("inf")]


def test_what_callers_choose_is_bounded() -> None:
    metrics = Metrics(Fleets())
    for number in range(MOST_LABEL_VALUES + 50):
        metrics.failed("model_not_found", "red", f"made-up-{number}")
        metrics.judged("a", 1.0, f"label-{number}")
    metrics.finished(finished(), "red", "yet-another")
    seen = samples(metrics)
    names = {dict(labels)["model_name"] for name, labels in seen if name == "request_total"}
    verdicts = {dict(labels)["label"] for name, labels in seen if name == "feedback_total"}
    assert len(names) == len(verdicts) == MOST_LABEL_VALUES + 1
    assert value(metrics, "request_total", model_name="other", target_model_name="", fairness_id="red") == 50
    assert value(metrics, "request_total", model_name="other", target_model_name="m", fairness_id="red") == 1
    assert value(metrics, "request_total", model_name="made-up-0", target_model_name="", fairness_id="red") == 1


def test_bounded_label_keeps_the_first_values() -> None:
    label = BoundedLabel(most=2)
    assert [label.bound(text) for text in ("a", "b", "c", "a", "d")] == ["a", "b", "other", "a", "other"]


def test_two_routers_in_one_process_share_nothing() -> None:
    registry = CollectorRegistry()
    first, second = Metrics(Fleets(), registry), Metrics(Fleets())
    first.resumed("a")
    assert first.registry is registry
    assert value(first, "request_resumed_total", pool="a") == 1
    assert ("request_resumed_total", frozenset({("pool", "a")})) not in samples(second)


def test_topologies_that_were_refused_and_reports_that_failed_are_counted() -> None:
    metrics = Metrics(Fleets())
    metrics.watch_topology(lambda: TopologyState(version=9, age_s=0.0, connected=True, refused=3))
    assert value(metrics, "topology_refused_total") == 3
    assert ("load_reports_total", frozenset()) not in samples(metrics)
    metrics.watch_reports(lambda: ReportState(sent=20, failed=2))
    assert (value(metrics, "load_reports_total"), value(metrics, "load_report_failures_total")) == (20, 2)


def test_what_was_chosen_and_what_it_took() -> None:
    metrics = Metrics(Fleets())
    chosen = Decision("a", "m", "a1", "why", quality=0.75, policy="thrifty", exploring=True)
    metrics.finished(replace(finished(), decision=chosen, used=Used(0.5, 0.25, 2.0)), "red")
    metrics.finished(finished(), "red")
    metrics.escalated("a", "b")
    assert value(metrics, "predicted_quality_sum", pool="a") == 0.75
    assert value(metrics, "predicted_quality_count", pool="a") == 1
    assert value(metrics, "explored_total", pool="a") == 1
    assert value(metrics, "escalations_total", **{"from": "a", "to": "b"}) == 1
    who = {"pool": "a", "tenant": "red"}
    took = [value(metrics, name, **who) for name in ("energy_wh_total", "carbon_g_total", "water_ml_total")]
    assert took == [0.5, 0.25, 2.0]


def test_an_embedding_is_paid_like_an_answer() -> None:
    metrics = Metrics(Fleets())
    found = Embedding(((1.0,),), 7, Decision("a", "m", "a1", "why"), 0.25, Used(0.5, 0.25, 2.0))
    metrics.embedded(found, "red")
    metrics.embedded(replace(found, used=None), "red")
    assert value(metrics, "request_cost_usd_total", pool="a", tenant="red") == 0.5
    assert value(metrics, "energy_wh_total", pool="a", tenant="red") == 0.5


def test_refusals_for_lack_of_money_are_told_by_tenant() -> None:
    metrics = Metrics(Fleets())
    metrics.failed(BudgetExhausted.code, "red", "auto")
    metrics.failed("overloaded", "blue", "auto")
    assert value(metrics, "budget_refused_total", tenant="red") == 1
    assert ("budget_refused_total", frozenset({("tenant", "blue")})) not in samples(metrics)
    for number in range(MOST_LABEL_VALUES + 50):
        metrics.failed(BudgetExhausted.code, f"tenant-{number}")
    # "blue", which was not refused, is one of the values; "other" is one more.
    assert len([name for name, _ in samples(metrics) if name == "budget_refused_total"]) == MOST_LABEL_VALUES


def test_a_preference_has_no_score_and_a_changed_mind_is_counted_apart() -> None:
    metrics = Metrics(Fleets())
    metrics.judged("a", None, "")
    metrics.judged("a", 0.5, "")
    metrics.rejudged("a")
    assert value(metrics, "feedback_total", pool="a", label="") == 2
    assert value(metrics, "feedback_score_count", pool="a") == 1
    assert value(metrics, "feedback_changed_total", pool="a") == 1


def test_modules_show_their_own_figures_each_time_somebody_reads() -> None:
    metrics, level = Metrics(Fleets()), [1.0]
    metrics.watch(lambda: [gauge("level", "How high.", level[0])])
    metrics.watch(lambda: [counters("drops", "How many.", ("pool", "kind"), [(("a", "x"), 3), (("b", "y"), 4)])])
    metrics.watch(lambda: [gauges("depth", "How deep.", ("pool",), []), info("build", "Which.", {"commit": "c"})])
    assert value(metrics, "level") == 1
    level[0] = 2.0
    assert value(metrics, "level") == 2
    assert value(metrics, "drops_total", pool="b", kind="y") == 4
    assert value(metrics, "build_info", commit="c") == 1


def test_of_rows_with_equal_labels_one_is_shown() -> None:
    metrics = Metrics(Fleets())
    metrics.watch(lambda: [gauges("depth", "How deep.", ("pool",), [(("a",), 1.0), (("a",), 2.0)])])
    assert metrics.page().decode().count("headgate_router_depth{") == 1
    assert value(metrics, "depth", pool="a") == 2
