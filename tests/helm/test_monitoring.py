"""Boards and alerts ask only for metrics that the programs have, by labels that these have."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from controlplane.metrics import Figures, PoolFigures
from controlplane.metrics import Metrics as ControlPlaneMetrics
from router.metrics import TopologyState
from tests.helm.chart import CHART, render
from tests.helm.variants import VARIANTS
from tests.router.metrics.shown import all_metrics

Series = dict[str, set[str]]

BOARDS = sorted((CHART / "dashboards").glob("*.json"))
METRIC = re.compile(r"\bheadgate_\w+")
LABELS_USED = re.compile(r"\b(?:by|ignoring|on|group_left)\s*\(([^)]*)\)|(\w+)\s*(?:=~|!~|!=|=)\s*\"")
# What Prometheus adds to everything that it reads from a pod, and what `count_values` makes.
ADDED = {"namespace", "job", "pod", "version"}


class Cluster:
    """Figures of a control plane with one pool."""

    def figures(self) -> Figures:
        pool = PoolFigures("team-a", "small", wanted=2, ready=1, available=False, degraded=True)
        return Figures(True, True, 0, 0, {"Pod": 1}, {("get", "leases"): 1}, 0, 1, 1, 1, 1, 0, (pool,))


def read(page: bytes) -> Iterator[tuple[str, set[str]]]:
    """Every series of an exposition with the names of its labels."""
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            yield sample.name, set(sample.labels)


@pytest.fixture(scope="module")
def series() -> Series:
    """What the programs export once everything has happened that they count."""
    router, controlplane = all_metrics(), ControlPlaneMetrics()
    router.watch_topology(lambda: TopologyState(1, 0.0, True))
    controlplane.read_from(Cluster())
    controlplane.reconciled("ModelPool", "ok", 0.01)
    controlplane.wrote("Deployment", "apply")
    return dict([*read(router.page()), *read(controlplane.page())])


def board_queries(board: dict[str, Any]) -> Iterator[str]:
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (variable["query"] for variable in board["templating"]["list"] if variable["type"] == "query")


def complaints(query: str, series: Series) -> Iterator[str]:
    names = METRIC.findall(query)
    yield from (f"no such metric: {name}" for name in names if name not in series)
    known = ADDED.union(*(series.get(name, set()) for name in names))
    used = {label.strip() for group in LABELS_USED.findall(query) for part in group for label in part.split(",")}
    yield from (f"no such label: {label}" for label in used - known - {""})


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_boards_ask_for_what_there_is(path: Any, series: Series) -> None:
    queries = list(board_queries(json.loads(path.read_text())))
    assert len(queries) > 20
    assert [f"{complaint} in {query}" for query in queries for complaint in complaints(query, series)] == []


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_panels_do_not_overlap_and_are_explained(path: Any) -> None:
    board = json.loads(path.read_text())
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        taken |= cells
        assert panel["type"] == "row" or panel["description"]
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_check_itself_finds_what_is_wrong(series: Series) -> None:
    assert list(complaints("sum by (tenant) (headgate_router_no_such_total)", series))
    assert list(complaints('headgate_router_request_total{modle="a"}', series)) == ["no such label: modle"]


@pytest.mark.requires("helm")
class TestRendered:
    def test_alerts_ask_for_what_there_is(self, series: Series) -> None:
        (group,) = render(VARIANTS["everything"]).all("PrometheusRule")[0]["spec"]["groups"]
        assert [c for rule in group["rules"] for c in complaints(rule["expr"], series)] == []
        assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in group["rules"])

    def test_boards_arrive_as_they_are(self) -> None:
        (found,) = [o for o in render(VARIANTS["everything"]).all("ConfigMap") if o["metadata"]["name"].endswith("dashboards")]
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert {name: json.loads(text) for name, text in found["data"].items()} == {
            f"headgate-{path.name}": json.loads(path.read_text()) for path in BOARDS
        }

    def test_monitors_find_the_services_that_serve_metrics(self) -> None:
        rendered = render(VARIANTS["everything"])
        for monitor in rendered.all("ServiceMonitor"):
            selector = monitor["spec"]["selector"]["matchLabels"]
            (service,) = [s for s in rendered.all("Service") if selector.items() <= s["metadata"]["labels"].items()]
            (endpoint,) = monitor["spec"]["endpoints"]
            assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
            assert endpoint["path"] == "/metrics"
