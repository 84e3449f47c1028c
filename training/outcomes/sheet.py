"""The needed columns of one file as values, with one fault per column that says which rows are wrong."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.outcomes import cells
from training.outcomes.faults import Faults, rows_named, shown
from training.outcomes.source import Source
from training.outcomes.table import Floats

# Scales that people judge on; the narrowest that holds every value is the likely one.
_SCALES = ((1, 5), (0, 5), (1, 10), (0, 10), (0, 100))
Kind = Literal["quality", "cost_usd", "output_tokens"]


@dataclass(frozen=True, slots=True)
class Sheet:
    """Cells of one file by column; `numbers` are the rows' numbers for people."""

    source: Source
    numbers: list[int]
    cells: dict[str, list[object]]
    faults: Faults

    def prompts(self, column: str) -> list[str]:
        texts: list[str] = []
        empty: list[int] = []
        odd: list[int] = []
        for number, cell in zip(self.numbers, self.cells[column], strict=True):
            try:
                texts.append(cells.prompt(cell))
            except cells.BadCell as bad:
                (empty if str(bad) == "empty" else odd).append(number)
                texts.append("")
        self._say(column, empty, "is empty; leave such rows out")
        self._say(column, odd, "is neither text nor a list of messages")
        return texts

    def names(self, column: str, *, needed: bool = False) -> list[str]:
        """Pools (needed in every row) or domains."""
        names: list[str] = []
        empty: list[int] = []
        odd: list[int] = []
        for number, cell in zip(self.numbers, self.cells[column], strict=True):
            try:
                names.append(cells.name(cell))
            except cells.BadCell:
                odd.append(number)
                names.append("")
            else:
                if needed and not names[-1]:
                    empty.append(number)
        self._say(column, empty, "is empty")
        self._say(column, odd, "is no text")
        return names

    def numbers_of(self, column: str, kind: Kind, scale: tuple[float, float] = (0.0, 1.0)) -> Floats:
        """float64[rows], NaN where nothing is said. Quality comes back on 0…1."""
        values = self._numbers(column)
        if kind == "quality":
            low, high = scale
            values = (values - low) / (high - low)
            self._check(column, values, (values < 0) | (values > 1), scale)
        else:
            self._say(column, self._rows(values < 0), f"is below 0: {kind} can't be")
        return values

    def _numbers(self, column: str) -> Floats:
        values = np.full(len(self.numbers), math.nan)
        odd: dict[str, list[int]] = {}
        examples: dict[str, str] = {}
        comma = self.source.decimal_comma
        for place, cell in enumerate(self.cells[column]):
            try:
                values[place] = cells.number(cell, comma)
            except cells.BadCell as bad:
                odd.setdefault(str(bad), []).append(self.numbers[place])
                examples.setdefault(str(bad), shown(cell))
        for what, rows in odd.items():
            self._say(column, rows, f"{examples[what]} is {what}" if len(rows) == 1 else f"is {what}: first {examples[what]}")
        return values

    def _check(self, column: str, values: Floats, outside: Iterable[bool], scale: tuple[float, float]) -> None:
        rows = self._rows(outside)
        if not rows:
            return
        low, high = scale
        raw = values * (high - low) + low
        least, most = float(np.nanmin(raw)), float(np.nanmax(raw))
        told = f"is outside of {low:g}…{high:g}; the column runs from {least:g} to {most:g}"
        if fits := next((f"{a}:{b}" for a, b in _SCALES if a <= least and most <= b and most > 1), ""):
            told += f"; if it was judged on such a scale, add --scale {fits}"
        self._say(column, rows, told)

    def _rows(self, chosen: Iterable[bool]) -> list[int]:
        return [number for number, is_it in zip(self.numbers, chosen, strict=True) if is_it]

    def _say(self, column: str, rows: list[int], what: str) -> None:
        if rows:
            self.faults.add(self.source.file, f'column "{column}", {rows_named(rows, self.source.row_word)}: {what}')


def read_sheet(source: Source, columns: Iterable[str], faults: Faults) -> Sheet:
    """Raises OutcomesRefused where rows can't be read at all; faults of cells go to `faults` when a column is asked for."""
    wanted = list(dict.fromkeys(columns))
    numbers: list[int] = []
    found: dict[str, list[object]] = {column: [] for column in wanted}
    columns_of = list(found.values())
    for number, row in source.rows(wanted):
        numbers.append(number)
        for cells_of, cell in zip(columns_of, row, strict=True):
            cells_of.append(cell)
    return Sheet(source, numbers, found, faults)
