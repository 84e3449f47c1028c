"""The report as one HTML page: no script, nothing from elsewhere, everything that came from a file escaped. Pure.

It follows a dark or light reader, prints, and says every picture in a table too.
"""

from collections.abc import Iterable
from html import escape

from training.report import figures, words
from training.report.findings import Findings, distrust_of

# A bar chart of more kinds than these is a wall; the table has them all.
_BARS = 24
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2530; --faint: #7b8794; --paper: #fff; --panel: #f3f5f8; --ours: #1769c2;
  --oracle: #2f8f5b; --fixed: #b4690e; --bad: #c03535; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ef; --faint: #8996a5; --paper: #14181e; --panel: #1d232c;
  --ours: #62aef7; --oracle: #5cc48b; --fixed: #e5a04d; --bad: #f07f7f; } }
@media print { :root { --ink: #000; --faint: #666; --paper: #fff; --panel: #fff; --ours: #1769c2; --oracle: #2f8f5b;
  --fixed: #b4690e; --bad: #c03535; } figure, table { break-inside: avoid; } details { display: block; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 66rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
.lead { font-size: 1.15rem; background: var(--panel); border-left: 4px solid var(--ours); padding: .7rem 1rem; }
.warn { border-left-color: var(--bad); padding-left: 2.2rem; font-size: 1rem; }
.small { color: var(--faint); font-size: .9rem; overflow-wrap: anywhere; }
figure { margin: 1rem 0; } svg { width: 100%; height: auto; } figcaption { font-size: .95rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .55rem; border-bottom: 1px solid var(--panel); }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; min-width: 9rem; }
th { color: var(--faint); font-weight: 600; vertical-align: bottom; } li { overflow-wrap: anywhere; }
.key span { display: inline-block; width: 1.6rem; border-top: 3px solid; vertical-align: middle; margin: 0 .3rem 0 1rem; }
.key .o { border-color: var(--ours); } .key .z { border-color: var(--fixed); border-top-style: dashed; }
.key .r { border-color: var(--oracle); border-top-style: dotted; }
"""
_KEY = (
    '<p class="key small"><span class="o"></span>choosing by this predictor <span class="z"></span>zero router: lots drawn '
    'between fixed choices <span class="r"></span>oracle: knows every outcome beforehand; dots: always the same pool; cross: a '
    "pool at random</p>"
)


def page(findings: Findings) -> str:
    """The whole page."""
    parts = [_head(findings), _choice(findings), _distrust(findings), _calibration(findings), _slices(findings)]
    parts += [_lengths(findings), _notes(findings)]
    title = f"Headgate: predictor {findings.version}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n{''.join(parts)}\n</body></html>\n"
    )


def _head(findings: Findings) -> str:
    domains = f", {findings.domains:,} domains" if findings.domains else ""
    trained = f"{findings.rows:,} rows, {findings.prompts:,} different prompts, {len(findings.pools):,} pools{domains}"
    return (
        f'<h1>Predictor {escape(findings.version)}</h1><p class="small">trained on {escape(", ".join(findings.files))}: '
        f"{trained}. {escape(findings.tested)}</p>"
        f'<p class="lead">{escape(words.headline(findings))}</p>'
        f"{_table('The pools in the outcomes', words.pools_table(findings))}"
    )


def _choice(findings: Findings) -> str:
    panels = [("prompts like these", findings.seen.choice)]
    if findings.unseen:
        panels.append(("unseen domains", findings.unseen.choice))
    drawn = [(title, choice) for title, choice in panels if choice]
    table = _table("The same in figures", words.splits_table(findings))
    if not drawn:
        return f"<h2>Quality for the money</h2><p>{escape(words.headline(findings))}</p>{table}"
    names = [pool.name for pool in findings.pools]
    said = " ".join(f"On {title}: {words.saved(choice, names)}" for title, choice in drawn)
    caption = (
        "Mean quality against mean cost as the weight of cost changes; higher and further left is better. AIQ: mean height."
    )
    picture = _figure(figures.cost_quality(drawn, names), "Cost–quality curves. " + said, caption + " " + said)
    return f"<h2>Quality for the money</h2>{picture}{_KEY}{table}"


def _distrust(findings: Findings) -> str:
    said = distrust_of(findings)
    if not said:
        return "<h2>Where not to trust it</h2><p>Nothing was found in these outcomes. Prompts unlike them are not covered.</p>"
    return f'<h2>Where not to trust it</h2><ul class="lead warn">{"".join(f"<li>{escape(each)}</li>" for each in said)}</ul>'


def _calibration(findings: Findings) -> str:
    pools = [(pool.name, known) for pool, known in zip(findings.pools, findings.seen.reliability, strict=True)]
    if not any(len(known.count) for _, known in pools):
        return ""
    told = "; ".join(f"{name} ECE {words.figure(known.error)}" for name, known in pools)
    caption = (
        "Observed against predicted quality, a dot per bin of answers; on the diagonal, predictions come true. ECE: "
        "the mean distance from it."
    )
    more = "" if len(pools) <= 12 else " The first twelve pools are drawn; the table has all."
    rows = [["pool", "answers", "predicted → observed, bin by bin"]]
    for name, known in pools:
        pairs = ", ".join(f"{p:.2f} → {o:.2f}" for p, o in zip(known.predicted, known.observed, strict=True))
        rows.append([name, f"{int(known.count.sum()):,}", pairs])
    table = f"<details><summary>In figures</summary>{_table('Reliability', rows)}</details>"
    picture = _figure(figures.reliability_curves(pools), f"Reliability curves. {told}", caption + more)
    return f"<h2>Do predictions come true?</h2>{picture}{table}"


def _slices(findings: Findings) -> str:
    if not findings.slices:
        return ""
    shown = findings.slices if len(findings.slices) <= _BARS else (*findings.slices[: _BARS - 6], *findings.slices[-6:])
    cut = "" if len(shown) == len(findings.slices) else f" The worst {_BARS - 6} and the best 6 are drawn."
    caption = (
        "Quality won or lost against the best fixed choice, at the setting that costs least for the quality of that choice. "
        f"Lines: two standard errors. Red: lost beyond chance.{cut}"
    )
    worst = findings.slices[0]
    told = f"Quality by kind of prompt. Worst: {worst.name}, {100 * worst.difference:+.1f} points."
    table = (
        f"<details><summary>All kinds in figures</summary>{_table('Kinds of prompts', words.slices_table(findings))}</details>"
    )
    return f"<h2>By kind of prompt</h2>{_figure(figures.slice_bars(shown), told, caption)}{table}"


def _lengths(findings: Findings) -> str:
    rows = words.lengths_table(findings)
    return "" if len(rows) == 1 else f"<h2>Length of answers</h2>{_table('Mean absolute error', rows)}"


def _notes(findings: Findings) -> str:
    said = (*findings.warnings, *findings.notes)
    notes = "".join(f"<li>{escape(each)}</li>" for each in said)
    return f"<h2>Notes</h2><ul>{notes}</ul>" if said else ""


def _figure(svg: str, told: str, caption: str) -> str:
    labelled = svg.replace("<svg", f'<svg role="img" aria-label="{escape(told)}"', 1)
    return f"<figure>{labelled}<figcaption>{escape(caption)}</figcaption></figure>"


def _table(caption: str, rows: Iterable[Iterable[str]]) -> str:
    heading, *body = rows
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in heading)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in body)
    below = f"<thead><tr>{top}</tr></thead><tbody>{lines}</tbody>"
    return f'<div class="wide"><table><caption class="small">{escape(caption)}</caption>{below}</table></div>'
