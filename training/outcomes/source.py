"""What every file format offers to the reader of outcomes: its columns and its rows. Values and a Protocol only."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

Row = tuple[int, list[object]]


class Source(Protocol):
    """One file. It may be read several times.

    row_word       what a row number counts: "row" (of a spreadsheet: the header is row 1) or "line"
    decimal_comma  numbers may be written 0,5
    """

    @property
    def file(self) -> Path: ...
    @property
    def columns(self) -> tuple[str, ...]:
        """As the file has them; one may be there twice."""
        ...

    @property
    def row_word(self) -> str: ...
    @property
    def decimal_comma(self) -> bool: ...

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """Row number and the cells of these columns; a cell that is not there is None.

        Raises OutcomesRefused when a row can't be read, after looking at all of them.
        """
        ...
