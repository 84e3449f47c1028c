"""The report for a terminal: the tables that matter, in the terminal's width. Draws only."""

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from training.report import words
from training.report.findings import Findings, distrust_of

_DISTRUSTED = 8


def view(findings: Findings) -> RenderableType:
    """Everything that a person should read before the artefact is used."""
    parts: list[RenderableType] = [_table("Pools", words.pools_table(findings)), Text("")]
    parts += [_table("Choosing between them", words.splits_table(findings)), Text("")]
    lengths = words.lengths_table(findings)
    if len(lengths) > 1:
        parts += [_table("Length of answers, mean absolute error", lengths), Text("")]
    distrusted = distrust_of(findings)
    if distrusted:
        parts.append(Text("Where not to trust it", style="bold"))
        parts += [Text(f"  - {each}") for each in distrusted[:_DISTRUSTED]]
        if len(distrusted) > _DISTRUSTED:
            parts.append(Text(f"  … and {len(distrusted) - _DISTRUSTED} more; --report has all"))
        parts.append(Text(""))
    parts += [Text(f"note: {each}", style="dim") for each in findings.notes]
    return Group(*parts)


def console(to_error: bool = False) -> Console:
    """As wide as a person's terminal; for a file or a pipe wide enough for whole tables."""
    plain = Console(highlight=False, stderr=to_error)
    return plain if plain.is_terminal else Console(highlight=False, stderr=to_error, width=160)


def _table(title: str, rows: words.Rows) -> Table:
    heading, *body = rows
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for place, name in enumerate(heading):
        table.add_column(name, justify="right" if place else "left", overflow="fold")
    for row in body:
        table.add_row(*(Text(cell) for cell in row))
    return table
