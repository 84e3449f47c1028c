"""The report: what it says, and that nothing in it is alive or comes from elsewhere."""

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from tests.training.invented import outcomes
from tests.training.report.toy import Knowing
from training.outcomes.table import Outcomes
from training.report.examining import Facts, Trial, findings_of, trial_by_split, trial_on, trial_unseen
from training.report.findings import Findings, distrust_of
from training.report.page import page
from training.report.predicted import features_of, predict_all
from training.report.terminal import view
from training.report.words import summary

HOSTILE = "<script>alert('$x_1$ &amp;')</script><img src=https://evil.example/x.png>"
FACTS = Facts("0123abcd", ("outcomes.csv",), ("a warning",), ("a note",))


def findings(table: Outcomes, facts: Facts = FACTS, unseen: bool = True) -> Findings:
    features = features_of(table)
    said = predict_all(Knowing(), table, features)
    trial = Trial(table, features, said, "Tested by hand.")
    return findings_of(table, facts, trial, trial_unseen(table, lambda _: Knowing(), 0, lambda _: None) if unseen else None, 0)


@pytest.fixture(scope="module")
def found() -> Findings:
    return findings(outcomes(1200))


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"


def elements(text: str) -> _Elements:
    parsed = _Elements()
    parsed.feed(text)
    parsed.close()
    assert parsed.open == []
    return parsed


def test_everything_is_on_the_page(found: Findings) -> None:
    text = page(found)
    for part in ("Quality for the money", "Where not to trust it", "Do predictions come true?", "By kind of prompt",
                 "Length of answers", "a warning", "a note", "1,200 rows", "domain: maths", "outcomes.csv"):  # fmt: skip
        assert part in text, part
    parsed = elements(text)
    assert parsed.tags.count("svg") == 3
    assert [value for name, value in parsed.attributes if name == "role"] == ["img"] * 3
    labels = [value for name, value in parsed.attributes if name == "aria-label"]
    assert [label.split(".")[0] for label in labels] == [
        "Cost–quality curves",
        "Reliability curves",
        "Quality by kind of prompt",
    ]


def test_nothing_is_fetched_and_nothing_runs(found: Findings) -> None:
    text = page(found)
    assert not re.search(r"https?:|//[a-z]|url\((?!#)|@import", text)
    parsed = elements(text)
    assert not {"script", "link", "iframe", "img", "image", "object", "embed", "base", "form"} & set(parsed.tags)
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    assert all(value.startswith("#") for name, value in parsed.attributes if name in ("href", "src"))


def test_names_from_files_are_text(found: Findings) -> None:
    """Pool, domain, file, warning and note may be anything."""
    table = outcomes(400)
    domain = tuple(HOSTILE if each == "maths" else each for each in table.domain or ())
    hostile = findings(replace(table, domain=domain), Facts("v", (HOSTILE,), (HOSTILE,), (HOSTILE,)))
    hostile = replace(hostile, pools=tuple(replace(pool, name=HOSTILE + pool.name) for pool in hostile.pools))
    text = page(hostile)
    parsed = elements(text)
    assert not {"script", "img"} & set(parsed.tags)
    assert not [value for name, value in parsed.attributes if name in ("src", "href") and "evil" in value]
    assert "&lt;script&gt;alert" in text
    # In a picture too, as it stands and not as a formula.
    assert "&lt;script&gt;alert('$x_1$" in text


def test_the_same_findings_make_the_same_page(found: Findings) -> None:
    assert page(found) == page(found)


def test_colours_follow_the_reader(found: Findings) -> None:
    text = page(found)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert not re.search(r"<svg.*#0102", text, re.DOTALL)
    assert "var(--ours)" in text


def test_little_is_known(found: Findings) -> None:
    """One pool in each row, no costs, no domains, no lengths: a page all the same."""
    table = outcomes(400)
    quality = np.array(table.quality)
    quality[::2, 0] = quality[1::2, 1] = np.nan
    bare = findings(Outcomes(table.prompts, table.pools, quality))
    text = page(bare)
    elements(text)
    assert "could not be tested" in text
    assert "could not be tested" in summary(bare)
    assert "not tested, because the outcomes name fewer than three domains" in text


def test_a_pool_that_no_answer_tells_of() -> None:
    table = outcomes(400)
    quality = np.array(table.quality)
    quality[:, 1] = np.nan
    elements(page(findings(replace(table, quality=quality))))


def test_the_terminal_shows_it(found: Findings) -> None:
    console = Console(file=io.StringIO(), width=160)
    console.print(view(found))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    for part in ("small", "large", "prompts like these", "unseen domains", "AIQ: ours", "note: a note"):
        assert part in said, part


def test_the_summary_is_one_line(found: Findings) -> None:
    said = summary(found)
    assert "\n" not in said
    assert said.startswith("trained on 1,200 rows, 2 pools; against always large: ")
    assert ": +" in said
    assert "% of its cost, 99% of it at " in said


def test_distrust_is_said_in_words(found: Findings) -> None:
    assert found.seen.choice
    worse = replace(
        found, seen=replace(found.seen, choice=replace(found.seen.choice, reached=False), low_trust=0.5), unseen=None
    )
    said = "\n".join(distrust_of(worse))
    assert "is never reached at less" in said
    assert "50% of the tested prompts have a trust below 0.5" in said
    assert "not tested, because the outcomes name fewer than three domains" in said


def test_trust_that_does_not_fall_where_predictions_fail_is_said(found: Findings) -> None:
    assert found.unseen
    assert found.seen.choice
    off = replace(found.unseen, reliability=tuple(replace(each, error=0.3) for each in found.unseen.reliability))
    assert any("ECE 0.30), and trust does not tell" in each for each in distrust_of(replace(found, unseen=off)))
    assert not any("trust does not tell" in each for each in distrust_of(replace(found, unseen=replace(off, low_trust=0.9))))
    lots = replace(off, choice=replace(found.seen.choice, aiq=(0.5, 0.6, 0.9)))
    assert any("worse there than drawing lots" in each for each in distrust_of(replace(found, unseen=lots)))


def test_a_split_tests_one_fifth() -> None:
    table = outcomes(500)
    trial = trial_by_split(table, lambda _: Knowing(), 0, lambda _: None)
    assert len(trial.said.known) == 100


def test_other_outcomes_are_tested_without_the_training_prompts() -> None:
    trained, other = outcomes(300), outcomes(400)  # the first 300 prompts of both are the same
    other = replace(other, pools=("large", "small"), quality=other.quality[:, ::-1])
    trial = trial_on(other, trained, Knowing(), "other.csv", lambda _: None)
    assert trial.table.prompts == other.prompts[300:]
    assert trial.table.pools == ("small", "large")
    np.testing.assert_array_equal(trial.table.quality, other.quality[300:, ::-1])
    assert "300 of its rows repeat training prompts" in trial.how
