"""Tables that fit their screen: columns are left out where they have nothing to show, then by how well they can be missed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

Row = TypeVar("Row")

ALWAYS = 9
_ENDLESS_COLUMNS = 10_000


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """`show` gives a row's cell; "" is nothing to show. Where there is no room for all columns, those of the least `worth` go
    first, and those of `ALWAYS` never.
    """

    heading: str
    show: Callable[[Row], RenderableType]
    worth: int = ALWAYS
    text: bool = False


def fitted(console: Console, title: str, columns: Sequence[Column[Row]], rows: Sequence[Row]) -> Table:
    """One line a row, no wider than the console if that can be. Text in cells is shown as it is."""
    cells = {column.heading: [column.show(row) for row in rows] for column in columns}
    kept = [column for column in columns if column.worth == ALWAYS or any(cell != "" for cell in cells[column.heading])]
    endless = console.options.update(width=_ENDLESS_COLUMNS)  # or tables would be measured as what they are squeezed to
    while True:
        table = _table(title, kept, cells)
        least = min(column.worth for column in kept)
        if least == ALWAYS or Measurement.get(console, endless, table).maximum <= console.width:
            return table
        kept.remove(next(column for column in reversed(kept) if column.worth == least))


def _table(title: str, columns: Sequence[Column[Row]], cells: Mapping[str, Sequence[RenderableType]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(
            column.heading, justify="left" if column.text else "right", overflow="ellipsis", no_wrap=True, max_width=28
        )
    for row in zip(*(cells[column.heading] for column in columns), strict=True):
        # A name in brackets is no markup.
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table
