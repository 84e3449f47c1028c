"""The figures of a report in words, the same in the terminal and on the page. Pure."""

import math
from collections.abc import Sequence

from training.report.findings import Findings
from training.report.redrawing import Interval
from training.report.verdict import Choice, Verdict

Rows = list[list[str]]


def share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.0%}"


def figure(value: float, digits: int = 3) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def money(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"


def points(interval: Interval) -> str:
    """A difference of quality in points with its interval."""
    return f"{100 * interval.value:+.1f} points ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"


def _gain(interval: Interval) -> str:
    return points(interval).replace(" points", "")


def saved(choice: Choice, pools: Sequence[str]) -> str:
    """What is saved at the best fixed choice's quality, in a sentence."""
    best, quality = pools[choice.best], choice.mean_quality[choice.best]
    reached = choice.reached and choice.saving.value > 0
    saving, part = (choice.saving, "The") if reached else (choice.nearly, "99% of the")
    if saving.value <= 0:
        return f"Nothing is saved at the quality of always taking {best} ({quality:.3f}), nor at 99% of it."
    left, interval = 1 - saving.value, f"95% interval {1 - saving.high:.0%} to {1 - saving.low:.0%}"
    interval += "; it may be chance" if saving.low <= 0 else ""
    said = f"{part} quality of always taking {best} ({quality:.3f})"
    if choice.priced:
        return f"{said} at {left:.0%} of its cost ({interval})."
    if len(pools) == 2:
        return f"{said} by sending it {left:.0%} of the prompts ({interval})."
    return f"{said} at {left:.0%} of its relative cost ({interval}); no costs were told."


def headline(findings: Findings) -> str:
    """The one sentence on what the choice is worth."""
    choice = findings.seen.choice
    if choice is None:
        return "Too few prompts have a known quality of every pool, so the choice between pools could not be tested."
    return saved(choice, [pool.name for pool in findings.pools])


def splits_table(findings: Findings) -> Rows:
    """Heading and rows: how choosing does on prompts like these, and on unseen domains."""
    two = len(findings.pools) == 2
    choosing = [
        "AIQ: ours",
        "zero router",
        "oracle",
        "gain at equal cost, points",
        "cost at best fixed quality",
        "at 99% of it",
    ]
    choosing += ["APGR"] if two else []
    rows = [["tested on", "prompts", *choosing, "ECE", "trust < 0.5"]]
    for name, verdict in _verdicts(findings):
        choice = verdict.choice
        figures = ["–"] * len(choosing) if choice is None else _choosing(choice, two)
        tested = verdict.tested if choice is None else len(choice.rows)
        rows.append([name, f"{tested:,}", *figures, figure(verdict.error), share(verdict.low_trust)])
    return rows


def _choosing(choice: Choice, two: bool) -> list[str]:
    cost = _left(choice.saving) if choice.reached else "not reached"
    cells = [*(figure(height) for height in choice.aiq), _gain(choice.gain), cost, _left(choice.nearly)]
    return cells + ([figure(choice.gap_recovered)] if two else [])


def _left(saving: Interval) -> str:
    """What remains of the best fixed choice's cost, with its interval."""
    return f"{1 - saving.value:.0%} ({1 - saving.high:.0%} to {1 - saving.low:.0%})"


def _verdicts(findings: Findings) -> list[tuple[str, Verdict]]:
    found = [("prompts like these", findings.seen)]
    return found + ([("unseen domains", findings.unseen)] if findings.unseen else [])


def pools_table(findings: Findings) -> Rows:
    """Heading and rows: what the outcomes tell of each pool, and how well it is predicted."""
    rows = [["pool", "answers", "mean quality", "mean cost, USD", "mean output tokens", "ECE", "ECE, unseen domains"]]
    for at, pool in enumerate(findings.pools):
        unseen = figure(findings.unseen.reliability[at].error) if findings.unseen else "–"
        told = [figure(pool.mean_quality), money(pool.mean_cost_usd), _whole(pool.mean_output_tokens)]
        rows.append([pool.name, f"{pool.answers:,}", *told, figure(findings.seen.reliability[at].error), unseen])
    return rows


def lengths_table(findings: Findings) -> Rows:
    """Heading and rows: error of the predicted answer length; no rows where no lengths were told."""
    rows = [["pool", "answers", "error, tokens", "error of always saying the mean"]]
    for pool, known in zip(findings.pools, findings.seen.lengths, strict=True):
        if known:
            rows.append([pool.name, f"{known.answers:,}", _whole(known.error_tokens), _whole(known.mean_error_tokens)])
    return rows


def slices_table(findings: Findings) -> Rows:
    """Heading and rows: every kind of prompt with enough prompts, worst first."""
    rows = [["kind of prompt", "prompts", "points against best fixed", "predicted − observed, points", "trust", "distrust"]]
    for each in findings.slices:
        worth = f"{100 * each.difference:+.1f} ± {200 * each.difference_error:.1f}"
        off = f"{100 * each.off:+.1f} ± {200 * each.off_error:.1f}"
        rows.append([each.name, f"{each.prompts:,}", worth, off, figure(each.trust, 2), "yes" if each.distrusted else ""])
    return rows


def _whole(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.0f}"


def summary(findings: Findings) -> str:
    """One line: what it was trained on and what it is worth."""
    choice, names = findings.seen.choice, [pool.name for pool in findings.pools]
    trained = f"trained on {findings.rows:,} rows, {len(names)} pools"
    error = f"ECE {figure(findings.seen.error)}"
    trust = f"trust below 0.5 on {share(findings.seen.low_trust)} of prompts"
    if choice is None:
        return f"{trained}; the choice could not be tested; {error}; {trust}"
    best = names[choice.best]
    cost = "cost" if choice.priced else "relative cost"
    left = (
        f"its quality at {1 - choice.saving.value:.0%} of its {cost}" if choice.reached else "its quality not reached for less"
    )
    left += f", 99% of it at {1 - choice.nearly.value:.0%}"
    return f"{trained}; against always {best}: {points(choice.gain)} at equal cost, {left}; {error}; {trust}"
