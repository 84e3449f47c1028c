"""The table of docs/request-life.md names metrics that there are, by the labels that they have, and leaves none of ours out."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.router.metrics.shown import all_metrics

PAGE = Path(__file__).resolve().parents[3] / "docs/request-life.md"
OURS = re.compile(
    r"(budget|carbon|drift|energy|escalations|exploration|explored|feedback|learning|predict|request_cost|shadow|water)"
)
NAMED = re.compile(r"`([a-z_]+)(?:\{([a-z,]+)\})?`")


def exported() -> dict[str, set[str]]:
    """Labels by name, once everything has happened; a histogram under its own name."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(all_metrics().page().decode()):
        for sample in family.samples:
            if family.type == "histogram":
                found[family.name] = set(sample.labels) - {"le"} | found.get(family.name, set())
            elif not sample.name.endswith("_created"):
                found[sample.name] = set(sample.labels)
    return {name.removeprefix("headgate_router_"): labels for name, labels in found.items()}


def documented() -> dict[str, set[str]]:
    """Labels by name; where a name has none, they are those of the name before it in the same cell, or none."""
    section = PAGE.read_text().partition("## What the router counts of choice and money")[2].partition("\n## ")[0]
    found: dict[str, set[str]] = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            for name, labels in NAMED.findall(line.split(" | ")[0]):
                found[name] = set(labels.split(",")) if labels else set()
    return found


def test_every_documented_metric_is_exported_by_its_labels() -> None:
    metrics, told = exported(), documented()
    assert len(told) > 40
    assert {name for name in told if name not in metrics} == set()
    assert {name: labels for name, labels in told.items() if labels and labels != metrics[name]} == {}


def test_none_of_ours_is_left_out() -> None:
    assert {name for name in exported() if OURS.match(name)} - documented().keys() == set()
