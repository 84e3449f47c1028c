"""The report's pictures: one SVG text each, coloured by the page's style sheet, so that they follow a dark or a light reader.

Text stays text (searchable, in the reader's font). Names come from files: they are never read as markup or as formulas.
"""

import io
import logging
import math
import re
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from training.report.curves import hull
from training.report.reliability import Reliability
from training.report.slices import Slice
from training.report.verdict import Choice

# Stand-ins that the SVG carries until they become variables of the style sheet.
_COLOURS = {
    "#010203": "--ink",
    "#010204": "--faint",
    "#010205": "--ours",
    "#010206": "--oracle",
    "#010207": "--fixed",
    "#010208": "--bad",
}
INK, FAINT, OURS, ORACLE, FIXED, BAD = _COLOURS
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "headgate",
    "font.size": 10,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,
}
_LABELLED = 6
# On the page an inch of a figure is at most this wide: the text in it is then of the text's size.
_PX_PER_INCH = 100
_PANELS = 12


def cost_quality(panels: Sequence[tuple[str, Choice]], pools: Sequence[str]) -> str:
    """A panel per way of testing: our curve, the oracle's, the pools and the hull of them."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(5.2 * len(panels), 3.9), layout="constrained")
        for place, (title, choice) in enumerate(panels, 1):
            axes = figure.add_subplot(1, len(panels), place)
            axes.set_title(title, loc="left", fontsize=10)
            _draw_choice(axes, choice, pools)
        return _svg(figure)


def _draw_choice(axes: Any, choice: Choice, pools: Sequence[str]) -> None:
    cheapest = float(choice.cost_usd.min())
    if choice.priced and cheapest > 0 and choice.cost_usd.max() > 30 * cheapest:
        axes.set_xscale("log")
    else:
        axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda cost, _: f"{cost:g}")
    zero = hull(choice.cost_usd, choice.mean_quality)
    axes.plot(choice.oracle.cost, choice.oracle.quality, color=ORACLE, linestyle=":", linewidth=1.6)
    axes.plot(zero.cost, zero.quality, color=FIXED, linestyle="--", linewidth=1.4)
    axes.plot(choice.ours.cost, choice.ours.quality, color=OURS, linewidth=2.2)
    axes.scatter(choice.cost_usd, choice.mean_quality, color=FIXED, s=26, zorder=3)
    axes.scatter(*choice.random, color=FAINT, marker="x", s=36, zorder=3)
    middle = float(choice.cost_usd.mean())
    for pool in _labelled(choice):
        at = (float(choice.cost_usd[pool]), float(choice.mean_quality[pool]))
        right = at[0] > middle
        axes.annotate(
            _short(pools[pool]),
            at,
            (-5 if right else 5, 4 if right else -12),
            textcoords="offset points",
            fontsize=8,
            ha="right" if right else "left",
        )
    axes.set_xlabel("mean cost of an answer, USD" if choice.priced else "relative cost: the worst pool 0, the best 1")
    axes.set_ylabel("mean quality")
    axes.margins(x=0.12, y=0.1)


def _labelled(choice: Choice) -> list[int]:
    """The best, the cheapest and the dearest pool, and those that no mix of others beats: more names would cover each other."""
    zero = hull(choice.cost_usd, choice.mean_quality)
    corners = set(zip(zero.cost.tolist(), zero.quality.tolist(), strict=True))
    points = zip(choice.cost_usd.tolist(), choice.mean_quality.tolist(), strict=True)
    first = [choice.best, int(choice.cost_usd.argmin()), int(choice.cost_usd.argmax())]
    return list(dict.fromkeys((*first, *(pool for pool, at in enumerate(points) if at in corners))))[:_LABELLED]


def reliability_curves(pools: Sequence[tuple[str, Reliability]]) -> str:
    """A panel per pool, twelve at most: observed against predicted quality, a dot per tenth of the answers."""
    shown = [(name, curve) for name, curve in pools if len(curve.count)][:_PANELS]
    across = min(len(shown), 4)
    down = math.ceil(len(shown) / across)
    with rc_context(_STYLE):
        figure = Figure(figsize=(2.5 * across, 2.6 * down), layout="constrained")
        for place, (name, curve) in enumerate(shown, 1):
            axes = figure.add_subplot(down, across, place)
            axes.plot([0, 1], [0, 1], color=FIXED, linestyle="--", linewidth=1)
            axes.plot(curve.predicted, curve.observed, color=OURS, marker="o", markersize=4, linewidth=1.6)
            axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
            axes.set_title(f"{_short(name)}\nECE {curve.error:.3f}", loc="left", fontsize=9)
        figure.supxlabel("predicted quality", fontsize=10)
        figure.supylabel("observed quality", fontsize=10)
        return _svg(figure)


def slice_bars(slices: Sequence[Slice]) -> str:
    """Quality won or lost against the best fixed choice by kind of prompt, in points, with two standard errors."""
    shown = list(slices)[::-1]
    with rc_context(_STYLE):
        figure = Figure(figsize=(8.4, 0.9 + 0.26 * len(shown)), layout="constrained")
        axes = figure.add_subplot()
        places = range(len(shown))
        lost = [BAD if each.worse else OURS for each in shown]
        axes.barh(places, [100 * each.difference for each in shown], color=lost, height=0.6)
        errors = [200 * each.difference_error for each in shown]
        axes.errorbar([100 * each.difference for each in shown], places, xerr=errors, fmt="none", ecolor=INK, elinewidth=1)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(places, [f"{_short(each.name, 44)} ({each.prompts:,})" for each in shown])
        axes.set_xlabel("points of quality against the best fixed choice")
        axes.grid(axis="y", visible=False)
        return _svg(figure)


def _short(name: str, longest: int = 26) -> str:
    """Printable and not too long for its place."""
    plain = "".join(char if char.isprintable() else " " for char in name)
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}…"


def _svg(figure: Figure) -> str:
    """The <svg> element alone: no prolog, no metadata, no address of any kind, colours by variable."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it talks of fonts that the page does not use
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = drawn.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href=", "href=")
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    widest_px = round(figure.get_figwidth() * _PX_PER_INCH)
    text = text.replace("<svg", f'<svg style="max-width: {widest_px}px"', 1)
    for colour, variable in _COLOURS.items():
        text = text.replace(colour, f"var({variable})")
    return text
