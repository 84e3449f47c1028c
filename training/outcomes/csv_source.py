"""Outcomes from CSV: commas, semicolons or tabs; quoted cells may hold line ends. Strict, with a row number for every fault.

The standard library's parser, not polars': it tells which row is broken.
"""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from training.outcomes.faults import Faults
from training.outcomes.opening import lines, refused
from training.outcomes.source import Row

LONGEST_CELL_CHARS = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CsvSource:
    """A CSV file; row 1 is its header, as in a spreadsheet."""

    file: Path
    columns: tuple[str, ...]
    separator: str
    row_word: str = "row"

    @property
    def decimal_comma(self) -> bool:
        """Where the comma does not part cells, it may part decimals: Excel writes both in half of the world."""
        return self.separator == ";"

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        places = [self.columns.index(column) for column in columns]
        faults, width = Faults(), len(self.columns)
        for number, cells in _records(self.file, self.separator):
            if number == 1 or not cells:
                continue
            if len(cells) != width:
                faults.add(self.file, f"row {number} has {len(cells)} cells, the header has {width}")
                if len(faults.found) > _MANY:
                    break
                continue
            yield number, [cells[place] for place in places]
        faults.settle()


# A file whose every row is broken is not read to its end for the count.
_MANY = 1000


def open_csv(file: Path) -> CsvSource:
    """Reads the header. Raises OutcomesRefused."""
    first = next(iter(lines(file)), "")
    if not first:
        raise refused(file, "is empty")
    if first.lstrip()[:2] in ('{"', "{'"):
        raise refused(file, "looks like JSON, a line each: name it .jsonl")
    separator = "\t" if ".tsv" in file.suffixes else _separator(first)
    header = next(_records(file, separator))[1]
    return CsvSource(file, tuple(cell.strip() for cell in header), separator)


def _separator(header: str) -> str:
    """The one of comma, semicolon and tab that stands most often outside of quotes."""
    outside = "".join(header.split('"')[::2])
    return max(",;\t", key=outside.count)


def _records(file: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    number = 0
    with _long_cells():
        reader = csv.reader(lines(file), delimiter=separator, strict=True)
        while True:
            number += 1
            starts_at = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as fault:
                raise refused(file, _said(number, starts_at, str(fault))) from None
            yield number, cells


def _said(number: int, line: int, fault: str) -> str:
    where = f"row {number} (line {line})"
    if "unexpected end of data" in fault:
        return f"{where}: a quote is opened and never closed"
    if "field larger" in fault:
        return f"{where}: a cell is longer than {LONGEST_CELL_CHARS >> 20} Mi characters; is a quote never closed?"
    if "expected after" in fault:
        return f'{where}: text follows a closing quote; a quote inside a quoted cell is written twice ("")'
    return f"{where}: {fault}"


@contextmanager
def _long_cells() -> Iterator[None]:
    """The parser's limit belongs to the process; it is put back."""
    before = csv.field_size_limit(LONGEST_CELL_CHARS)
    try:
        yield
    finally:
        csv.field_size_limit(before)
